"""Small labelled sets with known faults, made of real photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

Photos = list[tuple[str, Image.Image]]


def crops(photos: Photos, count: int, side: tuple[int, int] = (96, 200), seed: int = 0) -> list[Image.Image]:
    """`count` different windows of the photographs, of changing size and shape."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        image = photos[number % len(photos)][1]
        width, height = (int(v) for v in rng.integers(side[0], side[1], 2))
        x, y = (
            int(rng.integers(0, span - own + 1))
            for span, own in zip(image.size, (width, height), strict=True)
        )
        made.append(image.crop((x, y, x + width, y + height)))
    return made


def format_shortcut(folder: Path, photos: Photos, count: int = 40) -> Path:
    """The same pictures in both classes: generated as PNG, real as JPEG of quality 92."""
    (folder / "real").mkdir(parents=True)
    (folder / "fake").mkdir()
    for number, image in enumerate(crops(photos, count)):
        image.info.clear()
        image.save(folder / "fake" / f"{number}.png")
        image.save(folder / "real" / f"{number}.jpg", quality=92)
    return folder
