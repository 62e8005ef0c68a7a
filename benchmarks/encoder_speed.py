"""Images per second of the default encoder: transformers' CLIP against ours, alternating in one run.

    python benchmarks/encoder_speed.py [--seconds 60] [--batch 16]

Both read the same weights and the same pixels on the CPU. Rounds alternate, so that a busy machine
slows all alike; what is printed is the median of the rounds' ratios. The outputs are compared too.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from morelli.encoders import load_encoder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long to run for, about")
    parser.add_argument("--batch", type=int, default=16)
    arguments = parser.parse_args()

    ours, coarse = (
        load_encoder(),
        load_encoder(dtype="bfloat16"),
    )
    peer = transformers.CLIPVisionModelWithProjection.from_pretrained(ours.checkpoint.folder).eval()
    batch = np.random.default_rng(0).normal(size=(arguments.batch, 3, 224, 224)).astype(np.float32)

    def transformers_final() -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(peer(torch.from_numpy(batch)).image_embeds.numpy())

    def transformers_layers() -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(peer(torch.from_numpy(batch), output_hidden_states=True).image_embeds.numpy())

    layers = [f"layer:{k}" for k in (6, 7, 8, 9)]
    ways: dict[str, tuple[Callable[[], NDArray[np.float32]], str]] = {
        "transformers, final": (transformers_final, ""),
        "ours, final": (lambda: ours.encode(batch), "transformers, final"),
        "ours, final, bfloat16": (lambda: coarse.encode(batch), "transformers, final"),
        "transformers, all hidden states": (transformers_layers, ""),
        "ours, final and all layers": (
            lambda: ours.trace(batch, kinds=["final", "layers"])["final"],
            "transformers, all hidden states",
        ),
        "ours, layers 6-9 alone": (
            lambda: ours.trace(batch, kinds=layers)["layer:9"],
            "transformers, all hidden states",
        ),
    }
    outputs = {name: run() for name, (run, _) in ways.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    started = time.perf_counter()
    while time.perf_counter() - started < arguments.seconds or len(seconds["ours, final"]) < 3:
        for name, (run, _) in ways.items():
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)

    machine, rounds = platform.processor() or platform.machine(), len(seconds["ours, final"])
    print(f"{machine}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"transformers {transformers.__version__}; batches of {arguments.batch}, {rounds} rounds")
    for name, (_, rival) in ways.items():
        line = f"{name:<34}{arguments.batch / statistics.median(seconds[name]):7.2f} images/s"
        if rival:
            ratios = [a / b for a, b in zip(seconds[rival], seconds[name], strict=True)]
            line += f"   {statistics.median(ratios):5.2f} x {rival}"
        print(line)
    exact = outputs["transformers, final"]
    print(f"largest difference of float32: {np.abs(outputs['ours, final'] - exact).max():.1e}")
    rough = outputs["ours, final, bfloat16"]
    cosines = (rough * exact).sum(1) / np.linalg.norm(rough, axis=1) / np.linalg.norm(exact, axis=1)
    print(f"least cosine of bfloat16: {cosines.min():.5f}")


if __name__ == "__main__":
    main()
