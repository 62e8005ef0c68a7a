"""One number for every image: the parts of the logit that decided sum to it, and it gives the probability.

    python benchmarks/one_number.py MANIFEST MANIFEST --readings 400

Of every image of some collections, judged as `Inspector` judges it: how far bias and parts are from the
logit, by concepts and blocks and (of `--readings` images, evenly spread; 0 for all) by where it was read, and
how much of its constants is rounding; how far the map's sum is from the parts of the picture; how far
the calibrated logit is from the case's probability. It ends with status 1 where one but the rounding is above
1e-5. The last line says how the other reader, the distilled map, agrees.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import morelli
from morelli.errors import ImageError
from morelli.images import Limits, iter_source
from morelli.inspection import Inspector, StoredCase
from morelli.inspection.answers import Evidence

MOST = 1e-5


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("--readings", type=int, default=400, help="images that are read too; 0: all")
    parser.add_argument("--batch", type=int, default=16, help="images that the encoder gets at once")
    options = parser.parse_args(arguments)
    inspector = morelli.load()
    items = [item for path in options.manifests for item in iter_source(path)]
    step = 1 if not options.readings else max(1, len(items) // options.readings)
    worst = dict.fromkeys(("concepts and blocks", "where it was read", "map", "probability"), 0.0)
    rounding = 0.0
    logits: list[tuple[float, float, bool]] = []
    read = 0
    for number, stored in enumerate(cases(inspector, items, options.batch)):
        print(f"\r{number + 1} of {len(items)}", end="", file=sys.stderr, flush=True)
        case = inspector.case(stored)
        assert case.evidence is not None and case.evidence.logit == case.logit
        off = {"concepts and blocks": gap(case.evidence)}
        (p,) = inspector.bundle.calibration.probability([case.evidence.logit], case.base_rate)
        off["probability"] = abs(float(p) - case.probability)
        if case.distilled is not None:
            logits.append((case.logit, case.distilled.logit, case.distilled.agrees))
        if number % step == 0:
            found = inspector.reading_evidence(stored)
            picture = sum(part.logit for part in found.parts if part.name.startswith("Picture"))
            assert stored.reading is not None
            rounding = max(rounding, abs(stored.reading.rounding))
            off |= {
                "where it was read": max(gap(found), abs(found.logit - case.logit)),
                "map": abs(float(stored.reading.map.sum()) - picture),
            }
            read += 1
        worst = {name: max(value, off.get(name, 0.0)) for name, value in worst.items()}
    print(f"\n\n{len(items)} images, {read} of them read\n\n| sum | largest distance |\n|---|---|")
    for name, value in worst.items():
        print(f"| {name} | {value:.1e} |")
    print(f"| rounding among the constants | {rounding:.1e} |")
    if logits:
        mine, other, agrees = (np.array(column) for column in zip(*logits, strict=True))
        print(f"\nother reader: r {np.corrcoef(mine, other)[0, 1]:.2f}, same side {agrees.mean():.1%}")
    if max(worst.values()) > MOST:
        sys.exit(1)


def cases(inspector: Inspector, items: Sequence[object], batch: int) -> Iterator[StoredCase]:
    """The cases of all images that can be read."""
    for start in range(0, len(items), batch):
        prepared = []
        for item in items[start : start + batch]:
            try:
                prepared.append(inspector.prepare(item.read(), item.uri, Limits()))  # type: ignore[attr-defined]
            except ImageError as error:
                print(f"\n{error}", file=sys.stderr)
        found = inspector.encoder.trace(np.stack([one.pixels for one in prepared]), kinds=inspector.kinds)
        for row, one in enumerate(prepared):
            yield inspector.stored(one, {kind: array[row] for kind, array in found.items()})


def gap(found: Evidence) -> float:
    """How far bias and parts are from the logit."""
    return abs(found.bias + sum(part.logit for part in found.parts) - found.logit)


if __name__ == "__main__":
    main()
