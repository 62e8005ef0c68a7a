"""What the pages' commands and examples find in their folder: small collections of real photographs.

Every "generator" is a trace that is laid over crops of photographs, strong enough to be found by few images.
"""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from tests.provenance.signing import chain

Photos = list[tuple[str, Image.Image]]
Trace = Callable[[Image.Image], Image.Image]
SIDE = 240


def checkered(size: int, strength: int) -> Trace:
    """A grid of squares, as a crude upsampler leaves one."""

    def apply(image: Image.Image) -> Image.Image:
        pixels = np.asarray(image, dtype=np.int16)
        rows, columns = np.indices(pixels.shape[:2]) // size
        grid = np.where((rows + columns) % 2, strength, -strength)[..., None]
        return Image.fromarray(np.clip(pixels + grid, 0, 255).astype(np.uint8))

    return apply


TRACES: list[Trace] = [checkered(4, 28), checkered(8, 24), checkered(6, 34)]


def crop(image: Image.Image, number: int, rng: np.random.Generator) -> Image.Image:
    """A window of a photograph."""
    side = min(SIDE + 8 * (number % 4), *image.size)
    left, top = (int(rng.integers(0, extent - side + 1)) for extent in image.size)
    return image.crop((left, top, left + side, top + side))


def write_set(folder: Path, photos: Photos, groups: dict[tuple[str, str], int], seed: int) -> list[Path]:
    """Write real/SOURCE/ and fake/GENERATOR/ with so many pictures each.

    Every group has photographs of its own: windows of one photograph are near-duplicates, which folds keep
    together.
    """
    rng = np.random.default_rng(seed)
    written = []
    traces = iter(TRACES)
    for which, ((label, group), count) in enumerate(groups.items()):
        place = folder / label / group
        place.mkdir(parents=True)
        own = photos[which :: len(groups)]
        trace = next(traces) if label == "fake" else None
        for index in range(count):
            picture = crop(own[index % len(own)][1], index, rng)
            written.append(place / f"{index:02}.jpg")
            (trace(picture) if trace else picture).save(written[-1], quality=92)
    return written


def write_manifest(path: Path, files: list[Path], names: Sequence[str]) -> None:
    """Write a manifest of files as `write_set` put them, in its order, each group under another name."""
    groups = list(dict.fromkeys(file.parts[-3:-1] for file in files))
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "generator", "lineage", "source"])
        for one in files:
            label, _ = one.parts[-3:-1]
            name = names[groups.index(one.parts[-3:-1])]
            lineage = name.split("-")[0]
            rows.writerow([one, label, *((name, lineage, "") if label == "fake" else ("", "", name))])


MINE = {
    **{("real", source): 6 for source in ("camera", "coco", "phone")},
    **{("fake", "sdxl"): 10, ("fake", "dalle3"): 10, ("fake", "midjourney"): 4},
}
"""Folds within folds need three groups of each class; an explained generator needs ten images."""


def make_desk(folder: Path, photos: Photos) -> Path:
    """Write all that the pages name into `folder`, and a home beside it; return `folder`."""
    folder.mkdir(parents=True)
    files = write_set(folder / "mine", photos, MINE, seed=1)
    write_set(folder / "newcomers", photos, {("real", "scanner"): 2, ("fake", "flux"): 2}, seed=3)
    pictures = folder.parent / "home" / "Pictures"
    for place in (folder / "new", folder / "incoming", pictures):
        place.mkdir(parents=True)
        for file in files[:1] + files[-1:]:
            shutil.copy(file, place / f"{file.parent.name}-{file.name}")
    shutil.copy(files[0], folder / "photo.jpg")
    (folder / "more" / "a").mkdir(parents=True)
    with Image.open(files[-1]) as image:
        image.save(folder / "more" / "a" / "b.webp")
        image.save(folder / "picture.png")
    for name in ("holiday.zip", "archive.zip"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.write(files[0], "beach.jpg")
    (folder / "anchors.pem").write_text(chain().root)
    (folder / "score.py").write_text(SCORE)
    scores = {"label": [0, 0, 1, 1], "logit": [-1.0, 0.2, 0.1, 1.5], "uri": ["a", "b", "c", "d"]}
    parquet.write_table(pa.table(scores), folder / "their_predictions.parquet")
    return folder


SCORE = """\
import sys
from pathlib import Path

for line in sys.stdin:
    print(min(1.0, Path(line.strip()).stat().st_size / 100_000), flush=True)
"""
"""A detector of somebody else's: large files are generated, says it."""
