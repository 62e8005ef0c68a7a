"""A small copy of a picture, for lists and sheets."""

from __future__ import annotations

from PIL import Image

THUMBNAIL = 220


def thumbnail(image: Image.Image, side: int = THUMBNAIL) -> Image.Image:
    """An RGB copy of `image` with at most `side` pixels on its long side.

    Example:
        >>> thumbnail(Image.new("L", (880, 440))).size
        (220, 110)
    """
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small.convert("RGB")
