"""The relevant region of a pattern: the patches above Otsu's threshold of a relevance map, and a box on them.

ASAP (2404.02990) uses the map as a mask; where to cut it was not read. Otsu's threshold (1979) splits the P
values into two groups of least inner variance and has no number to choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError

Array = NDArray[Any]


@dataclass(frozen=True)
class Regions:
    """Relevant regions of m maps over g × g patches.

    Attributes:
        mask: (m, g, g) bool, patches above Otsu's threshold; all false where a map is flat.
        boxes: (m, 4) float32, x0, y0, x1, y1 as fractions of the side: the box on the connected part of the
            mask that holds most relevance; the whole square where a map is flat.
        centre: (m, 2) float32, x, y of the centre of mass of the mask's relevance, as fractions of the side.
        area: (m,) float32, share of patches in the mask.
    """

    mask: NDArray[np.bool_]
    boxes: NDArray[np.float32]
    centre: NDArray[np.float32]
    area: NDArray[np.float32]

    def of(self, rows: Array) -> Regions:
        """The regions of some of the maps, by number or mask."""
        return Regions(self.mask[rows], self.boxes[rows], self.centre[rows], self.area[rows])


def otsu(maps: ArrayLike) -> NDArray[np.float64]:
    """Threshold (m,) of each map (m, P): values above it are the upper group; infinite for a flat map.

    Every cut between two neighbouring sorted values is tried, so there are no bins.
    """
    rows = np.sort(np.asarray(maps, dtype=np.float64), axis=1)
    size = rows.shape[1]
    if size < 2:
        return np.full(len(rows), np.inf)
    low = np.cumsum(rows, axis=1)[:, :-1]
    n_low = np.arange(1, size)
    n_high = size - n_low
    gap = low / n_low - (rows.sum(axis=1, keepdims=True) - low) / n_high
    between = n_low * n_high * gap**2
    # A cut inside a run of equal values is no cut.
    between[rows[:, 1:] <= rows[:, :-1]] = -1
    best = between.argmax(axis=1)
    cut = (
        np.take_along_axis(rows, best[:, None], axis=1) + np.take_along_axis(rows, best[:, None] + 1, axis=1)
    )[:, 0] / 2
    return np.where(rows[:, -1] > rows[:, 0], cut, np.inf)


def relevant_regions(maps: ArrayLike) -> Regions:
    """Regions of maps (m, P), P a square number, patches row by row.

    Example:
        >>> one = np.zeros((1, 16)); one[0, [5, 6]] = 1.0      # second row, second and third patch
        >>> relevant_regions(one).boxes.tolist(), float(relevant_regions(one).area[0])
        ([[0.25, 0.25, 0.75, 0.5]], 0.125)

    Raises:
        UsageError: P is no square number.
    """
    from scipy import ndimage

    rows = np.asarray(maps, dtype=np.float32)
    if rows.ndim != 2 or round(rows.shape[1] ** 0.5) ** 2 != rows.shape[1]:
        raise UsageError(f"Relevance maps are (m, P) with P a square number; got shape {rows.shape}.")
    m, side = len(rows), round(rows.shape[1] ** 0.5)
    mask = (rows > otsu(rows)[:, None]).reshape(m, side, side)
    boxes = np.tile(np.array([0, 0, 1, 1], dtype=np.float32), (m, 1))
    if mask.any():
        # One call for all maps: parts are connected within a map (diagonals too), never across maps.
        structure = np.zeros((3, 3, 3), dtype=bool)
        structure[1] = True
        parts, count = ndimage.label(mask, structure=structure)
        mass = np.bincount(parts.ravel(), weights=rows.ravel(), minlength=count + 1)[1:]
        found = ndimage.find_objects(parts)
        owner = np.array([box[0].start for box in found])
        # Last write wins, so the heaviest part of a map is written last.
        for index in np.argsort(mass, kind="stable"):
            _, y, x = found[index]
            boxes[owner[index]] = np.array([x.start, y.start, x.stop, y.stop]) / side
    return Regions(
        mask,
        boxes,
        _centres(np.where(mask.reshape(rows.shape), rows, 0), side),
        mask.mean(axis=(1, 2), dtype=np.float32),
    )


def _centres(rows: Array, side: int) -> NDArray[np.float32]:
    """Centres of mass (m, 2); the middle where a map is all zero."""
    places = (np.arange(side) + 0.5) / side
    y, x = np.meshgrid(places, places, indexing="ij")
    weight = np.maximum(rows, 0)
    total = weight.sum(axis=1, keepdims=True)
    share = np.where(total > 0, weight / np.where(total > 0, total, 1), 1 / rows.shape[1])
    return np.asarray(share @ np.stack([x.ravel(), y.ravel()], axis=1), dtype=np.float32)
