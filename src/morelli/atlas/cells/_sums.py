"""Sums over cells: one pass over the images, then every coarser level from its children."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas.cells._rows import FALSE_NEGATIVE, FALSE_POSITIVE, Scored

BLOCK = 131_072


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
    images: Scored,
) -> Sums:
    """Sums of n images, given in the order of their cells (n,)."""
    first = starts_of(cells)
    of = np.zeros(len(cells), np.int64)
    of[first[1:]] = 1
    of = np.cumsum(of)
    m = len(first)

    def counted(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(of[mask], minlength=m).astype(np.int64)

    impact, squares = segment_sums(images.impacts, first)
    return Sums(
        cells[first],
        np.diff(first, append=len(cells)).astype(np.int64),
        counted(images.labels == 0),
        counted(images.labels == 1),
        counted(images.errors == FALSE_POSITIVE),
        counted(images.errors == FALSE_NEGATIVE),
        np.bincount(of, images.probability, minlength=m).astype(np.float64),
        impact,
        squares,
    )


def segment_sums(
    X: NDArray[np.float32], first: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums and sums of squares (m, K) of the rows of X (n, K) from each of `first` (m,) to the next."""
    from scipy.sparse import csr_matrix

    total, squares = np.zeros((2, len(first), X.shape[1]))
    ends = np.append(first[1:], len(X))
    # A sparse matrix of ones adds rows a few times faster than np.add.reduceat along the first axis does.
    segment = 0
    while segment < len(first):
        low = int(first[segment])
        last = max(segment + 1, int(np.searchsorted(ends, low + BLOCK, side="right")))
        high = int(ends[last - 1])
        block = X[low:high].astype(np.float64)
        bounds = np.append(first[segment:last], high) - low
        ones = csr_matrix(
            (np.ones(high - low), np.arange(high - low), bounds), shape=(last - segment, high - low)
        )
        total[segment:last] = ones @ block
        squares[segment:last] = ones @ (block * block)
        segment = last
    return total, squares


def starts_of(keys: NDArray[Any]) -> NDArray[np.int64]:
    """Where each run of equal keys begins, in sorted keys (n,).

    >>> starts_of(np.array([3, 3, 5, 8, 8])).tolist()
    [0, 2, 3]
    """
    if not len(keys):
        return np.zeros(0, np.int64)
    return np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1]).astype(np.int64)
