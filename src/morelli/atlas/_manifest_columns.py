"""Columns that only the manifest had, out of the JSON text that keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from morelli.artefacts import parse_json
from morelli.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

FREE_TEXT = 200
"""A manifest column with more different values than this is text to search, not a category to filter by."""


def manifest_column(metadata: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Column `name` of the manifest as strings, null where a row has none.

    Raises:
        UsageError: no row has it; the message names those that exist.
    """
    import pyarrow as pa

    values = []
    known: set[str] = set()
    for text in metadata.to_pylist():
        row = _row(text)
        known.update(row)
        value = row.get(name)
        values.append(None if value is None else str(value))
    if name not in known:
        raise UsageError(
            f"No image has a column {name!r}; the manifest's own are {', '.join(sorted(known))}."
        )
    return pa.chunked_array([pa.array(values, pa.string())])


def manifest_categories(metadata: pa.ChunkedArray, *, sample: int = 20_000) -> list[str]:
    """Names of the manifest's columns that hold few enough values to filter by, by the first rows."""
    found: dict[str, set[str]] = {}
    for text in metadata.slice(0, sample).to_pylist():
        for name, value in _row(text).items():
            found.setdefault(name, set()).add(str(value))
    return sorted(name for name, values in found.items() if 1 < len(values) <= FREE_TEXT)


def _row(text: str | None) -> dict[str, Any]:
    found = parse_json(text, "the atlas's column metadata") if text else {}
    if not isinstance(found, dict):
        raise ArtifactError("the atlas's column metadata must hold objects; build the atlas again")
    return found
