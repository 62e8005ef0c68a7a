"""Columns that only the manifest had, out of the JSON text that keeps them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.artefacts import parse_json
from morelli.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

FREE_TEXT = 200
"""A manifest column with more different values than this is text to search, not a category to filter by."""
FEW_NUMBERS = 12
"""A column of numbers with no more different values than this is a category: a rating, a version."""

ManifestKind = Literal["category", "number", "date"]

_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*")
_DATE = re.compile(
    r"\s*\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?\s?(Z|[+-]\d{2}:?\d{2})?)?\s*", re.ASCII
)


def manifest_column(metadata: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Column `name` of the manifest as strings, null where a row has none.

    Raises:
        UsageError: no row has it; the message names those that exist, if any.
    """
    import pyarrow as pa

    values = []
    known: set[str] = set()
    for row in _rows(metadata):
        known.update(row)
        value = row.get(name)
        values.append(None if value is None else str(value))
    if name not in known:
        own = f"; the manifest's own are {', '.join(sorted(known))}" if known else ""
        raise UsageError(f"No image has a column {name!r}{own}.")
    return pa.chunked_array([pa.array(values, pa.string())])


def manifest_categories(metadata: pa.ChunkedArray, *, sample: int = 20_000) -> list[str]:
    """Names of the manifest's columns that hold few enough values to filter by, by the first rows."""
    found: dict[str, set[str]] = {}
    for row in _rows(metadata.slice(0, sample)):
        for name, value in row.items():
            found.setdefault(name, set()).add(str(value))
    return sorted(name for name, values in found.items() if 1 < len(values) <= FREE_TEXT)


def manifest_kinds(metadata: pa.ChunkedArray, *, sample: int = 20_000) -> dict[str, ManifestKind]:
    """What the manifest's columns hold, by the first rows and in alphabetical order.

    `date`: all values are ISO dates or times; `number`: all are numbers, more than a dozen different ones;
    `category`: names, at most `FREE_TEXT` different ones. Columns of one value only, and of text, are left
    out.
    """
    found: dict[str, set[Any]] = {}
    for row in _rows(metadata.slice(0, sample)):
        for name, value in row.items():
            if value is not None and value != "":
                found.setdefault(name, set()).add(value if isinstance(value, int | float) else str(value))
    kinds: dict[str, ManifestKind] = {}
    for name, values in sorted(found.items()):
        if len(values) < 2:
            continue
        if all(not math.isnan(seconds(value)) for value in values):
            kinds[name] = "date"
        elif len(values) > FEW_NUMBERS and all(not math.isnan(_number(value)) for value in values):
            kinds[name] = "number"
        elif len(values) <= FREE_TEXT:
            kinds[name] = "category"
    return kinds


def manifest_numbers(
    metadata: pa.ChunkedArray, numbers: Sequence[str], dates: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """(n,) of each of some columns, in one pass over all rows; NaN where a row has none.

    Dates are seconds since 1970 in UTC.
    """
    found = {name: np.full(len(metadata), np.nan) for name in (*numbers, *dates)}
    read = dict.fromkeys(numbers, _number) | dict.fromkeys(dates, seconds)
    for i, row in enumerate(_rows(metadata)):
        for name, of in read.items():
            if name in row:
                found[name][i] = of(row[name])
    return found


def seconds(value: Any) -> float:
    """Seconds since 1970 of an ISO date or time, UTC where it names no zone; NaN where it is none.

    >>> seconds("1970-01-02"), seconds("1970-01-01T01:00+01:00"), seconds("portrait")
    (86400.0, 0.0, nan)
    """
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return math.nan
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        return math.nan
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return math.nan
    found = float(value)
    return found if math.isfinite(found) else math.nan


def _rows(metadata: pa.ChunkedArray) -> Iterator[dict[str, Any]]:
    chunks: Iterable[Any] = metadata.chunks
    for chunk in chunks:
        yield from map(_row, chunk.to_pylist())


def _row(text: str | None) -> dict[str, Any]:
    found = parse_json(text, "the atlas's column metadata") if text and text != "{}" else {}
    if not isinstance(found, dict):
        raise ArtifactError("the atlas's column metadata must hold objects; build the atlas again")
    return found
