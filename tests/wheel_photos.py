"""Real photographs that travel inside the scikit-image and scikit-learn wheels."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from PIL import Image

COLOUR = {
    "skimage.data": [
        "astronaut.png",
        "chelsea.png",
        "coffee.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "motorcycle_left.png",
        "motorcycle_right.png",
    ],
    "sklearn.datasets.images": ["china.jpg", "flower.jpg"],
}
GREY = {"skimage.data": ["brick.png", "camera.png", "coins.png", "grass.png", "gravel.png", "moon.png"]}


def photo_paths(catalogue: dict[str, list[str]] = COLOUR) -> list[Path]:
    """The files of `catalogue` (`COLOUR` or `GREY`) where their wheels have put them."""
    return [Path(str(files(package))) / name for package, names in catalogue.items() for name in names]


def load_photos(catalogue: dict[str, list[str]] = COLOUR) -> list[tuple[str, Image.Image]]:
    """The photographs as (name, RGB image)."""
    photos = []
    for path in photo_paths(catalogue):
        with Image.open(path) as image:
            photos.append((path.stem, image.convert("RGB")))
    return photos
