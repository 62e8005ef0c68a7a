"""An IVF index of Lance beside the exact search of the same vectors: recall, and queries a second.

    python benchmarks/vector_index.py --rows 2000000 --dim 512 --partitions 1024 --probes 4 8 16

The vectors are synthetic: clusters of clusters on the unit sphere, as embeddings of photographs lie, stored
as a feature table stores them (float16). Exact is `faiss.IndexFlatIP` over the same vectors in float32, one
query at a time, as the index is asked; in batches it is quicker, which is printed, too.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import faiss
import lance
import numpy as np
import pyarrow as pa

CHUNK = 100_000
AHEAD = 5
"""Times as many candidates are taken from the index as neighbours are wanted."""


def chunks(rows: int, dim: int, seed: int) -> Iterator[np.ndarray]:
    """(n, dim) float32 unit vectors, `rows` of them in all, around centres that lie around fewer centres."""
    shape = np.random.default_rng(0)
    coarse = shape.normal(size=(200, dim))
    fine = coarse[shape.integers(200, size=20_000)] + 0.7 * shape.normal(size=(20_000, dim))
    draw = np.random.default_rng(seed)
    for first in range(0, rows, CHUNK):
        count = min(CHUNK, rows - first)
        noise = draw.normal(size=(count, dim)).astype(np.float32)
        found = fine[draw.integers(len(fine), size=count)].astype(np.float32) + 0.6 * noise
        yield found / np.linalg.norm(found, axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--partitions", type=int, default=1024)
    parser.add_argument(
        "--sample", type=int, default=64, help="vectors a partition that centres are fitted on"
    )
    parser.add_argument("--probes", type=int, nargs="+", default=[2, 4, 8, 16, 32])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--k", type=int, default=10)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        compare(folder, arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compare(folder: Path, arguments: argparse.Namespace) -> None:
    """Write, search exactly, index, search again."""
    print(
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", end=""
    )
    print(f", pylance {lance.__version__}, faiss {faiss.__version__}, {arguments.rows:,} x {arguments.dim}")
    kind = pa.list_(pa.float16(), arguments.dim)
    schema = pa.schema([pa.field("vector", kind)])
    queries = next(chunks(arguments.queries, arguments.dim, 2)).astype(np.float16).astype(np.float32)
    flat = faiss.IndexFlatIP(arguments.dim)

    def batches() -> Iterator[pa.RecordBatch]:
        for part in chunks(arguments.rows, arguments.dim, 1):
            half = part.astype(np.float16)
            flat.add(half.astype(np.float32))
            column = pa.FixedSizeListArray.from_arrays(pa.array(half.reshape(-1)), type=kind)
            yield pa.RecordBatch.from_arrays([column], schema=schema)

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    # One fragment, in which a row's id is its number.
    dataset = lance.write_dataset(reader, folder / "vectors.lance", max_rows_per_file=arguments.rows + 1)
    began = time.monotonic()
    exact = np.concatenate([flat.search(query[None], arguments.k)[1] for query in queries])
    single = len(queries) / (time.monotonic() - began)
    began = time.monotonic()
    flat.search(queries, arguments.k)
    batched = len(queries) / (time.monotonic() - began)
    print(f"exact: {single:.1f} queries/s one by one, {batched:.1f} in one batch", flush=True)
    flat.reset()

    began = time.monotonic()
    dataset = dataset.create_index(
        "vector",
        "IVF_FLAT",
        metric="dot",
        num_partitions=arguments.partitions,
        sample_rate=arguments.sample,
    )
    print(
        f"IVF_FLAT with {arguments.partitions} partitions built in {time.monotonic() - began:.0f} s",
        flush=True,
    )
    for probes in arguments.probes:
        ask(dataset, queries[:20], probes, arguments.k)  # opens the index
        began = time.monotonic()
        found = ask(dataset, queries, probes, arguments.k)
        rate = len(queries) / (time.monotonic() - began)
        shared = [len(set(a) & set(b)) for a, b in zip(exact.tolist(), found, strict=True)]
        recall = sum(shared) / (arguments.k * len(queries))
        print(
            f"probes {probes:3d}: recall@{arguments.k} {recall:.3f}, {rate:.0f} queries/s, "
            f"{rate / single:.1f}x exact one by one, {rate / batched:.1f}x exact in a batch",
            flush=True,
        )


def ask(dataset: lance.LanceDataset, queries: np.ndarray, probes: int, k: int) -> list[list[int]]:
    """Row numbers of the nearest, query by query.

    The index ranks in float16, in which close neighbours may tie: more are asked for, and ranked in float32.
    """
    found = []
    for query in queries:
        nearest = {"column": "vector", "q": query.astype(np.float16), "k": AHEAD * k, "nprobes": probes}
        rows = dataset.to_table(
            columns=["vector", "_distance"], nearest=nearest | {"metric": "dot"}, with_row_id=True
        )
        vectors = rows.column("vector").combine_chunks().flatten().to_numpy().reshape(-1, len(query))
        order = np.argsort(-(vectors.astype(np.float32) @ query), kind="stable")[:k]
        found.append(rows.column("_rowid").to_numpy()[order].tolist())
    return found


if __name__ == "__main__":
    main()
