"""Counterfactual pictures: the same photograph with one region blurred, inpainted, replaced or made plain."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from morelli.errors import UsageError

Array = NDArray[Any]
How = Literal["blur", "inpaint", "replace", "mean"]
"""What is done to the region:

``blur``: a Gaussian of an eighth of the region's side; takes detail away, keeps colours and large shapes;
``inpaint``: the surroundings continued smoothly (the harmonic function with their colours at the border);
``replace``: another place of the same picture, of the same size, which keeps the picture's own statistics;
``mean``: the mean colour of the surroundings."""

_RELAXATIONS = 60


def region_mask(region: ArrayLike, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels (height, width) of a box (x0, y0, x1, y1) in fractions of the sides, or of a patch mask (g, g).

    Raises:
        UsageError: neither, or a region without a pixel.
    """
    width, height = size
    shape = np.asarray(region)
    mask = np.zeros((height, width), dtype=bool)
    if shape.shape == (4,):
        x0, x1 = np.round(shape[[0, 2]].astype(float) * width).astype(int)
        y0, y1 = np.round(shape[[1, 3]].astype(float) * height).astype(int)
        mask[max(y0, 0) : y1, max(x0, 0) : x1] = True
    elif shape.ndim == 2 and shape.dtype == bool:
        rows = np.arange(height) * shape.shape[0] // height
        mask = shape[rows][:, np.arange(width) * shape.shape[1] // width]
    else:
        raise UsageError(
            f"A region is a box of four fractions of the sides or a 2-D mask of booleans; got {shape.shape}."
        )
    if not mask.any():
        raise UsageError("The region holds no pixel; boxes are x0, y0, x1, y1 with x0 < x1 and y0 < y1.")
    return mask


def edit_region(
    image: Image.Image, region: ArrayLike, how: How = "inpaint", *, rng: np.random.Generator | None = None
) -> Image.Image:
    """The RGB image with a region edited; pixels outside it stay as they are, bit by bit.

    Args:
        image: RGB, at the encoder's resolution, so that nothing is resampled afterwards.
        region: a box (x0, y0, x1, y1) in fractions of the sides, or a mask of patches (g, g).
        how: see `How`.
        rng: where ``replace`` takes its pixels from; a fixed seed if None.

    Raises:
        UsageError: an unknown edit, or a region without a pixel.
    """
    if how not in get_args(How):
        raise UsageError(f"how is one of {', '.join(get_args(How))}, not {how!r}.")
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    mask = region_mask(region, image.size)
    if how == "blur":
        new = _blurred(pixels, mask)
    elif how == "inpaint":
        new = inpaint(pixels, mask)
    elif how == "replace":
        new = _elsewhere(pixels, mask, rng or np.random.default_rng(0))
    else:
        new = np.broadcast_to(_surroundings(pixels, mask), pixels.shape)
    edited = np.where(mask[..., None], np.rint(np.clip(new, 0, 255)), pixels)
    return Image.fromarray(edited.astype(np.uint8))


def _extent(mask: Array) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _blurred(pixels: Array, mask: Array) -> Array:
    from scipy.ndimage import gaussian_filter

    sigma = max(2.0, float(np.sqrt(mask.sum())) / 8)
    return np.asarray(gaussian_filter(pixels, sigma=(sigma, sigma, 0), mode="nearest"))


def _surroundings(pixels: Array, mask: Array) -> Array:
    """Mean colour (3,) of a band around the mask, or of everything where the mask leaves no band."""
    from scipy.ndimage import binary_dilation

    band = binary_dilation(mask, iterations=4) & ~mask
    return np.asarray(pixels[band].mean(axis=0) if band.any() else pixels.reshape(-1, 3).mean(axis=0))


def inpaint(pixels: Array, mask: Array) -> NDArray[np.float32]:
    """Pixels (h, w, 3) with the masked ones replaced by the harmonic function of their surroundings.

    Each masked pixel becomes the mean of its four neighbours: Laplace's equation, solved on coarser pictures
    first, since a coarse solution is near the fine one and a sweep carries colours one pixel only.
    """
    if not mask.any() or mask.all():
        return np.broadcast_to(pixels.reshape(-1, 3).mean(axis=0), pixels.shape).astype(np.float32)
    h, w = mask.shape
    filled = pixels.astype(np.float32).copy()
    if min(h, w) >= 8:
        weight = _halved((~mask).astype(np.float32)[..., None])
        coarse = _halved(np.where(mask[..., None], 0, filled)) / np.maximum(weight, 1e-6)
        start = inpaint(coarse, weight[..., 0] == 0) if (weight == 0).any() else coarse
        filled[mask] = start.repeat(2, axis=0).repeat(2, axis=1)[:h, :w][mask]
    else:
        filled[mask] = pixels[~mask].mean(axis=0)
    y, x = _extent(mask)
    part = (slice(max(y.start - 1, 0), y.stop + 1), slice(max(x.start - 1, 0), x.stop + 1))
    area, inside = filled[part], mask[part][..., None]
    for _ in range(_RELAXATIONS):
        padded = np.pad(area, ((1, 1), (1, 1), (0, 0)), mode="edge")
        mean = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4
        area = np.where(inside, mean, area)
    filled[part] = area
    return filled


def _halved(x: Array) -> Array:
    """Means of blocks of 2 × 2, the last row and column repeated where a side is odd."""
    h, w = x.shape[:2]
    x = np.pad(x, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    return np.asarray(x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).mean(axis=(1, 3)))


def _elsewhere(pixels: Array, mask: Array, rng: np.random.Generator) -> Array:
    """The picture moved so that another place of it lies on the region, one that overlaps it least."""
    y, x = _extent(mask)
    height, width = y.stop - y.start, x.stop - x.start
    h, w = mask.shape
    best, least = (0, 0), 2.0
    for _ in range(20):
        top, left = int(rng.integers(h - height + 1)), int(rng.integers(w - width + 1))
        overlap = mask[top : top + height, left : left + width].mean()
        if overlap < least:
            best, least = (top, left), float(overlap)
    moved = pixels.copy()
    moved[y, x] = pixels[best[0] : best[0] + height, best[1] : best[1] + width]
    return moved
