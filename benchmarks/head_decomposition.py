"""Cost of all head contributions: the forward pass with them beside the plain one, alternating in one run.

    python benchmarks/head_decomposition.py [--families clip,siglip] [--rounds 5] [--batch 4] [--threads 1]

`clip` is the default encoder with its own weights; siglip, dinov2, dinov3 and vit are of ViT-B/16's size
at 224 pixels with random weights, whose cost is that of trained ones. Every round times all ways on the
same pixels; what is printed is the median of the rounds' ratios, and how far the parts' sum is from the
embedding. Claim: all heads cost at most 1.6 times the plain pass.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from morelli.encoders import Encoder, load_encoder

SHAPE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def random_encoder(family: str, folder: Path) -> Encoder:
    """A model of this family as the hub would give it, with the weights that transformers starts from."""
    import transformers as t

    inner = {"intermediate_size": 3072}
    made = {
        "siglip": lambda: t.SiglipVisionModel(t.SiglipVisionConfig(**SHAPE, **inner)),
        "dinov2": lambda: t.Dinov2Model(t.Dinov2Config(**SHAPE)),
        "dinov3": lambda: t.DINOv3ViTModel(t.DINOv3ViTConfig(**SHAPE, **inner, num_register_tokens=4)),
        "vit": lambda: t.ViTModel(t.ViTConfig(**SHAPE, **inner)),
    }
    torch.manual_seed(0)
    made[family]().eval().save_pretrained(folder)
    size = {"height": 224, "width": 224}
    processor = {"do_resize": True, "do_normalize": True, "size": size, "resample": 2, **HALF}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return load_encoder(folder, dtype="float32")


def measure(encoder: Encoder, *, rounds: int, batch: int) -> None:
    """Print what the ways of asking cost, and how far the parts' sum is off."""
    side = encoder.card.image_size
    pixels = np.random.default_rng(0).normal(size=(batch, 3, side, side)).astype(np.float32)
    raw = ["headraws"] if encoder.card.class_token else []
    ways = {
        "final": ["final"],
        "final and all heads": ["final", "heads"],
        "final and all parts" + (", raw heads too" if raw else ""): ["final", "parts", *raw],
    }
    found = encoder.trace(pixels, kinds=["final", "parts"])  # also warms up
    whole = found.pop("final")
    off = np.linalg.norm(sum(found.values()) - whole, axis=1) / np.linalg.norm(whole, axis=1)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, kinds in ways.items():
            # CPU time: on a machine with other work, wall time measures the others.
            started = time.process_time() if encoder.device == "cpu" else time.perf_counter()
            encoder.trace(pixels, kinds=kinds)
            ended = time.process_time() if encoder.device == "cpu" else time.perf_counter()
            seconds[name].append(ended - started)
    for name, times in seconds.items():
        ratios = [a / b for a, b in zip(times, seconds["final"], strict=True)]
        print(
            f"{encoder.card.family:<8}{name:<36}{1000 * statistics.median(times) / batch:8.1f} ms/image"
            f"{statistics.median(ratios):8.2f} x final"
        )
    worst = f"relative error at most {off.max():.1e}"
    print(f"{encoder.card.family:<8}sum of parts against the embedding: {worst}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", default="clip,siglip,dinov2,dinov3,vit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    machine = platform.processor() or platform.machine()
    print(f"{machine}, {arguments.threads} threads, torch {torch.__version__}; batches of {arguments.batch}, "
          f"{arguments.rounds} rounds")  # fmt: skip
    for family in arguments.families.split(","):
        with tempfile.TemporaryDirectory() as folder:
            encoder = (
                load_encoder(dtype="float32") if family == "clip" else random_encoder(family, Path(folder))
            )
            measure(encoder, rounds=arguments.rounds, batch=arguments.batch)


if __name__ == "__main__":
    main()
