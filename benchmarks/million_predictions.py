"""A million predictions: every metric with 1 000 clustered bootstrap rounds, beside scikit-learn's way.

    python benchmarks/million_predictions.py [--rows 1000000] [--rounds 1000] [--real-groups source]

Prints the time and peak memory of `measure` over all rounds, of writing, reading and summarising the
table, and the ratio to scikit-learn's roc_auc_score and average_precision_score with sample weights,
timed on a few rounds of the same resampling. Goal: under 60 s and under 3 GB on two cores.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from morelli.evaluation import MeasureOptions, Predictions, measure


def million(n: int, seed: int = 0) -> Predictions:
    """n rows, half generated: 60 generators in 30 lineages, 40 sources, a shift per lineage and source."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.5).astype(np.int8)
    generator, source = rng.integers(0, 60, n), rng.integers(0, 40, n)
    shift = rng.normal(0, 0.5, 30)[generator // 2] * y + rng.normal(0, 0.5, 40)[source] * (1 - y)
    fake = y == 1

    def named(prefix: str, codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        words = np.array([f"{prefix}{i}" for i in range(codes.max() + 1)], dtype=object)[codes]
        words[~rows] = None
        return words

    return Predictions.from_columns(
        label=y,
        logit=rng.normal(size=n) + 1.5 * y + shift - 0.75,
        sha256=[f"{i:064x}" for i in range(n)],
        generator=named("generator ", generator, fake),
        lineage=named("lineage ", generator // 2, fake),
        source=named("source ", source, ~fake),
        detector="simulated",
    )


def reference_seconds(predictions: Predictions, rounds: int = 3) -> float:
    """Seconds per round of scikit-learn for AUC and average precision under resampled weights."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(0)
    clusters = np.unique(predictions.clusters(), return_inverse=True)[1]
    labels, logits = predictions.labels, predictions.logits
    start = time.perf_counter()
    for _ in range(rounds):
        drawn = rng.integers(0, clusters.max() + 1, clusters.max() + 1)
        weights = np.bincount(drawn, minlength=clusters.max() + 1)[clusters].astype(float)
        roc_auc_score(labels, logits, sample_weight=weights)
        average_precision_score(labels, logits, sample_weight=weights)
    return (time.perf_counter() - start) / rounds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--real-groups", choices=["source", "image"], default="source")
    chosen = parser.parse_args()
    predictions = million(chosen.rows)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        predictions.write(Path(folder) / "predictions.parquet")
        predictions = Predictions.read(Path(folder) / "predictions.parquet")
        print(f"write and read: {time.perf_counter() - start:.1f} s")
    start, cpu = time.perf_counter(), time.process_time()
    options = MeasureOptions(rounds=chosen.rounds, real_groups=chosen.real_groups, threads=2)
    result = measure(predictions, options)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{chosen.rows} rows, {chosen.rounds} rounds, {len(result.metrics)} metrics and "
        f"{len(result.groups)} generators, reals by {chosen.real_groups}: {seconds:.1f} s wall, "
        f"{cpu:.1f} s of processor, peak {peak:.2f} GB, load "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    for name in ("auc", "average_precision", "tpr_at_0.01_fpr", "macro_auc", "ece_mass"):
        print(f"  {name}: {result.metrics[name]}")
    theirs = reference_seconds(predictions)
    ours = seconds / chosen.rounds
    print(f"scikit-learn, AUC and AP alone: {theirs:.2f} s a round; all of ours: {ours:.3f} s a round")
    print(f"ratio: {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
