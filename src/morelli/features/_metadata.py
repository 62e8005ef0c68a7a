"""Reading a manifest's own columns back out of the JSON column that holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from morelli.artefacts import parse_json
from morelli.errors import ArtifactError, UsageError
from morelli.features._schema import COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa


def expand_column(meta: pa.Table, name: str) -> pa.ChunkedArray:
    """Column `name` of `meta`, or the values that the JSON column `metadata` has under that name.

    Raises:
        UsageError: no row knows such a column; the message names those that exist.
    """
    import pyarrow as pa

    if name in meta.column_names:
        return meta.column(name)
    if "metadata" not in meta.column_names:
        raise UsageError(f"no column {name!r} is loaded; loaded are {', '.join(meta.column_names)}")
    rows = [_row(text) for text in meta.column("metadata").to_pylist()]
    known = sorted({key for row in rows for key in row})
    if name not in known:
        own = f" and, from the manifest, {', '.join(known)}" if known else ""
        raise UsageError(f"no column {name!r}; there are {', '.join(meta.column_names)}{own}")
    values = [row.get(name) for row in rows]
    return pa.chunked_array([pa.array([None if v is None else str(v) for v in values], pa.string())])


def _row(text: str | None) -> dict[str, Any]:
    """The manifest's own columns of one image, from the text of the column `metadata`.

    Raises:
        ArtifactError: it is no JSON object.
    """
    found = parse_json(text, "the feature table's column metadata") if text else {}
    if not isinstance(found, dict):
        raise ArtifactError("the feature table's column metadata must hold objects; extract again")
    return found


def with_entries(text: str | None, more: Mapping[str, str]) -> str:
    """The text of the column `metadata` with some entries set and the others left as they were.

    >>> with_entries('{"camera": "X100", "note": "old"}', {"note": "new"})
    '{"camera": "X100", "note": "new"}'

    Raises:
        ArtifactError: it is no JSON object.
    """
    return json.dumps({**_row(text), **more}, sort_keys=True)


def stored_columns(columns: Sequence[str] | None) -> list[str]:
    """The table's columns that must be read so that `columns` can be given."""
    if columns is None:
        return list(COLUMNS)
    return list(dict.fromkeys(name if name in COLUMNS else "metadata" for name in columns))


def select_columns(meta: pa.Table, columns: Sequence[str] | None) -> pa.Table:
    """`meta` with exactly `columns`, those inside the JSON column expanded; unchanged for None."""
    import pyarrow as pa

    if columns is None:
        return meta
    return pa.table({name: expand_column(meta, name) for name in columns})
