"""All columns of a collection with counts: names, and histograms of numbers and dates, of any part of it.

What a column shows of a selection leaves out the selection's own condition on that column: a bar that was
chosen stands beside those that could be, and every other column follows (cross-filtering).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import ERRORS, FILE_NUMBERS, UNKNOWN, VERDICTS, Collection
from morelli.atlas._locked_cached_property import locked_cached_property
from morelli.atlas._selection import Mask, numeric_column
from morelli.atlas._tags import COLUMN as TAG_COLUMN
from morelli.errors import UsageError

BINS = 40
MOST_NAMES = 200
"""Names of a column that are listed; those that are chosen always are."""
OUTER = 0.001
"""Share of images beyond either end of a histogram; they are counted in its first and last bin."""
WIDE = 50.0
"""A column of positive numbers whose ends are this many times apart is drawn on a scale of ratios."""
LARGEST_WHOLE = 2.0**51
"""Whole numbers from here on have no halves between them that could be edges."""

Kind = Literal["category", "number", "date"]
Group = Literal["verdict", "image", "file", "manifest"]

_LABELS = ("unknown", "real", "fake")
_GROUPS: dict[Group, tuple[str, ...]] = {
    "verdict": ("label", "verdict", "error", "probability", "uncertainty"),
    "image": ("generator", "source", "lineage", "era"),
    "file": ("format", "width", "height", "bytes", "jpeg_quality", "has_icc", "has_exif"),
}


@dataclass(frozen=True, eq=False)
class Field:
    """A column as codes.

    `codes` (n,): 0 where the value is missing, else 1 + the place of its name in `names`, or of its bin
    between two of `edges`, of which a column of names has none. `total` is how often each code occurs.
    """

    name: str
    kind: Kind
    group: Group
    codes: NDArray[Any]
    total: NDArray[np.int64]
    names: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()

    def count(self, mask: Mask | None) -> NDArray[np.int64]:
        """Occurrences of each code among the images of a mask (n,), or among all."""
        if mask is None:
            return self.total
        return np.bincount(self.codes[mask], minlength=len(self.total))


class Fields:
    """The columns of one collection; codes are worked out once."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    @locked_cached_property
    def columns(self) -> list[Field]:
        """Those that tell at least two images apart, in the order in which they are shown."""
        kinds = self.collection.manifest_kinds
        groups: dict[Group, Sequence[str]] = {
            **_GROUPS,
            "manifest": [
                name
                for name in kinds
                if name != TAG_COLUMN and not any(name in known for known in _GROUPS.values())
            ],
        }
        found = []
        for group, names in groups.items():
            for name in names:
                field = self._field(name, group)
                if np.count_nonzero(field.total) > 1:
                    found.append(field)
        return found

    def _field(self, name: str, group: Group) -> Field:
        kind: Kind = "number" if name in FILE_NUMBERS else "category"
        if group == "manifest":
            kind = self.collection.manifest_kinds[name]
        if kind != "category":
            return _histogram(name, kind, group, numeric_column(self.collection, name))
        if name == "label":
            return _named(name, group, _LABELS, self.collection.labels + np.int8(1))
        if name == "verdict":
            return _named(name, group, VERDICTS, self.collection.verdicts)
        if name == "error":
            return _named(name, group, ERRORS, self.collection.errors)
        category = self.collection.category(name)
        return _named(name, group, category.names, category.codes)

    def named(self, name: str) -> Field:
        """A column by its name.

        Raises:
            UsageError: there is none that tells two images apart and is no text.
        """
        found = next((one for one in self.columns if one.name == name), None)
        if found is None:
            known = ", ".join(one.name for one in self.columns)
            raise UsageError(f"No column {name[:80]!r} to colour by; there are {known}.")
        return found

    def view(self, selected: Mask | None, apart: Mapping[str, Mask | None]) -> list[dict[str, Any]]:
        """One JSON object per column.

        Args:
            selected: (n,) the images that are counted beside all; None for no selection.
            apart: the same for columns that the selection has a condition on, without that condition.
        """
        return [_view(field, apart.get(field.name, selected)) for field in self.columns]


