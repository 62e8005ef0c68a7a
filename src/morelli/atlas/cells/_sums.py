"""Sums over cells: one pass over the images, then every coarser level from its children."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas.cells._rows import FALSE_NEGATIVE, FALSE_POSITIVE, Scored

BLOCK = 16_384
"""Images summed up at a time: what is computed of them mostly stays in the cache."""


@dataclass(frozen=True)
class Sums:
    """Sums of the images of m cells of one level; `cells` (m,) are rising Morton codes of that level.

    Counts are int64 (m,), sums float64: `probability` (m,), `impact` and `squares` (m, K).
    """

    cells: NDArray[np.uint32]
    count: NDArray[np.int64]
    real: NDArray[np.int64]
    fake: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]
    probability: NDArray[np.float64]
    impact: NDArray[np.float64]
    squares: NDArray[np.float64]

    def coarser(self, levels: int = 1) -> Sums:
        """The sums of the cells `levels` levels up, from these."""
        parents = self.cells >> np.uint32(2 * levels)
        first = starts_of(parents)
        if not len(first):
            return self
        rest = (f.name for f in fields(self) if f.name != "cells")
        return Sums(parents[first], *(np.add.reduceat(getattr(self, name), first, axis=0) for name in rest))


def sums_of(
    cells: NDArray[np.uint32],
    bounds: NDArray[np.int64],
    images: Scored,
    at: NDArray[np.integer] | slice = slice(None),
) -> Sums:
    """Sums of images that are given in the order of their cells.

    Args:
        cells: (m,) rising Morton codes; a cell may be empty.
        bounds: (m + 1,) where the images of each begin, and where those of the last end.
        images: what is summed up.
        at: those of `images` that are, rising; all by default.
    """
    m = len(cells)
    count = np.diff(bounds)
    of = np.repeat(np.arange(m), count)
    # One pass for labels and errors together: the code of both is a digit of the cell's number.
    code = (images.labels[at] + np.int8(1)) * np.int8(3) + images.errors[at]
    table = np.bincount(of * 9 + code, minlength=9 * m).reshape(m, 3, 3).astype(np.int64)
    impact, squares = segment_sums(images.impacts, bounds, at)
    return Sums(
        cells,
        count,
        table[:, 1].sum(axis=1),
        table[:, 2].sum(axis=1),
        table[:, :, FALSE_POSITIVE].sum(axis=1),
        table[:, :, FALSE_NEGATIVE].sum(axis=1),
        np.bincount(of, images.probability[at], minlength=m).astype(np.float64),
        impact,
        squares,
    )


def segment_sums(
    X: NDArray[np.float32], bounds: NDArray[np.int64], at: NDArray[np.integer] | slice = slice(None)
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums and sums of squares (m, K) of the rows of X[at] between neighbouring `bounds` (m + 1,).

    Which segments are summed up together makes no difference to any of them, to the last bit.
    """
    from scipy.sparse import csr_matrix

    k = X.shape[1]
    found = np.zeros((len(bounds) - 1, 2 * k))
    X, chosen = (X[at], None) if isinstance(at, slice) else (X, at)

    def add(segment: int, last: int, low: int, high: int) -> None:
        both = np.empty((high - low, 2 * k))
        # take gathers rows faster than an index does.
        both[:, :k] = X[low:high] if chosen is None else np.take(X, chosen[low:high], axis=0)
        np.square(both[:, :k], out=both[:, k:])
        # A sparse matrix of ones adds rows a few times faster than np.add.reduceat along the first axis does.
        ends = np.clip(bounds[segment : last + 1] - low, 0, high - low)
        ones = csr_matrix(
            (np.ones(high - low), np.arange(high - low), ends), shape=(last - segment, high - low)
        )
        found[segment:last] += ones @ both

    segment = 0
    while segment < len(found):
        low = int(bounds[segment])
        last = max(segment + 1, int(np.searchsorted(bounds, low + BLOCK, side="right")) - 1)
        high = int(bounds[last])
        for part in range(low, high, BLOCK):
            add(segment, last, part, min(high, part + BLOCK))
        segment = last
    return found[:, :k], found[:, k:]


def starts_of(keys: NDArray[Any]) -> NDArray[np.int64]:
    """Where each run of equal keys begins, in sorted keys (n,).

    >>> starts_of(np.array([3, 3, 5, 8, 8])).tolist()
    [0, 2, 3]
    """
    if not len(keys):
        return np.zeros(0, np.int64)
    return np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1]).astype(np.int64)
