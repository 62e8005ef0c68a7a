"""Verdicts at each precision, beside torch in float32: images a second, decoding included.

    python benchmarks/precision.py --rounds 3 --images 48 [--source FOLDER_OR_MANIFEST]

The contestants judge the same files by turns in one process. Printed are medians of the paired ratios to
torch with their range, how far probabilities are from the exact ones, and verdict words that differ. Without
--source the images are crops of the photographs that the scikit-image and scikit-learn wheels bring. Where
torch or bfloat16 is missing, its line says so. `bfloat16` and `int8` are these dtypes for all images,
whichever of them `fast` and `fastest` take on this processor.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from pathlib import Path

from extraction import write_photos
from morelli.detectors import Bundle, default_bundle_path
from morelli.encoders import Encoder, encoder_for_build
from morelli.errors import MorelliError
from morelli.images import ImageItem, iter_source
from morelli.inspection import Detection, Inspector

PEER = "torch, float32"
NAMES = (PEER, "exact", "auto", "fast", "fastest", "bfloat16", "int8")


def main() -> None:
    """Judge by turns and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--source", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = options.source or write_photos(Path(folder) / "photos", options.images)
        compare(list(iter_source(source))[: options.images], options.rounds)


def compare(items: list[ImageItem], rounds: int) -> None:
    """All contestants on the same images."""
    judges = {name: judge for name in NAMES if (judge := contestant(name)) is not None}
    seconds: dict[str, list[float]] = {name: [] for name in judges}
    found: dict[str, list[Detection]] = {}
    for judge in judges.values():
        list(judge.detect(items[:2]))  # compiles the graphs
    for turn in range(rounds):
        for name in sorted(judges, key=lambda one: (NAMES.index(one) + turn) % len(NAMES)):
            started = time.perf_counter()
            found[name] = list(judges[name].detect(items))
            seconds[name].append(time.perf_counter() - started)
    print(f"{len(items)} images, {rounds} rounds, {platform.processor() or platform.machine()}\n")
    print("| contestant | images/s | times torch (range) | largest change of p | words changed |")
    print("|---|---|---|---|---|")
    base = seconds.get(PEER)
    for name, times in seconds.items():
        speed = len(items) / statistics.median(times)
        ratios = [] if base is None else [a / b for a, b in zip(base, times, strict=True)]
        span = f"({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "no torch"
        pace = f"{statistics.median(ratios):.2f} {span}" if ratios else span
        pairs = [
            (one.verdict, two.verdict)
            for one, two in zip(found["exact"], found[name], strict=True)
            if one.verdict is not None and two.verdict is not None
        ]
        moved = max(abs(a.probability - b.probability) for a, b in pairs)
        words = sum(a.verdict != b.verdict for a, b in pairs)
        print(f"| {name} | {speed:.1f} | {pace} | {moved:.4f} | {words} of {len(pairs)} |")


def contestant(name: str) -> Inspector | None:
    """The shipped detector computed this way; None, with the reason printed, where it cannot be."""
    bundle = Bundle.load(default_bundle_path())
    try:
        if name == PEER:
            return Inspector(encoder_for_build(bundle.build, device="cpu", runtime="torch"), bundle)
        encoder = encoder_for_build(bundle.build, device="cpu")
        if name in Encoder.quick_dtypes:
            return Inspector(encoder.quick(None, (), name), bundle)  # type: ignore[arg-type]
        return Inspector(encoder, bundle).at_precision(name)  # type: ignore[arg-type]
    except MorelliError as error:
        print(f"{name}: {error}")
        return None


if __name__ == "__main__":
    main()
