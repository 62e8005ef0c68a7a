"""Some images of some cells: found once for everything that a view of a selection sums up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError


@dataclass(frozen=True, eq=False)
class Part:
    """The selected images of m cells of one level, which are the whole level or a tile of it.

    Attributes:
        table: of the cells, as the pyramid stores it.
        cells: (m,) their Morton codes.
        at: where the s images stand in the pyramid's order.
        rows: (s,) their row numbers, cell by cell.
        bounds: (m + 1,) where each cell's begin in `rows`, and where the last one's end.
        mask: (n,) by row number, what was selected; None where all images were.
    """

    table: pa.Table
    cells: NDArray[np.uint32]
    at: NDArray[np.int64] | slice
    rows: NDArray[np.int32]
    bounds: NDArray[np.int64]
    mask: NDArray[np.bool_] | None

    @classmethod
    def of(
        cls,
        table: pa.Table,
        cells: NDArray[np.uint32],
        order: NDArray[np.int32],
        mask: NDArray[np.bool_] | None,
    ) -> Part:
        """The images that `mask` (n,) selects, by row number, of neighbouring cells in the order (n,)."""
        starts = table["start"].to_numpy().astype(np.int64)
        ends = table["end"].to_numpy()[-1:].astype(np.int64)
        bounds = np.concatenate([starts, ends]) if len(starts) else np.zeros(1, np.int64)
        low, high = int(bounds[0]), int(bounds[-1])
        if mask is None:
            return cls(table, cells, slice(low, high), order[low:high], bounds - low, None)
        at = low + np.flatnonzero(mask[order[low:high]])
        return cls(table, cells, at, order[at], np.searchsorted(at, bounds).astype(np.int64), mask)

    @cached_property
    def of_cell(self) -> NDArray[np.int64]:
        """(s,) place among the cells of each image's."""
        return np.repeat(np.arange(len(self.cells)), np.diff(self.bounds))

    def means(self, values: ArrayLike) -> NDArray[np.float64]:
        """Mean (m,) of any number per image, (n,) by row number, over each cell's; NaN where it has none."""
        m, count = len(self.cells), np.diff(self.bounds)
        total = np.bincount(self.of_cell, np.asarray(values)[self.rows], minlength=m)
        return np.asarray(np.divide(total, count, out=np.full(m, np.nan), where=count > 0))

    def counts_by(self, groups: ArrayLike, n_groups: int) -> NDArray[np.int64]:
        """Images (m, n_groups) of each group in each cell, such as generators or sources.

        Args:
            groups: (n,) numbers from 0 to n_groups - 1 by row number; negative ones count nowhere.
            n_groups: how many groups there are.

        Raises:
            UsageError: a group of a higher number.
        """
        group: NDArray[Any] = np.asarray(groups)[self.rows]
        if len(group) and group.max() >= n_groups:
            raise UsageError(f"group {int(group.max())} where {n_groups} were announced")
        # Negative ones are counted in a column of their own, which is cheaper than leaving them out.
        place = np.maximum(group.astype(np.int64), -1)
        m = len(self.cells)
        flat = np.bincount(self.of_cell * (n_groups + 1) + place + 1, minlength=m * (n_groups + 1))
        return flat.reshape(m, n_groups + 1)[:, 1:].astype(np.int64)
