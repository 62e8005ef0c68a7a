"""What a cell's glyph can show besides the pyramid's own sums: verdicts, doubt, and whose images they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import UNKNOWN, VERDICTS, Category, Collection, verdict_of

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.atlas.cells import Pyramid

MOST_GENERATORS = 10
"""Generators that are told apart on the map; hues for more cannot be told apart."""


def with_facets(
    table: pa.Table,
    pyramid: Pyramid,
    level: int,
    collection: Collection,
    *,
    mask: NDArray[np.bool_] | None = None,
    probabilities: NDArray[Any] | None = None,
) -> pa.Table:
    """A level's table with four more columns, of the selected images where `mask` (n,) selects some.

    `ai` and `inconclusive` int32, images of these verdicts (the rest is `real`); `uncertainty` float32, the
    mean of 1 − |2p − 1|; `generators`, a list of counts of generated images for each of the most frequent
    generators, in the order of `most_frequent`.

    Args:
        table: what `pyramid.aggregate` gave for the level.
        probabilities: (n,) of the images, where dimensions are switched off; the collection's own if None.
    """
    import pyarrow as pa

    p = collection.probabilities if probabilities is None else probabilities
    verdicts = verdict_of(p, collection.base_thresholds)
    by_verdict = pyramid.counts_by(level, verdicts, len(VERDICTS), mask)
    doubt = pyramid.means(level, 1 - np.abs(2 * p - 1), mask).astype(np.float32)
    chosen = most_frequent(collection.category("generator"))
    rank = np.full(len(collection.category("generator").names) + 1, UNKNOWN, dtype=np.int64)
    rank[list(chosen)] = np.arange(len(chosen))
    groups = np.where(collection.labels == 1, rank[collection.category("generator").codes], UNKNOWN)
    by_generator = pyramid.counts_by(level, groups, max(1, len(chosen)), mask).astype(np.int32)
    columns = {
        "ai": pa.array(by_verdict[:, VERDICTS.index("ai")].astype(np.int32)),
        "inconclusive": pa.array(by_verdict[:, VERDICTS.index("inconclusive")].astype(np.int32)),
        "uncertainty": pa.array(doubt),
        "generators": pa.FixedSizeListArray.from_arrays(
            pa.array(np.ascontiguousarray(by_generator).reshape(-1)), by_generator.shape[1]
        ),
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def most_frequent(category: Category, most: int = MOST_GENERATORS) -> Sequence[int]:
    """Codes of the names that most images have, most first; equal ones in alphabetical order.

    >>> most_frequent(Category(("b", "a", "c"), np.array([1, 1, 0, -1], dtype=np.int32)), 2)
    [1, 0]
    """
    counts = np.bincount(category.codes[category.codes >= 0], minlength=len(category.names))
    return [int(code) for code in np.argsort(-counts, kind="stable")[:most]]
