"""Photographs with a pattern planted at a known place: what relevance has to find.

For real generated images nobody knows which pixels give them away. A detector that is fitted to tell
photographs with a planted pattern from the same photographs without it can only rest on the pattern, so its
maps have a right answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError
from morelli.explanation.relevance._display import crop_box

if TYPE_CHECKING:
    from PIL import Image

Array = NDArray[Any]

Pattern = Literal["checkerboard", "disc", "duplicate"]
"""``checkerboard``: 4-pixel cells, light and dark around the place's own mean colour; ``disc``: a disc of a
fixed colour with a soft edge; ``duplicate``: a piece of the photograph copied to another place."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, as Pillow has it."""


@dataclass(frozen=True)
class Planted:
    """A photograph at the encoder's input size with one pattern, and the box around it."""

    image: Image.Image
    box: Box
    pattern: Pattern


def plant(
    image: Image.Image,
    pattern: Pattern,
    rng: np.random.Generator,
    *,
    size: int = 224,
    side: int = 32,
) -> Planted:
    """Plant one pattern at a random place.

    Args:
        image: RGB; its middle square is brought to the encoder's size first, so that the encoder's own
            transform changes nothing any more and the box stays true.
        pattern: which one.
        rng: draws the place, and for a duplicate where the piece comes from.
        size: side of the encoder's input.
        side: side of the pattern's box in pixels.

    Raises:
        UsageError: an unknown pattern, or a box that does not fit.
    """
    from PIL import Image as Pictures

    if pattern not in get_args(Pattern):
        raise UsageError(f"pattern is one of {', '.join(get_args(Pattern))}; got {pattern!r}.")
    if not 8 <= side <= size // 3:
        raise UsageError(
            f"A pattern's side must lie in 8..{size // 3} for images of {size} pixels; got {side}."
        )
    pixels = np.asarray(as_input(image, size), dtype=np.float32).copy()
    left, top = (int(v) for v in rng.integers(0, size - side + 1, size=2))
    rows, columns = slice(top, top + side), slice(left, left + side)
    place = pixels[rows, columns]
    if pattern == "checkerboard":
        i, j = np.indices((side, side)) // 4
        mean = place.mean(axis=(0, 1))
        pixels[rows, columns] = mean + np.where((i + j) % 2, 48.0, -48.0)[..., None]
    elif pattern == "disc":
        offset = np.arange(side) - (side - 1) / 2
        distance = np.sqrt(offset[:, None] ** 2 + offset**2)
        alpha = np.clip((0.5 * side - distance) / (0.15 * side), 0, 1)[..., None]
        pixels[rows, columns] = (1 - alpha) * place + alpha * np.array([205, 60, 190], np.float32)
    else:
        pixels[rows, columns] = pixels[_elsewhere(rng, size, side, left, top)]
    planted = Pictures.fromarray(np.rint(pixels.clip(0, 255)).astype(np.uint8))
    return Planted(planted, (left, top, left + side, top + side), pattern)


def as_input(image: Image.Image, size: int = 224) -> Image.Image:
    """The middle square at the encoder's size, RGB: the partner of `plant` without a pattern."""
    from PIL import Image as Pictures

    square = image.convert("RGB").crop(crop_box(*image.size))
    return square if square.size == (size, size) else square.resize((size, size), Pictures.Resampling.BICUBIC)


def coverage(box: Box, size: int = 224, grid: int = 14) -> Array:
    """How much of each patch lies in the box, (grid², ) in 0..1."""
    edges = np.linspace(0, size, grid + 1)

    def along(low: float, high: float) -> Array:
        inside = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
        return np.asarray(np.clip(inside, 0, None) / (size / grid))

    left, top, right, bottom = box
    return np.asarray(np.outer(along(top, bottom), along(left, right)).ravel())


def localisation(maps: ArrayLike, covered: ArrayLike) -> Array:
    """Share of the relevance inside the region over the region's share of the area, (n,).

    1 is chance, the largest possible value the inverse of the area share. A patch's relevance counts inside
    by the part of it that the box covers. A map that is zero everywhere gives 1: it says nothing.

    Args:
        maps: (n, P), ≥ 0.
        covered: (n, P) or (P,), see `coverage`.
    """
    maps, covered = np.asarray(maps, dtype=np.float64), np.asarray(covered, dtype=np.float64)
    total = maps.sum(axis=-1)
    inside = np.divide((maps * covered).sum(-1), total, out=covered.mean(-1) + 0 * total, where=total > 0)
    return np.asarray(inside / covered.mean(-1))


def pointing_hits(maps: ArrayLike, covered: ArrayLike) -> Array:
    """Pointing game (Zhang et al. 2016, 1608.00507): the peak patch touches the region, (n,) bool."""
    maps, covered = np.asarray(maps), np.broadcast_to(np.asarray(covered), np.shape(maps))
    peak = maps.argmax(axis=-1)
    return np.asarray(np.take_along_axis(covered, peak[..., None], axis=-1)[..., 0] > 0)


def _elsewhere(rng: np.random.Generator, size: int, side: int, left: int, top: int) -> tuple[slice, slice]:
    """A window of the same size that does not touch the one at (left, top)."""
    while True:
        x, y = (int(v) for v in rng.integers(0, size - side + 1, size=2))
        if abs(x - left) >= side or abs(y - top) >= side:
            return slice(y, y + side), slice(x, x + side)