def _named(name: str, group: Group, names: Sequence[str], codes: NDArray[Any]) -> Field:
    """A column of names from codes (n,) into them, −1 for none."""
    smallest = np.min_scalar_type(len(names) + 1)
    packed = (codes.astype(np.int64) - UNKNOWN).astype(smallest)
    return Field(name, "category", group, packed, np.bincount(packed, minlength=len(names) + 1), tuple(names))


def _histogram(name: str, kind: Kind, group: Group, values: NDArray[Any]) -> Field:
    known = np.isfinite(values)
    some = values[known]
    if not len(some):
        return Field(name, kind, group, np.zeros(len(values), np.uint8), np.array([len(values)]))
    edges = _edges(name, kind, some)
    codes = np.zeros(len(values), np.uint8)
    codes[known] = np.clip(np.searchsorted(edges, some, side="right"), 1, len(edges) - 1)
    total = np.bincount(codes, minlength=len(edges))
    return Field(name, kind, group, codes, total, edges=tuple(edges.tolist()))


def _edges(name: str, kind: Kind, some: NDArray[Any]) -> NDArray[np.float64]:
    """(B + 1,) rising; whole numbers never share a bin's edge."""
    if name in ("probability", "uncertainty"):
        return np.linspace(0, 1, BINS + 1)
    low, high = (float(v) for v in np.quantile(some, [OUTER, 1 - OUTER], method="nearest"))
    whole = kind == "number" and bool((some == np.floor(some)).all())
    if whole and high - low < BINS and max(abs(low), abs(high)) < LARGEST_WHOLE:
        return np.arange(low - 0.5, high + 1)
    if kind == "number" and low > 0 and high / low >= WIDE:
        return np.geomspace(low, high, BINS + 1)
    if not np.isfinite(high - low):
        share = np.linspace(0, 1, BINS + 1)
        return low * (1 - share) + high * share
    return np.linspace(low, high if high > low else low + max(1.0, abs(low) / LARGEST_WHOLE * BINS), BINS + 1)


def _view(field: Field, mask: Mask | None) -> dict[str, Any]:
    counts = field.count(mask)
    found: dict[str, Any] = {
        "name": field.name,
        "kind": field.kind,
        "group": field.group,
        "missing": int(field.total[0]),
        "missing_selected": int(counts[0]),
    }
    if field.kind == "category":
        order = np.argsort(-field.total[1:], kind="stable")
        order = order[field.total[1:][order] > 0]
        if field.group == "verdict":
            order = np.sort(order)
        listed = order[:MOST_NAMES].tolist()
        return found | {
            "distinct": len(order),
            "names": [
                {"name": field.names[i], "n": int(field.total[i + 1]), "selected": int(counts[i + 1])}
                for i in listed
            ],
        }
    return found | {
        "edges": list(field.edges),
        "counts": field.total[1:].tolist(),
        "selected": counts[1:].tolist(),
    }


def conditions(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Columns that a selection has a condition of its own on, and the selection without it.

    Conditions are the parts of its outermost `and` that are about one column alone, `not` included.

    >>> conditions({"and": [{"column": "era", "in": ["gan"]}, {"text": "cat"}]})
    {'era': {'and': [{'text': 'cat'}]}}
    """
    parts = spec.get("and")
    if not isinstance(parts, list):
        return {}
    about = [_column_of(part) for part in parts]
    return {
        name: {"and": [part for part, other in zip(parts, about, strict=True) if other != name]}
        for name in dict.fromkeys(filter(None, about))
    }


def _column_of(part: Any) -> str | None:
    while isinstance(part, Mapping) and set(part) == {"not"}:
        part = part["not"]
    name = part.get("column") if isinstance(part, Mapping) else None
    return name if isinstance(name, str) else None
