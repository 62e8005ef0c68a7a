"""UnivFD's protocol (Ojha et al., CVPR 2023; published code at commit 76a0e3e).

Train on one generator family, test on many sets, each of one generator and its real images. Per set:
average precision, accuracy at 0.5 with reals and fakes apart, accuracy at a threshold tuned on held-in
data (their ProGAN validation set), and at the oracle threshold tuned on the set itself (an upper
bound). The summary is the unweighted mean over sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.artefacts import plain_json
from morelli.errors import UsageError
from morelli.evaluation import _splits
from morelli.evaluation._arrays import FloatArray, IntArray
from morelli.evaluation._predictions import Predictions
from morelli.evaluation._univfd_layout import FAMILIES
from morelli.evaluation.protocols import UNIVFD
from morelli.metrics import average_precision, best_threshold, rates_at

if TYPE_CHECKING:
    from morelli.evaluation._refits import Candidate
    from morelli.features import Features


def univfd(
    train: Features,
    test: Features,
    candidates: Sequence[Candidate],
    *,
    held_in: Features | float = 0.2,
    set_column: str = "set",
    seed: int = 0,
) -> Predictions:
    """Fit on `train`, score every set of `test`; thresholds are tuned on held-in rows of the training side.

    held_in: features of their own (the paper's ProGAN validation set), or the share of `train`'s images
    kept back, near-duplicates together. set_column: names each test image's set; a comma between names puts
    a real image into several. Without it each generator is a set, against all reals of `test`.
    Bundles among the candidates are scored as they are.
    """
    from morelli.evaluation._protocols import run_splits
    from morelli.features import Features as Table

    parts = [train, test] if isinstance(held_in, float) else [train, test, held_in]
    kinds = set.intersection(*(set(p.vectors) for p in parts))
    joined = Table.concat([replace(p, vectors={k: p.vectors[k] for k in sorted(kinds)}) for p in parts])
    n, m = len(train), len(train) + len(test)
    training = np.arange(n)
    if isinstance(held_in, float):
        groups = np.unique(_splits.image_groups(train).astype(str), return_inverse=True)[1]
        kept = np.zeros(n, dtype=bool)
        labels = train.labels
        for label in (0, 1):
            share = _splits.balanced_folds(groups, labels == label, max(2, round(1 / held_in)), seed)
            kept |= share == 0
        inside, training = np.flatnonzero(kept), np.flatnonzero(~kept)
    else:
        inside = np.arange(m, len(joined))
    sets = _test_sets(test, set_column)
    everything = np.unique(np.concatenate(list(sets.values()))) + n
    # One fit serves all sets: a first split scores everything, the sets are read out of it.
    split = _splits.Split("", training, everything, inside)
    scored = run_splits(UNIVFD, joined, [split], candidates)
    width = len(everything) + len(inside)
    kept_rows: list[IntArray] = []
    folds: list[str] = []
    for place in range(len(candidates)):
        start = place * width
        for name, members in sets.items():
            kept_rows.append(start + np.searchsorted(everything, members + n))
            folds += [name] * len(members)
        kept_rows.append(start + len(everything) + np.arange(len(inside)))
        folds += ["held-in"] * len(inside)
    table = scored.rows(np.concatenate(kept_rows)).table
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column_names.index("fold")
    table = table.set_column(column, table.schema.field("fold"), pc.dictionary_encode(pa.array(folds)))
    return Predictions(table, {})


def _test_sets(test: Features, column: str) -> dict[str, IntArray]:
    labels = test.labels
    try:
        names = test.column(column)
    except UsageError:
        names = np.full(len(test), None, dtype=object)
    if all(v is None for v in names):
        generators = test.column("generator")
        reals = np.flatnonzero(labels == 0)
        known = sorted({str(g) for g, y in zip(generators, labels, strict=True) if y and g is not None})
        fakes = {g: np.flatnonzero((labels == 1) & (generators == g)) for g in known}
        return {g: np.concatenate([reals, rows]) for g, rows in fakes.items()}
    rows: dict[str, list[int]] = {}
    for row, value in enumerate(names):
        for name in str(value).split(",") if value is not None else ():
            rows.setdefault(name, []).append(row)
    return {name: np.array(members) for name, members in sorted(rows.items())}


@dataclass(frozen=True)
class UnivFDRow:
    """One set's figures; accuracies and average precision in 0..1, thresholds on probabilities."""

    name: str
    n_real: int
    n_fake: int
    average_precision: float
    accuracy: float
    real_accuracy: float
    fake_accuracy: float
    tuned_accuracy: float
    oracle_threshold: float
    oracle_accuracy: float


@dataclass(frozen=True)
class UnivFDTable:
    """UnivFD's table for one detector.

    `mean` holds the unweighted means over sets, `families` those over the sets of each family of the
    paper that are there. `tuned_threshold` is NaN, and so are the tuned accuracies, without held-in rows.
    """

    detector: str
    tuned_threshold: float
    rows: tuple[UnivFDRow, ...]
    mean: dict[str, float]
    families: dict[str, dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; NaN becomes null."""
        values: dict[str, Any] = plain_json(self)
        return values


def univfd_table(predictions: Predictions, detector: str | None = None) -> UnivFDTable:
    """Compute the table from the rows of one detector (the only one by default)."""
    own = predictions.select(protocol=UNIVFD)
    detectors = own.names("detector")
    if detector is None and len(detectors) == 1:
        detector = detectors[0]
    if detector not in detectors:
        raise UsageError(f"choose one of the detectors with UnivFD's protocol in this table: {detectors}")
    own = own.select(detector=detector)
    inside, tested = own.select(part="held_in"), own.select(part="test")
    tuned = best_threshold(inside.labels, inside.probabilities)[0] if len(inside) else float("nan")
    order = [name for names in FAMILIES.values() for name in names]
    names = sorted(tested.names("fold"), key=lambda n: (order.index(n) if n in order else len(order), n))
    rows = tuple(_row(name, tested.select(fold=name), tuned) for name in names)
    families = {
        family: _means([r for r in rows if r.name in members])
        for family, members in FAMILIES.items()
        if any(r.name in members for r in rows)
    }
    return UnivFDTable(detector, tuned, rows, _means(rows), families)


def _row(name: str, rows: Predictions, tuned: float) -> UnivFDRow:
    labels, p = rows.labels, rows.probabilities
    half = rates_at(labels, p, 0.5)
    oracle, oracle_accuracy = best_threshold(labels, p)
    tuned_accuracy = float("nan") if np.isnan(tuned) else rates_at(labels, p, tuned, inclusive=True).accuracy
    return UnivFDRow(
        name,
        half.n_real,
        half.n_fake,
        average_precision(labels, p),
        half.accuracy,
        half.real_accuracy,
        half.fake_accuracy,
        tuned_accuracy,
        oracle,
        oracle_accuracy,
    )


def _means(rows: Sequence[UnivFDRow]) -> dict[str, float]:
    names = (
        "average_precision",
        "accuracy",
        "real_accuracy",
        "fake_accuracy",
        "tuned_accuracy",
        "oracle_accuracy",
    )
    values: dict[str, FloatArray] = {n: np.array([getattr(r, n) for r in rows]) for n in names}
    return {n: float(v.mean()) for n, v in values.items()}
