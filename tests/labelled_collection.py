"""A small labelled collection of real pictures: photographs, and the same with an upsampler's trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 64


def gridded(image: Image.Image) -> Image.Image:
    """A picture with the trace of a crude upsampler: a grid, strong enough for a small model."""
    pixels = np.asarray(image, dtype=np.int16)
    rows, columns = np.indices(pixels.shape[:2]) // 8
    grid = np.where((rows + columns) % 2, 45, -45)[..., None]
    return Image.fromarray(np.clip(pixels + grid, 0, 255).astype(np.uint8))


def write_collection(folder: Path, photos: list[tuple[str, Image.Image]]) -> Path:
    """Write real/<photograph>/ and fake/<generator>/, 60 crops each, as PNG; return `folder`."""
    rng = np.random.default_rng(0)
    for name, image in photos[:6]:
        for index in range(10):
            left, top = (int(rng.integers(0, extent - SIDE)) for extent in image.size)
            crop = image.crop((left, top, left + SIDE, top + SIDE))
            for label, picture in (("real", crop), ("fake", gridded(crop))):
                place = folder / label / (name if label == "real" else f"generator-of-{name}")
                place.mkdir(parents=True, exist_ok=True)
                picture.save(place / f"{index:02}.png")
    return folder
