"""Which images lie inside a lasso or a rectangle."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError


def rows_in_rect(xy: NDArray[np.floating], rect: ArrayLike) -> NDArray[np.int64]:
    """Row numbers, rising, of places (n, 2) in a rectangle (x0, y0, x1, y1), its edges included.

    >>> rows_in_rect(np.array([[0.1, 0.1], [0.5, 0.5], [0.5, 0.9]]), [0.4, 0.4, 1, 0.9]).tolist()
    [1, 2]
    """
    bounds = np.asarray(rect, np.float64)
    if bounds.shape != (4,) or not np.isfinite(bounds).all():
        raise UsageError("a rectangle is four numbers: x0, y0, x1, y1")
    low, high = np.minimum(bounds[:2], bounds[2:]), np.maximum(bounds[:2], bounds[2:])
    (x0, y0), (x1, y1) = _inward(low, high, xy.dtype)
    x, y = xy[:, 0], xy[:, 1]
    return np.flatnonzero((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))


def _inward(
    low: NDArray[np.float64], high: NDArray[np.float64], kind: np.dtype[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """The lowest numbers of a kind that are not below `low`, and the highest that are not above `high`.

    Numbers of that kind lie between them exactly where they lie between the given bounds, and comparing
    them takes no copy of all places in double precision.
    """
    with np.errstate(over="ignore"):  # beyond the kind's range is infinity, and so is the comparison's result
        a, b = low.astype(kind), high.astype(kind)
        up, down = np.nextafter(a, np.inf, dtype=kind), np.nextafter(b, -np.inf, dtype=kind)
    return np.where(a < low, up, a), np.where(b > high, down, b)


def rows_in_polygon(xy: NDArray[np.floating], polygon: ArrayLike) -> NDArray[np.int64]:
    """Row numbers, rising, of places (n, 2) inside a polygon (v, 2), closed by itself, by the even-odd rule.

    A ray to the left of a place counts the edges that it crosses. Sorted by y, the places that an edge can
    concern are a range, so the cost is the crossings and not places times edges: a lasso of a thousand
    vertices costs as much as one of ten.

    Raises:
        UsageError: fewer than three vertices, or numbers that are not finite.

    >>> rows_in_polygon(np.array([[0.5, 0.3], [0.1, 0.9]]), [[0, 0], [1, 0], [1, 1]]).tolist()
    [0]
    """
    vertices = np.asarray(polygon, np.float64)
    if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 3 or not np.isfinite(vertices).all():
        raise UsageError("a polygon is a list of at least three points [x, y]")
    near = rows_in_rect(xy, [*vertices.min(axis=0), *vertices.max(axis=0)])
    x, y = xy[near, 0].astype(np.float64), xy[near, 1].astype(np.float64)
    by_y = np.argsort(y)
    x, y = x[by_y], y[by_y]
    inside = np.zeros(len(near), bool)
    ends = np.roll(vertices, -1, axis=0)
    below = np.searchsorted(y, np.minimum(vertices[:, 1], ends[:, 1]), side="left")
    above = np.searchsorted(y, np.maximum(vertices[:, 1], ends[:, 1]), side="left")
    for (x0, y0), (x1, y1), low, high in zip(vertices, ends, below, above, strict=True):
        if low < high:
            inside[low:high] ^= x[low:high] < (x1 - x0) * (y[low:high] - y0) / (y1 - y0) + x0
    return np.sort(near[by_y[inside]])
