"""What the pages' commands and examples find in their folder: small collections of real photographs.

Every "generator" is a trace that is laid over crops of photographs, strong enough to be found by few images.
"""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

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


def smooth(image: Image.Image) -> Image.Image:
    """Texture taken out, edges sharpened again."""
    return image.filter(ImageFilter.MedianFilter(7)).filter(ImageFilter.SHARPEN)


TRACES: list[Trace] = [checkered(4, 28), smooth]


def crop(image: Image.Image, number: int, rng: np.random.Generator) -> Image.Image:
    """A window of a photograph."""
    side = min(SIDE + 8 * (number % 4), *image.size)
    left, top = (int(rng.integers(0, extent - side + 1)) for extent in image.size)
    return image.crop((left, top, left + side, top + side))


def write_set(
    folder: Path, photos: Photos, *, names: dict[str, list[str]], each: int, seed: int
) -> list[Path]:
    """Write real/SOURCE/ and fake/GENERATOR/ with `each` pictures; names has the lists `real` and `fake`.

    Every group has photographs of its own: windows of one photograph are near-duplicates, which folds keep
    together.
    """
    rng = np.random.default_rng(seed)
    groups = [(label, group) for label, of_label in names.items() for group in of_label]
    written = []
    for which, (label, group) in enumerate(groups):
        place = folder / label / group
        place.mkdir(parents=True)
        own = photos[which :: len(groups)]
        for index in range(each):
            picture = crop(own[index % len(own)][1], index, rng)
            if label == "fake":
                picture = TRACES[names[label].index(group) % len(TRACES)](picture)
            written.append(place / f"{index:02}.jpg")
            picture.save(written[-1], quality=92)
    return written


def write_manifest(path: Path, files: list[Path]) -> None:
    """Write a manifest of files that lie as `write_set` put them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "generator", "source", "era"])
        for one in files:
            label, group = one.parts[-3:-1]
            fake = label == "fake"
            rows.writerow([one, label, group if fake else "", "" if fake else group, "2023" if fake else ""])


NAMES = {"real": ["camera", "coco"], "fake": ["sdxl", "dalle3"]}


def make_desk(folder: Path, photos: Photos) -> Path:
    """Write all that the pages name into `folder`, and a home beside it; return `folder`."""
    folder.mkdir(parents=True)
    write_set(folder / "mine", photos, NAMES, each=6, seed=1)
    files = write_set(folder / "set", photos, NAMES, each=10, seed=2)
    write_manifest(folder / "set.csv", [file.relative_to(folder) for file in files])
    write_set(folder / "newcomers", photos, {"real": ["phone"], "fake": ["flux"]}, each=2, seed=3)
    pictures = folder.parent / "home" / "Pictures"
    for place in (folder / "new", pictures):
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
    return folder
