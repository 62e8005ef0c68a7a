"""Cost of relevance maps: beside one forward pass, and beside a full backward pass per dimension.

    python benchmarks/relevance.py [--rounds 5] [--batch 4] [--dimensions 16] [--threads 1]

Every round times three ways on the same pixels, one after the other:

  final      the plain forward pass, on the encoder's own runtime;
  maps       forward pass that also gives the last block's input, and from it the maps of all dimensions and
             the logit (closed form, in numpy);
  backward   the slow way to the same maps, in torch: a forward pass that records gradients, and a backward
             pass through the whole tower for every dimension and for the logit.

Claims: maps / final at most 1.3; backward / maps at least 8; and both give the same maps to 1e-4.
Medians over the rounds of the rounds' own ratios are printed.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from morelli.atlas.distiller import DistilledMap
from morelli.encoders import Encoder, LastBlock, load_encoder
from morelli.encoders._vit import (
    VisionTransformer,
    attend,
    attention_weights,
    block_forward,
    embed,
    mlp,
    project,
    queries_keys_values,
    vit_from_weights,
)
from morelli.explanation.relevance import relevance_maps

Pixels = NDArray[np.float32]


def quick(encoder: Encoder, block: LastBlock, pixels: Pixels, distilled: DistilledMap) -> Pixels:
    found = encoder.trace(pixels, kinds=["final", *block.inputs])
    inputs = (found[kind] for kind in block.inputs)
    return relevance_maps(block, *inputs, distilled.values_and_gradients, distilled.w).maps


def slow(vit: VisionTransformer, pixels: Pixels, distilled: DistilledMap) -> Pixels:
    """One backward pass through the whole tower per map, as a plain implementation would take it."""
    last = vit.blocks[-1]
    leaf = torch.from_numpy(pixels).requires_grad_()
    stream = embed(vit, leaf)
    for earlier in vit.blocks[:-1]:
        stream = block_forward(earlier, stream)
    q, k, v = queries_keys_values(last, last.norm1(stream))
    attention = attention_weights(q, k)
    stream = stream + attend(last, attention @ v)
    stream = stream + mlp(last, last.norm2(stream))
    x = torch.nn.functional.normalize(project(vit, stream[:, 0]), dim=1)
    z = torch.tanh(x @ torch.from_numpy(distilled.A).float())
    rows = []
    for target in [*z.unbind(1), z @ torch.from_numpy(distilled.w).float()]:
        # By the pixels too, as loss.backward() through the whole tower would.
        by_attention, _ = torch.autograd.grad(target.sum(), (attention, leaf), retain_graph=True)
        rows.append((by_attention * attention).clamp(min=0).mean(dim=1)[:, 0, 1:])
    return torch.stack(rows, dim=1).detach().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--dimensions", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    encoder = load_encoder(dtype="float32", device="cpu")
    assert encoder.vision is not None
    vit = vit_from_weights(encoder.vision, dtype=torch.float32, device=torch.device("cpu"))
    block = LastBlock(encoder)
    rng = np.random.default_rng(0)
    side = encoder.card.image_size
    pixels = rng.normal(size=(arguments.batch, 3, side, side)).astype(np.float32)
    distilled = DistilledMap(
        kind="final", unit=True, A=rng.normal(size=(encoder.dim, arguments.dimensions)),
        b=np.zeros(arguments.dimensions), activation="tanh", w=rng.normal(size=arguments.dimensions),
        bias=0.0, build=encoder.build,
    )  # fmt: skip
    ways: dict[str, Callable[[], Pixels]] = {
        "final": lambda: encoder.encode(pixels),
        "maps": lambda: quick(encoder, block, pixels, distilled),
        "backward": lambda: slow(vit, pixels, distilled),
    }
    ours, theirs = ways["maps"](), ways["backward"]()  # also warms up
    off = (np.abs(ours - theirs) / theirs.max(axis=-1, keepdims=True)).max()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            # CPU time: on a machine with other work, wall time measures the others.
            started = time.process_time()
            way()
            seconds[name].append(time.process_time() - started)

    machine = platform.processor() or platform.machine()
    print(f"{encoder.build.encoder} on {encoder.runtime}, {machine}, {arguments.threads} threads, "
          f"torch {torch.__version__}; {arguments.dimensions} dimensions and the logit, "
          f"batches of {arguments.batch}, {arguments.rounds} rounds")  # fmt: skip
    for name, times in seconds.items():
        print(f"{name:<10}{1000 * statistics.median(times) / arguments.batch:10.1f} ms/image")
    for above, below, claim in (("maps", "final", "at most 1.3"), ("backward", "maps", "at least 8")):
        ratio = statistics.median(a / b for a, b in zip(seconds[above], seconds[below], strict=True))
        print(f"{above} / {below}: {ratio:.2f} (claim: {claim})")
    print(f"largest difference between the two ways' maps: {off:.1e} of a map's maximum (claim: 1e-4)")


if __name__ == "__main__":
    main()
