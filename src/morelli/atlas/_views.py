"""What the views show of a selection: dimensions with histograms, prototypes, rows in an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import ERRORS, UNKNOWN, VERDICTS, Collection, error_types, verdict_of
from morelli.atlas._joint_counts import JointCounts
from morelli.atlas._locked_cached_property import locked_cached_property
from morelli.atlas._origins import origins, speaking_ends
from morelli.atlas._selection import Selection, numeric_column
from morelli.atlas.patterns._distinct_names import distinct_names, prototype_details, renamed
from morelli.atlas.patterns._significance import may_be_chance
from morelli.errors import UsageError

BINS = 48
SAMPLED = 64
ENDS = 6
"""Images shown at either end of a dimension."""
MOST_ROWS = 10_000
OUTER = 0.001
"""Share of images beyond either end of a histogram; they are counted in its first and last bin."""


@dataclass(eq=False)
class DimensionHistograms:
    """Histograms of impacts, one per dimension, of any part of the collection.

    `edges` (K, BINS + 1) are the same whatever is selected, so that bars can be compared.
    """

    collection: Collection

    @locked_cached_property
    def edges(self) -> NDArray[np.float32]:
        """(K, BINS + 1) equally wide bins from 0 or the lowest to 0 or the highest impact."""
        columns = self.collection.impact_columns
        low, high = np.array([np.quantile(column, [OUTER, 1 - OUTER]) for column in columns]).T
        low, high = np.minimum(low, 0), np.maximum(high, 0)
        high = np.where(high - low < 1e-6, low + 1e-6, high)
        return np.linspace(low, high, BINS + 1, axis=1).astype(np.float32)

    @locked_cached_property
    def _bins(self) -> JointCounts:
        """(n,) number of the bin of every dimension."""
        low, width = self.edges[:, 0], (self.edges[:, -1] - self.edges[:, 0]) / BINS
        columns = self.collection.impact_columns
        bins = (
            ((column - first) / wide).clip(0, BINS - 1).astype(np.uint8)
            for column, first, wide in zip(columns, low, width, strict=True)
        )
        return JointCounts.of(bins, [BINS] * len(columns))

    def count(self, rows: NDArray[np.integer] | None = None) -> NDArray[np.int64]:
        """(K, BINS) images of each bin, of some rows or of all."""
        return np.array(self._bins.count(rows))

    @locked_cached_property
    def real(self) -> NDArray[np.int64]:
        """(K, BINS) of all real images."""
        return self.count(self.collection.by_class[0])

    @locked_cached_property
    def fake(self) -> NDArray[np.int64]:
        """(K, BINS) of all generated images."""
        return self.count(self.collection.by_class[1])

    @locked_cached_property
    def spread(self) -> NDArray[np.float32]:
        """(K,) standard deviation of the impacts of all images."""
        return np.array([column.std() for column in self.collection.impact_columns])

    @locked_cached_property
    def ends(self) -> list[tuple[int, list[int], list[int]]]:
        """(K,) silent images, and rows of the lowest and of the highest impacts, see `speaking_ends`."""
        return [speaking_ends(column, lowest, ENDS) for column in self.collection.impact_columns]

    @locked_cached_property
    def origins(self) -> list[list[dict[str, Any]]]:
        """(K,) whose images each dimension is strongest in, see `origins`."""
        return origins(self.collection)


def lowest(values: NDArray[Any], most: int) -> NDArray[np.int64]:
    """Places of the `most` lowest of (n,) values, rising, the first of equal ones.

    >>> lowest(np.array([3.0, 0.0, 2.0, 0.0, 0.0]), 2).tolist()
    [1, 3]
    """
    some = values[::SAMPLED]
    if len(some) <= most:
        return np.argsort(values, kind="stable")[:most]
    # As many of a sample are not above this bound, so none of those that are can be among the lowest.
    near = np.flatnonzero(values <= np.partition(some, most - 1)[most - 1])
    bound = np.partition(values[near], most - 1)[most - 1]
    below = near[values[near] < bound]
    below = below[np.argsort(values[below], kind="stable")]
    return np.concatenate([below, near[values[near] == bound][: most - len(below)]])


def dimension_views(
    histograms: DimensionHistograms,
    selection: Selection | None,
    off: Sequence[int],
    edits: Mapping[str, Any],
    aucs: Sequence[float | None],
) -> list[dict[str, Any]]:
    """One JSON object per dimension, in the order of the map.

    `aucs` (K,) is the held-out AUC that is left without each dimension.
    """
    collection = histograms.collection
    distilled = collection.distilled
    chosen = means = None
    if selection is not None:
        rows = selection.rows
        chosen = histograms.count(rows)
        if len(rows):
            means = [float(column[rows].mean(dtype=np.float64)) for column in collection.impact_columns]
    out = []
    for k in range(collection.dimensions):
        given = edits.get(str(k), {})
        quiet, low, high = histograms.ends[k]
        item = {
            "dimension": k,
            "name": given.get("name") or distilled.names[k],
            "suggested": distilled.names[k],
            "note": given.get("note", ""),
            "weight": float(distilled.w[k]),
            "spread": float(histograms.spread[k]),
            "off": k in off,
            "edges": [float(histograms.edges[k, 0]), float(histograms.edges[k, -1])],
            "real": histograms.real[k].tolist(),
            "fake": histograms.fake[k].tolist(),
            "selected": None if chosen is None else chosen[k].tolist(),
            "auc_without": aucs[k],
            "lowest": low,
            "highest": high,
            "quiet": quiet,
            "generators": histograms.origins[k],
        }
        if means is not None:
            item["selected_mean"] = means[k]
        out.append(item)
    return out


def prototype_views(
    collection: Collection,
    found: Sequence[Mapping[str, Any]],
    selection: Selection | None,
    edits: Mapping[str, Any],
    dimensions: Sequence[str],
) -> list[dict[str, Any]]:
    """One JSON object per prototype: as found, with people's edits and how many selected images carry it.

    `dimensions` (K,) are names. Those suggested for prototypes are told apart: atlases that were built before
    names were have many that read alike or say only where a pattern lies.
    """
    suggested = distinct_names(
        [renamed(item) for item in found],
        [prototype_details(item, dimensions[item["dimension"]]) for item in found],
    )
    counts = prototype_counts(collection, None, len(found))
    chosen = None if selection is None else prototype_counts(collection, selection.rows, len(found))
    out = []
    for item in found:
        number = item["id"]
        given = edits.get(str(number), {})
        out.append(
            {
                **item,
                "suggested": suggested[number],
                "name": given.get("name") or suggested[number],
                "note": given.get("note", ""),
                "hidden": bool(given.get("hidden", False)),
                "merged_into": given.get("merged_into"),
                "images": int(counts[number]),
                "selected": None if chosen is None else int(chosen[number]),
            }
        )
    return out


def prototype_counts(
    collection: Collection, rows: NDArray[np.integer] | None, count: int
) -> NDArray[np.int64]:
    """(count,) images, of some rows or of all, whose pattern belongs to each prototype."""
    found = collection.images_by_prototype if rows is None else collection.count_by_prototype(rows)
    return np.pad(found, (0, max(0, count - len(found))))


def order_rows(
    collection: Collection,
    selection: Selection | None,
    sort: str,
    descending: bool,
    *,
    logits: NDArray[Any] | None = None,
) -> NDArray[np.int64]:
    """Rows of a selection in an order; scores are those of `logits` (n,) where some are given.

    `sort`: row, probability, logit, uncertainty, width, height, bytes, jpeg_quality, `impact:K`, or
    `similarity:ROW` (cosine of the distilled values to that image's).

    Raises:
        UsageError: the order does not exist.
    """
    rows = np.arange(len(collection)) if selection is None else selection.rows
    name, _, argument = sort.partition(":")
    if name == "row" and not argument:
        return rows[::-1] if descending else rows
    if name in ("impact", "similarity"):
        if not argument.isdecimal():
            raise UsageError(f"The order {sort!r} needs a number, such as {name}:3.")
        number = int(argument)
        if number >= (collection.dimensions if name == "impact" else len(collection)):
            raise UsageError(f"The order {sort!r} names a number that is not there.")
        of = _impact if name == "impact" else _similarity
        key = of(collection, rows, number)
    else:
        key = _scores(collection, sort, logits)[rows]
    key = np.where(np.isnan(key), np.inf, -key if descending else key)  # unknown values come last
    return rows[np.argsort(key, kind="stable")]


def _scores(collection: Collection, name: str, logits: NDArray[Any] | None) -> NDArray[Any]:
    if logits is None or name not in ("probability", "logit", "uncertainty"):
        return numeric_column(collection, name)
    if name != "uncertainty":
        return logits  # calibration keeps the order
    return np.asarray(1 - 2 * np.abs(collection.distilled.calibration.probability(logits) - 0.5))


def _impact(collection: Collection, rows: NDArray[np.int64], number: int) -> NDArray[Any]:
    return np.asarray(collection.impact_columns[number][rows])


def _similarity(collection: Collection, rows: NDArray[np.int64], to: int) -> NDArray[Any]:
    impacts = collection.impacts
    length = np.maximum(np.linalg.norm(impacts[rows], axis=1), 1e-12)
    own = impacts[to] / max(float(np.linalg.norm(impacts[to])), 1e-12)
    return np.asarray(impacts[rows] @ own / length)


def by_evidence(prototype: Mapping[str, Any]) -> tuple[bool, float]:
    """Key of the order in which prototypes are listed: beyond chance first, each by impact."""
    return may_be_chance(prototype["p_value"]), -abs(prototype["mean_impact"] or 0)


def p_text(value: float) -> str:
    """A p-value as people read it.

    >>> p_text(0.0312), p_text(0.0001)
    ('0.031', '<0.001')
    """
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def row_records(
    collection: Collection, rows: NDArray[np.int64], logits: NDArray[Any] | None = None
) -> list[dict[str, Any]]:
    """JSON objects of some images, in the order of `rows`; judged by `logits` (n,) where some are given."""
    columns = ["uri", "sha256", "generator", "source", "lineage", "width", "height", "format", "bytes"]
    if len(rows) > MOST_ROWS:
        raise UsageError(f"At most {MOST_ROWS:,} rows at once; ask for a page of them.")
    found: list[dict[str, Any]] = collection.records(rows, columns).to_pylist()
    label = {0: "real", 1: "fake", UNKNOWN: None}
    probabilities: NDArray[Any] = collection.probabilities[rows]
    errors, verdicts = collection.errors[rows], collection.verdicts[rows]
    if logits is not None:
        probabilities = collection.distilled.calibration.probability(logits[rows])
        verdicts = verdict_of(probabilities, collection.base_thresholds)
        errors = error_types(collection.labels[rows], verdicts)
    # As plain numbers all at once: number by number out of an array takes four times as long.
    impacts = np.asarray(collection.impacts[rows], np.float64).tolist()
    prototypes = np.asarray(collection.prototypes[rows]).tolist()
    labels = np.asarray(collection.labels[rows]).tolist()
    for i, (row, item) in enumerate(zip(rows.tolist(), found, strict=True)):
        error = int(errors[i])
        item |= {
            "row": row,
            "label": label[labels[i]],
            "probability": float(probabilities[i]),
            "verdict": VERDICTS[verdicts[i]],
            "error": ERRORS[error] if error >= 0 else None,
            "impacts": [round(v, 4) for v in impacts[i]],
            "prototypes": prototypes[i],
        }
    return found


def finite(value: Any) -> Any:
    """The same JSON value, what is not finite become null."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
