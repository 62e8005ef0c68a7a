"""What a cell's glyph can show besides the pyramid's own sums: verdicts, doubt, and whose images they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import VERDICTS, Collection, verdict_of

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.atlas.cells._part import Part

MOST_GENERATORS = 10
"""Generators that are told apart on the map; hues for more cannot be told apart."""


def with_facets(
    table: pa.Table,
    part: Part,
    collection: Collection,
    *,
    probabilities: NDArray[Any] | None = None,
) -> pa.Table:
    """A table of cells with six more columns, of the part's images.

    `ai` and `inconclusive` int32, images of these verdicts (the rest is `real`); `tp` int32, generated images
    of the former, and `unanswered` int32, labelled ones of the latter. `fp` and `fn` become those of
    verdicts: no answer is no error. `uncertainty` float32, the mean of 1 − |2p − 1|; `generators`, a list of
    counts of generated images for each of the generators that most of them come from. Their names are a JSON
    list in the schema's metadata, under `generators`.

    Args:
        table: what `pyramid.summed` gave for the part.
        probabilities: (n,) of the images, where dimensions are switched off; the collection's own if None.
    """
    import pyarrow as pa

    verdicts, uncertainties = collection.verdicts, collection.uncertainties
    if probabilities is not None:
        verdicts = verdict_of(probabilities, collection.base_thresholds)
        uncertainties = np.asarray(1 - np.abs(2 * probabilities - 1), dtype=np.float32)
    real, unsure, ai = range(len(VERDICTS))
    # One pass for labels and verdicts together: the number of both, labels counted from unknown.
    both = np.int8(3) * verdicts + collection.labels + np.int8(1)
    table_of = part.counts_by(both, 9).reshape(-1, 3, 3).astype(np.int32)
    by_verdict = table_of.sum(axis=2, dtype=np.int32)
    doubt = part.means(uncertainties).astype(np.float32)
    chosen, groups = collection.main_generators(MOST_GENERATORS)
    by_generator = part.counts_by(groups, max(1, len(chosen))).astype(np.int32)
    columns = {
        "fp": pa.array(table_of[:, ai, 1]),
        "fn": pa.array(table_of[:, real, 2]),
        "tp": pa.array(table_of[:, ai, 2]),
        "ai": pa.array(by_verdict[:, ai]),
        "inconclusive": pa.array(by_verdict[:, unsure]),
        "unanswered": pa.array(table_of[:, unsure, 1:].sum(axis=1, dtype=np.int32)),
        "uncertainty": pa.array(doubt),
        "generators": pa.FixedSizeListArray.from_arrays(
            pa.array(np.ascontiguousarray(by_generator).reshape(-1)), by_generator.shape[1]
        ),
    }
    for name, column in columns.items():
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    names = json.dumps(chosen)
    return table.replace_schema_metadata({**(table.schema.metadata or {}), "generators": names})
