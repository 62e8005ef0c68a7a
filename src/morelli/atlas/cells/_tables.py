"""A level's cells as an Arrow table: what a glyph needs, one row per cell that holds images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from morelli.atlas.cells._morton import columns_and_rows
from morelli.atlas.cells._part import Part
from morelli.atlas.cells._sums import Sums


def cell_table(
    level: int,
    sums: Sums,
    first: NDArray[np.int64],
    n: int,
    shown: tuple[NDArray[np.int32], NDArray[np.int64]],
) -> pa.Table:
    """The table of a level, cells in Morton order.

    `cell` uint32 is iy·2^level + ix, with iy counted downwards from the top as pictures and tiles are;
    `start` and `end` int32 bound its images in the pyramid's order; `count`, `real`, `fake`, `unknown`, `fp`,
    `fn` int32; `probability` float32, the mean; `impact` and `spread`, K float32 each, mean and standard
    deviation of the signed shares of the logit; `exemplars`, at most nine row numbers, most typical first.

    Args:
        level: which.
        sums: of the m cells.
        first: (m,) where each begins in the order.
        n: images.
        shown: row numbers of exemplars one after the other, and offsets (m + 1,).
    """
    ix, iy = columns_and_rows(sums.cells)
    columns: dict[str, Any] = {
        "cell": ix + (iy << np.uint32(level)),
        "ix": ix.astype(np.uint16),
        "iy": iy.astype(np.uint16),
        "start": first.astype(np.int32),
        "end": np.append(first[1:], n).astype(np.int32),
        "count": sums.count.astype(np.int32),
        **summary(sums),
        "exemplars": pa.ListArray.from_arrays(shown[1].astype(np.int32), pa.array(shown[0])),
    }
    return pa.table({name: pa.array(c) if isinstance(c, np.ndarray) else c for name, c in columns.items()})


def summary(sums: Sums) -> dict[str, Any]:
    """The columns that depend on which images are summed up, of m cells that all hold some."""
    count = np.maximum(sums.count, 1)
    mean = sums.impact / count[:, None]
    variance = np.maximum(sums.squares / count[:, None] - mean**2, 0)
    empty = sums.count == 0
    mean[empty], variance[empty] = np.nan, np.nan
    return {
        "real": sums.real.astype(np.int32),
        "fake": sums.fake.astype(np.int32),
        "unknown": (sums.count - sums.real - sums.fake).astype(np.int32),
        "fp": sums.fp.astype(np.int32),
        "fn": sums.fn.astype(np.int32),
        "probability": np.where(empty, np.nan, sums.probability / count).astype(np.float32),
        "impact": _vectors(mean),
        "spread": _vectors(np.sqrt(variance)),
    }


def refilled(part: Part, sums: Sums) -> pa.Table:
    """The part's table with the columns of `summary` for its images, and `selected`."""
    base = part.table
    columns = summary(sums) | {"selected": sums.count.astype(np.int32)}
    if part.mask is not None:
        columns["exemplars"] = _chosen_exemplars(base, sums.count, part.mask, part.rows)
    for name, column in columns.items():
        array = pa.array(column) if isinstance(column, np.ndarray) else column
        if name in base.column_names:
            base = base.set_column(base.column_names.index(name), name, array)
        else:
            base = base.append_column(name, array)
    return base


def _chosen_exemplars(
    base: pa.Table, selected: NDArray[np.int64], chosen: NDArray[np.bool_], rows: NDArray[np.int32]
) -> pa.ListArray:
    """The exemplars that are selected; where none is, the first selected image of the cell."""
    lists = base["exemplars"].combine_chunks()
    offsets = lists.offsets.to_numpy().astype(np.int64)
    numbers = lists.values.to_numpy()[offsets[0] : offsets[-1]]
    cell = np.repeat(np.arange(len(lists)), np.diff(offsets))
    kept = chosen[numbers]
    count = np.bincount(cell[kept], minlength=len(lists))
    lacking = np.flatnonzero((count == 0) & (selected > 0))
    first = np.concatenate([[0], np.cumsum(selected)])[:-1]
    of = np.concatenate([cell[kept], lacking])
    shown = np.concatenate([numbers[kept], rows[first[lacking]]])
    order = np.argsort(of, kind="stable")
    count[lacking] = 1
    ends = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
    return pa.ListArray.from_arrays(ends, pa.array(shown[order].astype(np.int32)))


def _vectors(values: NDArray[np.float64]) -> pa.FixedSizeListArray:
    flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
