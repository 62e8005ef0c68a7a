"""What a cell's glyph can show besides the pyramid's own sums: verdicts, doubt, and whose images they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import UNKNOWN, VERDICTS, Collection, verdict_of

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
    mean of 1 − |2p − 1|; `generators`, a list of counts of generated images for each of the generators that
    most of them come from. Their names are a JSON list in the schema's metadata, under `generators`.

    Args:
        table: what `pyramid.aggregate` gave for the level.
        probabilities: (n,) of the images, where dimensions are switched off; the collection's own if None.
    """
    import pyarrow as pa

    p = collection.probabilities if probabilities is None else probabilities
    verdicts = verdict_of(p, collection.base_thresholds)
    by_verdict = pyramid.counts_by(level, verdicts, len(VERDICTS), mask)
    doubt = pyramid.means(level, 1 - np.abs(2 * p - 1), mask).astype(np.float32)
    category = collection.category("generator")
    chosen = most_frequent(np.where(collection.labels == 1, category.codes, UNKNOWN), len(category.names))
    rank = np.full(len(category.names) + 1, UNKNOWN, dtype=np.int64)
    rank[chosen] = np.arange(len(chosen))
    groups = np.where(collection.labels == 1, rank[category.codes], UNKNOWN)
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
    names = json.dumps([category.names[code] for code in chosen])
    return table.replace_schema_metadata({**(table.schema.metadata or {}), "generators": names})


def most_frequent(codes: NDArray[np.integer], names: int, most: int = MOST_GENERATORS) -> list[int]:
    """The codes (n,) below `names` that occur most, most first, equal ones rising; negative ones are none.

    >>> most_frequent(np.array([1, 1, 0, -1]), 3)
    [1, 0]
    """
    counts = np.bincount(codes[codes >= 0], minlength=names)
    return [int(code) for code in np.argsort(-counts, kind="stable")[:most] if counts[code]]
