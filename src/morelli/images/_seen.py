"""What an encoder sees of an image: its crop at its resolution, in colours again."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from morelli.images.transforms import JoinedTransform, NaFlex, Transform, transform_from_id


def as_seen(pixels: NDArray[np.float32], transform: Transform) -> Image.Image:
    """The picture that a transform made, (3, s, s) float32, as an RGB image of s × s.

    Of a NaFlex transform, whose rows are patches with their places, it is an image of the original's aspect.
    Of a joined transform it is the picture of its first part.

    Example:
        >>> from morelli.images.transforms import clip_transform
        >>> transform = clip_transform(32)
        >>> as_seen(transform(Image.new("RGB", (64, 48), (10, 200, 30))), transform).getpixel((5, 5))
        (10, 200, 30)
    """
    if isinstance(transform, JoinedTransform):
        return as_seen(transform.split(pixels[None])[0][0], transform.parts[0])
    if isinstance(transform, NaFlex):
        pixels = transform.picture(pixels)
    black, white = _ends(transform.id)
    levels = (pixels - black[:, None, None]) / (white - black)[:, None, None] * 255
    return Image.fromarray(levels.round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


@lru_cache(maxsize=8)
def _ends(name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the transform makes of black and of white, (3,) each: it is linear in between."""
    transform = transform_from_id(name)
    size = (transform.size, transform.size)
    ends = [transform(Image.new("RGB", size, colour)) for colour in ("black", "white")]
    if isinstance(transform, NaFlex):
        ends = [transform.picture(rows) for rows in ends]
    black, white = (pixels[:, 0, 0] for pixels in ends)
    return black, white
