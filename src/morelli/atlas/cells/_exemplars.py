"""Exemplars: the images that stand for a cell, most typical first, and no image twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EXEMPLARS = 9
# Candidates per cell: with more, one crowded family of near-duplicates could still be all of them, and the
# cost of a level would grow with its fullest cell.
CANDIDATES = 36
# Two images closer than this share of the mean distance between two images of the collection are one image
# stored twice (re-saved, resized): their distilled values hardly differ.
SAME = 0.05
BLOCK = 131_072


def exemplars(
    V: NDArray[np.float32],
    first: NDArray[np.int64],
    copies: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Positions of each cell's exemplars, and where each cell's begin.

    Args:
        V: (n, K) standardised values, in the order of the cells.
        first: (m,) where each cell begins.
        copies: (n,) a number for each family of near-duplicates, if known.

    Returns:
        Positions (e,) into V and offsets (m + 1,): at most nine a cell, at least one, nearest to the mean of
        the cell first; of near-duplicates only the most typical.
    """
    n, m = len(V), len(first)
    if not m:
        return np.zeros(0, np.int32), np.zeros(1, np.int64)
    count = np.diff(first, append=n)
    cell = np.repeat(np.arange(m), count)
    ranked = _by_typicality(V, first, cell)
    near = SAME**2 * 2 * V.shape[1]
    chosen = np.full((m, EXEMPLARS), -1, np.int64)
    taken = np.zeros(m, np.int64)
    for rank in range(min(int(count.max()), CANDIDATES)):
        for active in _blocks(np.flatnonzero((count > rank) & (taken < EXEMPLARS))):
            candidate = ranked[first[active] + rank]
            fresh = np.ones(len(active), bool)
            for slot in range(int(taken[active].max())):
                other = chosen[active, slot]
                there = np.flatnonzero((other >= 0) & fresh)
                if not len(there):
                    continue
                mine, theirs = candidate[there], other[there]
                same = ((V[mine] - V[theirs]) ** 2).sum(axis=1) < near
                if copies is not None:
                    same |= copies[mine] == copies[theirs]
                fresh[there[same]] = False
            winners = active[fresh]
            chosen[winners, taken[winners]] = candidate[fresh]
            taken[winners] += 1
    offsets = np.concatenate([[0], np.cumsum(taken)])
    return chosen[chosen >= 0].astype(np.int32), offsets


def _by_typicality(
    V: NDArray[np.float32], first: NDArray[np.int64], cell: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Positions (n,) cell by cell, within each by distance to the cell's mean."""
    count = np.diff(first, append=len(V))
    total = np.empty((len(first), V.shape[1]))
    for k in range(V.shape[1]):
        total[:, k] = np.add.reduceat(V[:, k], first, dtype=np.float64)
    mean = (total / count[:, None]).astype(np.float32)
    distance = np.empty(len(V), np.float32)
    for low in range(0, len(V), BLOCK):
        part = slice(low, low + BLOCK)
        distance[part] = ((V[part] - mean[cell[part]]) ** 2).sum(axis=1)
    # Bits of non-negative floats rise with the number: one sort of whole keys instead of one for each column.
    key = (cell.astype(np.uint64) << np.uint64(32)) | distance.view(np.uint32)
    return np.argsort(key, kind="stable")


def _blocks(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[low : low + BLOCK] for low in range(0, len(rows), BLOCK)]


def standardised_values(V: NDArray[np.float32]) -> NDArray[np.float32]:
    """V (n, K) with unit spread in every column, as exemplars are measured."""
    spread = V.std(axis=0, dtype=np.float64)
    return np.asarray(V / np.where(spread > 1e-9, spread, 1).astype(np.float32), np.float32)
