"""Predictions beyond memory: 10^8 rows in a parquet file, counted part by part.

    python benchmarks/streamed_metrics.py [--rows 100000000]

The rows are drawn (half generated, normal logits 1.5 apart). Prints seconds, the peak of memory, and the
bounds beside the value that the distributions have.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from morelli.evaluation.streams import stream_metrics

PART = 1_000_000


def write(path: Path, rows: int) -> None:
    """The columns that are read."""
    rng = np.random.default_rng(0)
    names = pa.array(["flux", "sdxl", "dalle3"])
    schema = pa.schema(
        [
            ("label", pa.int8()),
            ("logit", pa.float64()),
            ("generator", pa.dictionary(pa.int32(), pa.string())),
        ]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, PART):
            count = min(PART, rows - first)
            label = rng.integers(0, 2, count, dtype=np.int8)
            logit = rng.normal(size=count) + 1.5 * label - 0.75
            codes = pa.array(rng.integers(0, 3, count, dtype=np.int32), mask=label == 0)
            generator = pa.DictionaryArray.from_arrays(codes, names)
            writer.write_table(pa.table([pa.array(label), pa.array(logit), generator], schema=schema))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.parquet"
        write(path, chosen.rows)
        start, cpu = time.perf_counter(), time.process_time()
        found = stream_metrics(path)
        auc, rate = found.auc(), found.tpr_at_fpr(0.01)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{chosen.rows:,} rows, {len(found.generators)} generators: {seconds:.0f} s, {cpu:.0f} s of "
        f"processor, peak {peak:.2f} GB, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(f"  AUC {auc.low:.7f} to {auc.high:.7f}; drawn from {0.5 * (1 + math.erf(1.5 / 2)):.5f}")
    print(f"  TPR at 1 % FPR {rate.low:.6f} to {rate.high:.6f}")


if __name__ == "__main__":
    main()
