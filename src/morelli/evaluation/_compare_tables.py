"""Compare the detectors of two predictions tables, ours or another tool's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from morelli.errors import UsageError
from morelli.evaluation._compare import Comparison, adjusted_together, compare, compare_all
from morelli.evaluation._measure import MeasureOptions
from morelli.evaluation._predictions import SCHEMA, Predictions
from morelli.evaluation.protocols import POOLED

OTHER = "external"
GROUPED = ("generator", "lineage", "era", "source")
"""Columns whose values `compare_tables` can tell apart: of generated images, and of real ones the last."""
LEAST_IMAGES = 10
"""Images of a generator, lineage, era or source without which it has no row of its own."""


def compare_tables(
    first: Predictions,
    second: Predictions | None = None,
    *,
    protocol: str | None = None,
    by: str | None = None,
    options: MeasureOptions | None = None,
) -> tuple[Comparison, ...]:
    """Paired tests of every detector of `first` with every one of `second` (of all pairs of `first` alone).

    Detectors that share a name are told apart as ``NAME (first)`` and ``NAME (second)``. A table under the
    protocol ``external`` pairs with any protocol that scores each image once. p-values are adjusted by
    Holm's method over all pairs of one protocol.

    With `by`, a column of `GROUPED`, there is a comparison for each of its values with at least
    `LEAST_IMAGES` images: generated images of that generator, lineage or era against all real ones, or real
    images of that source against all generated ones; with two tables, images that both hold. p-values are
    adjusted over all of them.

    Raises UsageError when the two have no protocol, or no image, in common, no value has enough images, or
    a table alone lacks the protocol.
    """
    if second is None and protocol is not None and protocol not in _protocols(first):
        raise UsageError(
            f"the table has no protocol {protocol!r}; choose one of {', '.join(_protocols(first))}"
        )
    if by is not None:
        return _compare_by(first, second, by, protocol, options)
    a = first.select(part="test")
    if second is None:
        names = [protocol] if protocol is not None else a.names("protocol")
        found = [
            c
            for name in names
            for delivery in _deliveries(a.select(protocol=name))
            for c in compare_all(
                a.select(protocol=name, perturbation=delivery), protocol=name, options=options
            )
        ]
        if not found:
            raise UsageError("the table holds one detector only; give a second table to compare with")
        return tuple(found)
    b = second.select(part="test")
    a_names, b_names = a.names("detector"), b.names("detector")
    shared_names = set(a_names) & set(b_names)
    a, b = _renamed(a, shared_names, "first"), _renamed(b, shared_names, "second")
    results: list[Comparison] = []
    for name, left, right in _matched(a, b, protocol):
        own = [
            compare(Predictions.concat([left, right]), d, e, protocol=name, options=options)
            for d in left.names("detector")
            for e in right.names("detector")
        ]
        results += adjusted_together(own)
    return tuple(results)


def _compare_by(
    first: Predictions,
    second: Predictions | None,
    by: str,
    protocol: str | None,
    options: MeasureOptions | None,
) -> tuple[Comparison, ...]:
    if by not in GROUPED:
        raise UsageError(f"comparisons by {by!r} are unknown; choose one of {', '.join(GROUPED)}")
    label = 0 if by == "source" else 1
    results: list[Comparison] = []
    for value in first.names(by):
        part = _subset(first, by, value, label)
        if part is None:
            continue
        if second is None and protocol is not None and protocol not in _protocols(part):
            continue
        if second is not None and _shared_images(part, second, label) < LEAST_IMAGES:
            continue
        # Pairing leaves of the second table what the first one's part holds.
        found = compare_tables(part, second, protocol=protocol, options=options)
        results += [replace(c, subset=value) for c in found]
    if not results:
        where = "in the table" if second is None else "in both tables"
        raise UsageError(f"no {by} has {LEAST_IMAGES} images or more {where}")
    protocols = dict.fromkeys(c.protocol for c in results)
    return tuple(
        c for name in protocols for c in adjusted_together([r for r in results if r.protocol == name])
    )


def _subset(rows: Predictions, by: str, value: str, label: int) -> Predictions | None:
    """Rows of this value and label with all rows of the other label; None where they are too few."""
    codes, names = rows.codes(by)
    if value not in names:
        return None
    own = (codes == names.index(value)) & (rows.labels == label)
    if len(np.unique(rows.images()[own])) < LEAST_IMAGES:
        return None
    return rows.rows(own | (rows.labels != label))


def _protocols(rows: Predictions) -> list[str]:
    return rows.select(part="test").names("protocol")


def _shared_images(part: Predictions, second: Predictions, label: int) -> int:
    """How many images of this label in the part the second table has, too."""
    a, b = part.select(part="test"), second.select(part="test")
    images = Predictions.concat([a, b]).images()
    own, other = images[: len(a)][a.labels == label], images[len(a) :]
    return len(np.intersect1d(own, other))


def _matched(
    a: Predictions, b: Predictions, protocol: str | None
) -> list[tuple[str, Predictions, Predictions]]:
    """(protocol, rows of a, rows of b) that can be paired."""
    ours, theirs = a.names("protocol"), b.names("protocol")
    shared = [p for p in ours if p in theirs and protocol in (None, p)]
    pairs = [(p, a.select(protocol=p), b.select(protocol=p)) for p in shared]
    for near, far, flip in ((a, b, False), (b, a, True)):
        if pairs or OTHER not in far.names("protocol"):
            continue
        for name in near.names("protocol"):
            if name in POOLED and name != OTHER and protocol in (None, name):
                one, other = near.select(protocol=name), far.select(protocol=OTHER)
                both = (_unfolded(one, name), _unfolded(other, name))
                pairs.append((name, both[1], both[0]) if flip else (name, *both))
    if not pairs:
        raise UsageError(
            f"the tables have no protocol in common: {', '.join(ours)} and {', '.join(theirs)}"
            + (f" (asked for: {protocol})" if protocol else "")
        )
    return pairs


def _deliveries(rows: Predictions) -> list[str | None]:
    names: list[str | None] = list(rows.names("perturbation"))
    return names if not (rows.codes("perturbation")[0] < 0).any() else [None, *names]


def _renamed(rows: Predictions, names: set[str], suffix: str) -> Predictions:
    if not names:
        return rows
    codes, values = rows.codes("detector")
    text = np.array([f"{v} ({suffix})" if v in names else v for v in values], dtype=object)
    return _with(rows, detector=text[codes])


def _unfolded(rows: Predictions, protocol: str) -> Predictions:
    """The rows under `protocol` without folds and delivery, so that those of another tool pair with them."""
    empty = np.full(len(rows), "", dtype=object)
    return _with(rows, protocol=np.full(len(rows), protocol, dtype=object), fold=empty, perturbation=empty)


def _with(rows: Predictions, **columns: np.ndarray) -> Predictions:
    import pyarrow as pa
    import pyarrow.compute as pc

    table = rows.table
    for name, values in columns.items():
        encoded = pc.dictionary_encode(pa.array(values, pa.string()))
        table = table.set_column(table.column_names.index(name), SCHEMA.field(name), encoded)
    return Predictions(table, rows.run)
