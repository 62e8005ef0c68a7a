"""Which images are meant: a selection is a small JSON document, and a mask over the collection.

The document, and not the mask, is what a URL carries, what is saved under a name and what is exported, so a
selection means the same after images were added. Its clauses: `cells`, `polygon`, `rect`, `column` with `in`
or `range`, `dimension` with `range`, `prototype`, `rows`, `copies`, `text`, and `and`, `or`, `not` over them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import ERRORS, FILE_NUMBERS, LABELS, UNKNOWN, VERDICTS, Collection
from morelli.atlas._manifest_columns import seconds
from morelli.atlas._tags import COLUMN as TAG_COLUMN
from morelli.errors import UsageError

Mask = NDArray[np.bool_]
Spec = Mapping[str, Any]

EVERYTHING: Spec = {"and": []}
MOST_CLAUSES = 256
MOST_VALUES = 100_000
FIXED = {"label", "verdict", "error"}


@dataclass(frozen=True, eq=False)
class Selection:
    """Images of a collection.

    `spec` is the canonical document, `key` its hash (stable between runs), `mask` (n,); `counts` of all,
    real, fake, of the four error types among them, and of those without an answer.
    """

    spec: Spec
    key: str
    mask: Mask
    counts: Mapping[str, int]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Row numbers of the selected images, ascending."""
        return np.flatnonzero(self.mask)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, without the mask."""
        return {"key": self.key, "spec": self.spec, **self.counts}


@dataclass(frozen=True)
class Places:
    """What a selection needs besides columns: `cells(level, ids)`, `polygon(points)` and `rect(corners)` give
    masks (n,); `prototype(number)` those whose pattern belongs to it, merged ones included; `tagged(names)`
    those with one of some tags, None standing for no tag; `copies(which)` near-duplicates of a row, or all
    that straddle something."""

    cells: Callable[[int, Sequence[int]], Mask]
    polygon: Callable[[NDArray[np.float64]], Mask]
    rect: Callable[[NDArray[np.float64]], Mask]
    prototype: Callable[[int], Mask]
    tagged: Callable[[Sequence[str | None]], Mask]
    copies: Callable[[Any], Mask]


def key_of(spec: Spec) -> str:
    """Key of a selection, 16 hex digits; equal for documents that differ only in the order of their keys.

    Raises:
        UsageError: it is no JSON document.

    >>> key_of({"and": []}) == key_of({"and": []}), len(key_of({"and": []}))
    (True, 16)
    """
    try:
        text = json.dumps(spec, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"A selection is a JSON document, and this is none: {error}.") from error
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def select(spec: Spec, collection: Collection, places: Places) -> Selection:
    """Evaluate a selection.

    Raises:
        UsageError: the document is not one, names a column that does not exist, or is too large.
    """
    budget = [MOST_CLAUSES]
    mask = _clause(spec, collection, places, budget)
    return Selection(spec, key_of(spec), mask, counts_of(collection, mask))


def counts_of(collection: Collection, mask: Mask) -> dict[str, int]:
    """How many images a mask (n,) selects: in all, by label, and by outcome."""

    def among(column: NDArray[np.int8], code: int) -> int:
        return int(np.count_nonzero(mask & (column == code)))

    found = {
        "count": int(np.count_nonzero(mask)),
        "real": among(collection.labels, 0),
        "fake": among(collection.labels, 1),
    }
    return found | {name: among(collection.errors, code) for code, name in enumerate(ERRORS)}


def _clause(clause: Any, collection: Collection, places: Places, budget: list[int]) -> Mask:
    budget[0] -= 1
    if budget[0] < 0:
        raise UsageError(f"A selection has at most {MOST_CLAUSES} clauses.")
    if not isinstance(clause, Mapping) or not clause:
        raise UsageError(f"A clause of a selection is a JSON object, not {_short(clause)}.")
    n = len(collection)

    def inside(one: Any) -> Mask:
        return _clause(one, collection, places, budget)

    match clause:
        case {"and": list(parts), **rest} if not rest:
            return reduce(np.logical_and, map(inside, parts), np.ones(n, dtype=bool))
        case {"or": list(parts), **rest} if not rest:
            return reduce(np.logical_or, map(inside, parts), np.zeros(n, dtype=bool))
        case {"not": part, **rest} if not rest:
            return ~inside(part)
        case {"cells": {"level": int(level), "ids": list(ids)}, **rest} if not rest and _is_number(level):
            return places.cells(level, _whole(ids, "cells.ids"))
        case {"polygon": list(points), **rest} if not rest:
            return places.polygon(_points(points))
        case {"rect": [x0, y0, x1, y1], **rest} if not rest:
            return places.rect(np.array([_number(v, "rect") for v in (x0, y0, x1, y1)]))
        case {"column": str(name), "in": list(values), **rest} if not rest:
            if name == TAG_COLUMN:
                return places.tagged(_names(name, values))
            return _among(collection, name, values)
        case {"column": str(name), "range": [low, high], **rest} if not rest:
            return _between(numeric_column(collection, name), *_bounds(collection, name, low, high))
        case {"dimension": int(k), "range": [low, high], **rest} if not rest and _is_number(k):
            if not 0 <= k < collection.dimensions:
                raise UsageError(f"Dimensions are 0 to {collection.dimensions - 1}, not {k}.")
            return _between(collection.impact_columns[k], low, high)
        case {"prototype": int(number), **rest} if not rest and _is_number(number):
            return places.prototype(number)
        case {"rows": list(rows), **rest} if not rest:
            chosen = np.zeros(n, dtype=bool)
            index = np.asarray(_whole(rows, "rows"), dtype=np.int64)
            chosen[index[(index >= 0) & (index < n)]] = True
            return chosen
        case {"copies": int(which) | str(which), **rest} if not rest and (
            isinstance(which, str) or _is_number(which)
        ):
            return places.copies(which)
        case {"text": str(words), **rest} if not rest:
            return _text(collection, words)
    raise UsageError(
        f"A selection does not know the clause {_short(clause)}. It knows and, or, not, cells, polygon, "
        "rect, column with in or range, dimension with range, prototype, rows, copies, and text."
    )


def numeric_column(collection: Collection, name: str) -> NDArray[Any]:
    """(n,) a column that has a range: probability, logit, uncertainty (1 at ½, 0 at certainty), a file fact,
    or a column of numbers or dates of the manifest.

    Raises:
        UsageError: no such column.
    """
    if name == "probability":
        return collection.probabilities
    if name == "logit":
        return collection.held_logits
    if name == "uncertainty":
        return np.asarray(1 - 2 * np.abs(collection.probabilities - 0.5))
    if name in FILE_NUMBERS or name in collection.manifest_kinds:
        return collection.numbers(name)
    known = [one for one, kind in collection.manifest_kinds.items() if kind != "category"]
    raise UsageError(f"No column {name!r} of numbers; there are {', '.join((*FILE_NUMBERS, *known))}.")


def _names(column: str, values: list[Any]) -> list[str | None]:
    if len(values) > MOST_VALUES or not all(v is None or isinstance(v, str) for v in values):
        raise UsageError(f"Values of the column {column} are names, or null for a missing one.")
    return values


def _among(collection: Collection, name: str, values: list[Any]) -> Mask:
    _names(name, values)
    if name in FIXED:
        known: Mapping[str, int] = (
            LABELS
            if name == "label"
            else {v: i for i, v in enumerate(VERDICTS if name == "verdict" else ERRORS)}
        )
        wrong = [v for v in values if v not in known]
        if wrong:
            raise UsageError(f"{name} is one of {', '.join(known)}; not {wrong[0]!r}.")
        codes = getattr(collection, f"{name}s")
        return np.asarray(np.isin(codes, [known[v] for v in values]))
    category = collection.category(name)
    wanted = [UNKNOWN if v is None else category.code(v) for v in values]
    return np.asarray(np.isin(category.codes, wanted))


def _between(column: NDArray[Any], low: Any, high: Any) -> Mask:
    a = -math.inf if low is None else _number(low, "range")
    b = math.inf if high is None else _number(high, "range")
    return np.asarray((column >= a) & (column <= b))


def _bounds(collection: Collection, name: str, low: Any, high: Any) -> tuple[Any, Any]:
    """Both ends of a range; those of a column of dates may be ISO dates and become seconds since 1970."""
    if collection.manifest_kinds.get(name) != "date":
        return low, high
    found: list[Any] = [seconds(end) if isinstance(end, str) else end for end in (low, high)]
    wrong = [
        end for end, read in zip((low, high), found, strict=True) if read is not None and math.isnan(read)
    ]
    if wrong:
        raise UsageError(f"The column {name} holds dates such as 2024-03-01, and {_short(wrong[0])} is none.")
    return found[0], found[1]


def _text(collection: Collection, words: str) -> Mask:
    """Images of which a text column contains every word, whatever the case."""
    import pyarrow.compute as pc

    found = np.ones(len(collection), dtype=bool)
    for word in words.lower().split():
        found &= np.asarray(pc.match_substring(collection.search_texts, word).to_numpy(zero_copy_only=False))
    return found


def _points(points: list[Any]) -> NDArray[np.float64]:
    if not 3 <= len(points) <= 10_000:
        raise UsageError("A polygon has 3 to 10,000 corners.")
    if not all(isinstance(p, list) and len(p) == 2 for p in points):
        raise UsageError("The corners of a polygon are pairs of numbers.")
    return np.array([[_number(v, "polygon") for v in p] for p in points])


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number that arrays can hold; `True` is an int to Python and none here."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**62 if isinstance(value, int) else math.isfinite(value)


def _number(value: Any, where: str) -> float:
    if not _is_number(value):
        raise UsageError(f"{where} holds {_short(value)} where a number belongs.")
    return float(value)


def _whole(values: list[Any], where: str) -> list[int]:
    if len(values) > 10 * MOST_VALUES or not all(isinstance(v, int) and _is_number(v) for v in values):
        raise UsageError(f"{where} is a list of whole numbers.")
    return values


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
