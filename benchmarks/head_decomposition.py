"""Cost of all head contributions: the forward pass with them beside the plain one, alternating in one run.

    python benchmarks/head_decomposition.py [--rounds 5] [--batch 4] [--threads 1]

Every round times both on the same pixels; what is printed is the median of the rounds' ratios, and how
far the parts' sum is from the embedding. Claim: all heads cost at most 1.6 times the plain pass.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import numpy as np
import torch

from morelli.encoders import load_encoder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    encoder = load_encoder(dtype="float32")
    side = encoder.card.image_size
    batch = np.random.default_rng(0).normal(size=(arguments.batch, 3, side, side)).astype(np.float32)
    ways = {
        "final": ["final"],
        "final and all heads": ["final", "heads"],
        "final and all parts, raw heads too": ["final", "parts", "headraws"],
    }
    found = encoder.trace(batch, kinds=["final", "parts"])  # also warms up
    whole = found.pop("final")
    off = np.linalg.norm(sum(found.values()) - whole, axis=1) / np.linalg.norm(whole, axis=1)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, kinds in ways.items():
            # CPU time: on a machine with other work, wall time measures the others.
            started = time.process_time() if encoder.device == "cpu" else time.perf_counter()
            encoder.trace(batch, kinds=kinds)
            ended = time.process_time() if encoder.device == "cpu" else time.perf_counter()
            seconds[name].append(ended - started)

    machine = platform.processor() or platform.machine()
    print(f"{encoder.build.encoder} on {encoder.device}, {machine}, {arguments.threads} threads, "
          f"torch {torch.__version__}; batches of {arguments.batch}, {arguments.rounds} rounds")  # fmt: skip
    for name, times in seconds.items():
        ratios = [a / b for a, b in zip(times, seconds["final"], strict=True)]
        print(
            f"{name:<36}{1000 * statistics.median(times) / arguments.batch:8.1f} ms/image"
            f"{statistics.median(ratios):8.2f} x final"
        )
    print(f"sum of parts against the embedding: relative error at most {off.max():.1e}")


if __name__ == "__main__":
    main()
