"""How often each code occurs in each of many columns, for any part of the rows, in a few passes.

Columns of few codes are digits of one larger number: two of 48 codes are one of 2,304. One pass counts that
number, and the sums over its other digits are the counts of each column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_CODES = 4096
"""Codes of a packed column at most: its counters then stay in the cache nearest to the core."""


@dataclass(frozen=True, eq=False)
class JointCounts:
    """Columns of codes, packed.

    `packed` has n numbers each, the digits of as many columns as `sizes` has entries at its place, the first
    column being the most significant.
    """

    packed: tuple[NDArray[Any], ...]
    sizes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, columns: Iterable[NDArray[np.integer]], sizes: Sequence[int]) -> JointCounts:
        """Pack columns (n,), whose codes lie from 0 to below `sizes`; only a few are in memory at a time."""
        given = iter(columns)
        groups = list(_groups(sizes))
        return cls(tuple(_packed(given, group) for group in groups), tuple(groups))

    def count(self, rows: NDArray[np.integer] | None = None) -> list[NDArray[np.int64]]:
        """Occurrences (size,) of each column's codes, column by column, among `rows` or among all.

        >>> JointCounts.of([np.array([0, 2, 2]), np.array([1, 1, 0])], [3, 2]).count(np.array([0, 1]))
        [array([1, 0, 1]), array([0, 2])]
        """
        found = []
        for column, sizes in zip(self.packed, self.sizes, strict=True):
            chosen = column if rows is None else column[rows]
            counts = np.bincount(chosen, minlength=int(np.prod(sizes))).reshape(sizes)
            axes = range(len(sizes))
            found += [counts.sum(axis=tuple(other for other in axes if other != axis)) for axis in axes]
        return found


def _groups(sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Neighbouring columns whose joint codes are few enough; a column with more stands alone."""
    group: tuple[int, ...] = ()
    codes = 1
    for size in sizes:
        if group and codes * size > MOST_CODES:
            yield group
            group, codes = (), 1
        group, codes = (*group, size), codes * size
    if group:
        yield group


def _packed(columns: Iterator[NDArray[np.integer]], sizes: tuple[int, ...]) -> NDArray[Any]:
    kind = np.min_scalar_type(int(np.prod(sizes)))
    packed = next(columns).astype(kind)
    for size in sizes[1:]:
        packed *= kind.type(size)
        packed += next(columns).astype(kind)
    return packed
