"""Relevance as pictures: maps enlarged to the image, and coloured by the side that they speak for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli import palette
from morelli.errors import UsageError
from morelli.palette import rgb

if TYPE_CHECKING:
    from PIL import Image

Array = NDArray[Any]


def upsample(maps: ArrayLike, size: int | tuple[int, int]) -> Array:
    """Maps (…, g, g) or (…, P) enlarged bilinearly to (…, height, width) float32.

    A patch's value stands at its centre, and the border continues the outermost patches. Enlarging is for
    looking: there is no detail below one patch.

    Args:
        maps: one or several maps. Two last axes of one length are a grid; else the last axis is unfolded.
        size: side in pixels, or (height, width).

    Raises:
        UsageError: the maps are not square.
    """
    grid = _square(maps)
    height, width = (size, size) if isinstance(size, int) else size
    for axis, length in ((-2, height), (-1, width)):
        grid = _stretch(grid, axis, length)
    return grid.astype(np.float32)


def crop_box(width: int, height: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of an image's middle square, which CLIP's transform shows the tower."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def overlay(
    image: Image.Image,
    relevance: ArrayLike,
    *,
    sign: float = 1.0,
    size: int | None = None,
    opacity: float = 0.75,
    scale: float | None = None,
    quantile: float = 0.99,
) -> Image.Image:
    """The part of an image that the encoder saw, with a map laid over it; an RGB image.

    Args:
        image: RGB, of any size; its middle square is shown, as `crop_box` says. For an encoder that crops
            in another way give what it saw, `morelli.images.as_seen`.
        relevance: (g, g) or (P,). Where it is negative the colour is the other side's.
        sign: which side positive relevance speaks for: > 0 generated (orange), < 0 real (blue-teal). For a
            dimension's map, the sign of its head weight.
        size: side of the result; the square's own if None.
        opacity: alpha of the strongest relevance, in 0..1; zero relevance leaves the image as it is.
        scale: relevance shown at full opacity, for maps to be compared; else the map's own `quantile`.
        quantile: of the map's magnitudes; below 1, so that one patch does not pale the others.
    """
    from PIL import Image as Pictures

    square = image.convert("RGB").crop(crop_box(*image.size))
    if size is not None and square.size != (size, size):
        square = square.resize((size, size), Pictures.Resampling.BICUBIC)
    patches = _square(relevance).astype(np.float64) * (1.0 if sign >= 0 else -1.0)
    full = float(np.quantile(np.abs(patches), quantile)) if scale is None else float(scale)
    large = upsample(patches, (square.height, square.width))
    strength = np.clip(np.abs(large) / full, 0, 1) if full > 0 else np.zeros_like(large)
    alpha = (opacity * strength)[..., None]
    colour = np.where((large >= 0)[..., None], rgb(palette.GENERATED), rgb(palette.REAL))
    mixed = (1 - alpha) * np.asarray(square, dtype=np.float32) + alpha * colour
    return Pictures.fromarray(np.rint(mixed).astype(np.uint8))


def _square(maps: ArrayLike) -> Array:
    """Maps as (…, g, g)."""
    grid = np.asarray(maps, dtype=np.float32)
    if grid.ndim >= 2 and grid.shape[-1] == grid.shape[-2]:
        return grid
    side = round(grid.shape[-1] ** 0.5) if grid.ndim else 0
    if not side or side**2 != grid.shape[-1]:
        raise UsageError(f"A map is (g, g) or g² patches; got shape {grid.shape}.")
    return grid.reshape(*grid.shape[:-1], side, side)


def _stretch(grid: Array, axis: int, length: int) -> Array:
    """Linear interpolation along one axis, samples at the centres of their cells."""
    cells = grid.shape[axis]
    place = np.clip((np.arange(length) + 0.5) * cells / length - 0.5, 0, cells - 1)
    low = np.minimum(place.astype(int), max(cells - 2, 0))
    high = np.minimum(low + 1, cells - 1)
    share = (place - low).reshape(-1, *[1] * (-axis - 1))
    stretched: Array = np.take(grid, low, axis) * (1 - share) + np.take(grid, high, axis) * share
    return stretched
