"""What a cell or a point of the map is coloured by: any column of the collection, for every image."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._fields import Field

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.atlas.cells._part import Part

MOST_NAMES = 10
"""Names of a column that have a colour of their own; more hues cannot be told apart."""
OTHER, MISSING = MOST_NAMES, MOST_NAMES + 1
CODES = MOST_NAMES + 2


@dataclass(frozen=True, eq=False)
class ColourColumn:
    """A column as colours.

    `values` (n,): of a ``category`` uint8 places in `names`, `OTHER` for further names and `MISSING` for
    none; of a ``scale`` float32 from 0 to 1, the ends of the column's histogram, NaN for none.
    """

    name: str
    kind: Literal["category", "scale"]
    values: NDArray[Any]
    names: tuple[str, ...] = ()

    @classmethod
    def of_field(cls, field: Field) -> ColourColumn:
        """The column whose most frequent names, or the places of whose bins, are colours."""
        if field.kind != "category":
            places = (np.arange(len(field.total), dtype=np.float32) - 0.5) / max(1, len(field.total) - 1)
            places[0] = np.nan
            return cls(field.name, "scale", places[field.codes])
        order = np.argsort(-field.total[1:], kind="stable")
        chosen = [int(i) for i in order[:MOST_NAMES] if field.total[i + 1]]
        ranks = np.full(len(field.total), OTHER, np.uint8)
        ranks[0] = MISSING
        ranks[np.array(chosen, np.int64) + 1] = np.arange(len(chosen))
        return cls(field.name, "category", ranks[field.codes], tuple(field.names[i] for i in chosen))

    @classmethod
    def of_masks(cls, name: str, masks: Mapping[str, NDArray[np.bool_]], n: int) -> ColourColumn:
        """Names of which an image may have several: it has the colour of its most frequent one.

        >>> red, big = np.array([True, False, False]), np.array([True, True, False])
        >>> column = ColourColumn.of_masks("tag", {"red": red, "big": big}, 3)
        >>> column.names, column.values.tolist()
        (('big', 'red'), [0, 0, 11])
        """
        order = sorted(masks, key=lambda one: (-int(np.count_nonzero(masks[one])), one))
        values = np.full(n, MISSING, np.uint8)
        for rank, one in reversed(list(enumerate(order))):
            values[masks[one]] = min(rank, OTHER)
        return cls(name, "category", values, tuple(order[:MOST_NAMES]))


def with_colours(table: pa.Table, part: Part, columns: Sequence[ColourColumn]) -> pa.Table:
    """A table of cells with a further column for each of some columns: `colour0`, `colour1`, ….

    Of a category a list of `CODES` counts of images; of a scale the mean place of those that have a value,
    and their number. The schema's metadata say under `colours`, as JSON, name, kind and names of each.
    """
    import pyarrow as pa

    for i, column in enumerate(columns):
        if column.kind == "category":
            cells = part.counts_by(column.values, CODES).astype(np.float32)
        else:
            known = np.isfinite(column.values)
            count = part.counts_by(known, 2)[:, 1]
            total = part.means(np.where(known, column.values, 0)) * np.diff(part.bounds)
            mean = np.divide(total, count, out=np.zeros(len(count)), where=count > 0)
            cells = np.stack([mean, count], axis=1).astype(np.float32)
        flat = pa.array(np.ascontiguousarray(cells).reshape(-1))
        table = table.append_column(f"colour{i}", pa.FixedSizeListArray.from_arrays(flat, cells.shape[1]))
    about = [{"name": one.name, "kind": one.kind, "names": one.names} for one in columns]
    return table.replace_schema_metadata({**(table.schema.metadata or {}), "colours": json.dumps(about)})
