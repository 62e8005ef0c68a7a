"""Deletion test on a collection: do the patches that relevance marks carry the verdict?

    python benchmarks/relevance_deletion.py TABLE [--sample 200] [--fill drop] [--fraction 0.2]

TABLE is a feature table with final, layer:11 and tokens:11 whose images can still be read where it says. A
sample that takes turns over lineages of generated images and sources of real ones is held out; a distiller is
fitted to all other images; the sample's logit maps (of +logit for generated images, of -logit for real ones)
are tested by leaving their top fraction of patches out of the picture, beside random and centre-biased maps.

Claim: equation 4 moves the logit towards the other class at least twice as far as random patches do.
Intervals are of a bootstrap over lineages and sources, classes counting half each.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray

from morelli.atlas.distiller import DistilledMap, Distiller
from morelli.encoders import Encoder, LastBlock, encoder_for_build
from morelli.explanation.relevance import relevance_maps
from morelli.explanation.relevance._comparisons import attention_map
from morelli.explanation.relevance._deletion import (
    centre_maps,
    deletion_curve,
    random_maps,
    token_deletion_curve,
)
from morelli.explanation.relevance._deletion_effects import deletion_effects
from morelli.features import FeatureTable
from morelli.images import decode, iter_source, perturbation


def take_turns(y: NDArray, groups: NDArray, count: int, rng: np.random.Generator) -> NDArray:
    """Row numbers: half of each class, its groups in turn."""
    chosen: list[int] = []
    for label in (1, 0):
        rows = np.flatnonzero(y == label)
        queues = [list(rng.permutation(rows[groups[rows] == name])) for name in sorted(set(groups[rows]))]
        found: list[int] = []
        while len(found) < min(count // 2, len(rows)):
            queues = [queue for queue in queues if queue]
            found += [queue.pop() for queue in queues]
        chosen += found[: count // 2]
    return np.sort(chosen)


def read_pixels(encoder: Encoder, uri: str, change: str) -> NDArray:
    """The image as the table's row saw it, transformed."""
    (item,) = iter_source(uri)
    image = decode(item.read(), name=uri).image
    if change:
        image = perturbation(change)(image, np.random.default_rng(0))
    return encoder.transform(image)


def logit_maps(
    block: LastBlock, inputs: list[NDArray], y: NDArray, distilled: DistilledMap, rule: str
) -> NDArray:
    """Of +logit for generated images, of -logit for real ones: (n, P)."""
    up, down = (
        relevance_maps(
            block, *inputs, distilled.values_and_gradients, distilled.w, towards=towards, rule=rule
        ).maps[:, -1]
        for towards in ("up", "down")
    )
    return np.where((y == 1)[:, None], up, down)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table")
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--fill", default="drop")
    parser.add_argument("--fraction", type=float, default=0.2)
    parser.add_argument("--random", type=int, default=2, help="draws of random maps")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)

    table = FeatureTable.open(arguments.table)
    features = table.load(kinds=["final"])
    y = np.array(features.meta["label"].to_pylist())
    lineage, source = (
        np.array(features.meta[name].to_pylist(), dtype=object) for name in ("lineage", "source")
    )
    groups = np.where(y == 1, lineage, source).astype(str)
    rows = take_turns(y, groups, arguments.sample, rng)
    rest = np.setdiff1d(np.arange(len(y)), rows)
    fitted = Distiller(random_state=0).fit(features.vectors["final"][rest], y[rest], groups=groups[rest])
    distilled = fitted.to_map(features.build, "final")
    before = distilled.logits(features.vectors["final"][rows])
    right = np.mean((before > 0) == (y[rows] == 1))
    print(f"{len(rows)} of {len(y)} images ({len(set(groups[rows]))} groups) held out of a distiller of "
          f"{distilled.n_dimensions} dimensions; right about {right:.0%}")  # fmt: skip

    encoder = encoder_for_build(features.build)
    block = LastBlock(encoder)
    stored = table.load(kinds=list(block.inputs), columns=["sha256", "perturbation"])
    inputs = [stored.vectors[kind][rows] for kind in block.inputs]
    labels, sign = y[rows], np.where(y[rows] == 1, 1, -1)
    names = {"equation 4": "gradient_attention", "equation 4, centred": "centred", "net": "net"}
    maps = {name: logit_maps(block, inputs, labels, distilled, rule) for name, rule in names.items()}
    maps["attention"] = attention_map(block, *inputs)
    maps["centre"] = centre_maps(len(rows), encoder.patches, rng)
    draws = [random_maps(len(rows), encoder.patches, rng) for _ in range(arguments.random)]

    def report(title: str, moves: dict[str, NDArray]) -> None:
        print(f"\n{title}\n{'map':<22}{'moved':>7}  {'90 %':<17}{'gen.':>7}{'real':>7}{'ratio':>7}"
              f"  moved - 2 random, 90 %")  # fmt: skip
        for e in deletion_effects(moves, labels, groups[rows], rng=np.random.default_rng(1)):
            (low, high), (margin_low, margin_high) = e.interval, e.margin_interval
            print(f"{e.name:<22}{e.moved:7.2f}  [{low:6.2f},{high:6.2f}]  {e.generated:7.2f}{e.real:7.2f}"
                  f"{e.ratio:7.1f}  {e.margin:6.2f} [{margin_low:.2f}, {margin_high:.2f}]")  # fmt: skip

    def hidden(which: NDArray) -> NDArray:
        curve = token_deletion_curve(block, *inputs, which, distilled.logits, fractions=[arguments.fraction])
        return sign * (before - curve[:, 0])

    moves = {name: hidden(which) for name, which in maps.items()}
    moves["random"] = np.mean([hidden(which) for which in draws], axis=0)
    report(f"{arguments.fraction:.0%} of the patches hidden from the last block's attention alone", moves)

    started = time.monotonic()
    gone: dict[str, list[NDArray]] = {}
    for start in range(0, len(rows), 16):
        part = slice(start, start + 16)
        pixels = np.stack(
            [
                read_pixels(
                    encoder,
                    features.meta["uri"][int(i)].as_py(),
                    features.meta["perturbation"][int(i)].as_py(),
                )
                for i in rows[part]
            ]
        )
        for name, which in [*maps.items(), *((f"random {j}", draw) for j, draw in enumerate(draws))]:
            curve = deletion_curve(
                encoder, pixels, which[part], distilled.logits,
                fractions=[arguments.fraction], fill=arguments.fill,
            )  # fmt: skip
            gone.setdefault(name, []).append(sign[part] * (before[part] - curve[:, 0]))
    moves = {name: np.concatenate(parts) for name, parts in gone.items()}
    moves["random"] = np.mean([moves.pop(f"random {j}") for j in range(len(draws))], axis=0)
    report(f"{arguments.fraction:.0%} of the patches taken out of the picture ({arguments.fill}), "
           f"{time.monotonic() - started:.0f} s", moves)  # fmt: skip


if __name__ == "__main__":
    main()
