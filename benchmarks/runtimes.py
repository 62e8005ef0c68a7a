"""`detect` on JPEG files with the encoder in torch and in OpenVINO: speed, memory, equal verdicts.

    python benchmarks/runtimes.py [FOLDER] [--images 48] [--rounds 3]

Each run is a process of its own, the two runtimes by turns, so that a busy machine slows both alike and peak
memory is one runtime's. Timed is the stream of verdicts, files read and decoded included, after a first batch
that is left out; loading is timed apart. Printed are medians, the ratio of paired runs, the largest
difference between the logits and how many verdicts differ. Without a folder the images are crops of the
photographs that the scikit-image and scikit-learn wheels bring.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from extraction import write_photos

RUNTIMES = ("torch", "openvino")
WARM_UP = 16


def child(runtime: Any, folder: str, count: int) -> None:
    """One run; its figures go to stdout as one line of JSON."""
    started = time.perf_counter()
    from morelli.detectors import Bundle, default_bundle_path
    from morelli.encoders import encoder_for_build
    from morelli.images import iter_source
    from morelli.inspection import Inspector

    bundle = Bundle.load(default_bundle_path())
    inspector = Inspector(encoder_for_build(bundle.build, device="cpu", runtime=runtime), bundle)
    items = [item for item, _ in zip(iter_source(folder), range(count), strict=False)]
    next(inspector.detect(items[:1]))
    first = time.perf_counter() - started
    list(inspector.detect(items[:WARM_UP]))
    begun = time.perf_counter()
    found = list(inspector.detect(items))
    seconds = time.perf_counter() - begun
    judged = [one.verdict for one in found if one.verdict is not None]
    print(
        json.dumps(
            {
                "runtime": inspector.encoder.runtime,
                "rate": len(found) / seconds,
                "first": first,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "logits": [one.logit for one in judged],
                "words": [one.verdict for one in judged],
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", help="images; by default photographs out of wheels")
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=RUNTIMES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.folder, arguments.images)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or str(write_photos(Path(scratch) / "photos", arguments.images))
        compare(folder, arguments.images, arguments.rounds)


def compare(folder: str, images: int, rounds: int) -> None:
    runs: dict[str, list[dict[str, Any]]] = {runtime: [] for runtime in RUNTIMES}
    load = [os.getloadavg()[0]]
    for _ in range(rounds):
        for runtime in RUNTIMES:
            command = [sys.executable, __file__, folder, "--images", str(images), "--child", runtime]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            runs[runtime].append(json.loads(output.splitlines()[-1]))
        load.append(os.getloadavg()[0])
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {os.cpu_count()} cores, {images} images, {rounds} rounds, ", end="")
    print(f"load average {min(load):.1f} to {max(load):.1f}")
    for runtime in RUNTIMES:
        rate, first, peak = (
            statistics.median(run[name] for run in runs[runtime]) for name in ("rate", "first", "peak_mb")
        )
        print(f"{runs[runtime][0]['runtime']:<20}{rate:7.2f} images/s   first verdict {first:5.2f} s", end="")
        print(f"   peak {peak:6.0f} MB")
    pairs = list(zip(runs["torch"], runs["openvino"], strict=True))
    ratios = sorted(ours["rate"] / theirs["rate"] for theirs, ours in pairs)
    print(f"openvino is {statistics.median(ratios):.2f}x as fast ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    theirs, ours = pairs[0]
    apart = max(abs(a - b) for a, b in zip(theirs["logits"], ours["logits"], strict=True))
    other = sum(a != b for a, b in zip(theirs["words"], ours["words"], strict=True))
    print(f"largest difference of a logit {apart:.1e}; {other} of {len(ours['words'])} verdicts differ")


if __name__ == "__main__":
    main()
