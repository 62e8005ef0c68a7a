"""Is one detector better than another on the same images? Paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from morelli.artefacts import plain_json
from morelli.errors import UsageError
from morelli.evaluation._arrays import AnyArray, FloatArray, IntArray
from morelli.evaluation._fold_means import FoldMeans, measure_folds
from morelli.evaluation._measure import MeasureOptions
from morelli.evaluation._predictions import Predictions
from morelli.metrics import Estimate, placements
from morelli.metrics.resampling import interval


@dataclass(frozen=True)
class DeLong:
    """AUCs of two detectors on the same images, and the test of their difference.

    Every image counts as independent; where lineages hang together the clustered bootstrap is the
    honest one, and this test is too sure of itself.
    """

    auc_first: float
    auc_second: float
    difference: float
    standard_error: float
    p_value: float


@dataclass(frozen=True)
class McNemar:
    """How often one detector alone is right (probability > 0.5), and the exact two-sided test."""

    first_only: int
    second_only: int
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """Two detectors on the images that both scored: differences are first minus second.

    `differences` have paired clustered bootstrap intervals, `p_values` (two-sided, by the share of
    rounds on the other side of zero) belong to them; `adjusted` are Holm's for several comparisons.
    `delong` is None where scores of different folds must not be ranked together. `subset` says of which
    generators or sources the images are; None: all.
    """

    protocol: str
    perturbation: str | None
    first: str
    second: str
    n_images: int
    differences: dict[str, Estimate]
    p_values: dict[str, float]
    mcnemar: McNemar
    delong: DeLong | None
    adjusted: dict[str, float]
    subset: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        values: dict[str, Any] = plain_json(self)
        return values


COMPARED = ("auc", "average_precision", "balanced_accuracy", "macro_auc", "brier", "log_loss")


def compare(
    predictions: Predictions,
    first: str,
    second: str,
    *,
    protocol: str | None = None,
    options: MeasureOptions | None = None,
    measured: dict[bytes, FoldMeans] | None = None,
) -> Comparison:
    """Compare two detectors of one protocol (the only one by default) on the rows they share.

    Both see the same resampled lineages and sources in each round, so what makes a round easy for both
    cancels. `measured` keeps what was measured for further comparisons of the same table.
    Raises UsageError when the two share no images.
    """
    from morelli.evaluation.protocols import POOLED

    options = options or MeasureOptions()
    tested = predictions.select(part="test")
    protocols = tested.names("protocol")
    if protocol is None and len(protocols) == 1:
        protocol = protocols[0]
    if protocol not in protocols:
        raise UsageError(f"choose the protocol to compare in: {protocols}")
    tested = tested.select(protocol=protocol)
    rows = _paired(tested, first, second)
    a, b = (tested.rows(r) for r in rows)
    known = {} if measured is None else measured
    for side, own in zip(rows, (a, b), strict=True):
        if side.tobytes() not in known:
            pooled = protocol in POOLED
            known[side.tobytes()] = measure_folds(own, options, pooled=pooled, each_group=False)
    one, two = (known[side.tobytes()] for side in rows)
    differences, p_values = {}, {}
    for name in COMPARED:
        if name not in one.replicates:
            continue
        rounds = one.replicates[name] - two.replicates[name]
        value = one.metrics[name].value - two.metrics[name].value
        differences[name] = interval(value, rounds, options.level, min(one.degrees, two.degrees))
        p_values[name] = _two_sided(rounds)
    right = [(p.probabilities > 0.5) == (p.labels == 1) for p in (a, b)]
    tests = delong(a.labels, a.logits, b.logits) if protocol in POOLED else None
    perturbations = tested.names("perturbation")
    return Comparison(
        protocol,
        perturbations[0] if len(perturbations) == 1 else None,
        first,
        second,
        len(np.unique(a.images())),
        differences,
        p_values,
        mcnemar(*right),
        tests,
        dict(p_values),
    )


def compare_all(
    predictions: Predictions,
    *,
    protocol: str | None = None,
    options: MeasureOptions | None = None,
    measured: dict[bytes, FoldMeans] | None = None,
) -> tuple[Comparison, ...]:
    """All pairs of detectors of one protocol, p-values adjusted by Holm's method for each metric.

    `measured` holds what is measured already, by `rows_key`.
    """
    tested = predictions if protocol is None else predictions.select(protocol=protocol)
    names = tested.names("detector")
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    known = {} if measured is None else measured
    results = [compare(tested, a, b, protocol=protocol, options=options, measured=known) for a, b in pairs]
    return tuple(adjusted_together(results))


def rows_key(tested: Predictions, detector: str) -> bytes:
    """The key under which `compare` looks for what was measured on all rows of one detector."""
    codes, names = tested.codes("detector")
    rows = np.flatnonzero(codes == names.index(detector))
    return rows[np.argsort(_row_keys(tested)[rows], kind="stable")].tobytes()


def _row_keys(tested: Predictions) -> IntArray:
    """One number (n,) for the fold, the perturbation and the image of each row."""
    fold, perturbation = tested.codes("fold")[0], tested.codes("perturbation")[0]
    images = np.unique(tested.images(), return_inverse=True)[1]
    # Sorting one number takes a fraction of sorting rows of three.
    deliveries = int(perturbation.max(initial=0)) + 2
    keys: IntArray = ((fold + 1) * deliveries + perturbation + 1) * (int(images.max(initial=0)) + 1) + images
    return keys


def _paired(tested: Predictions, first: str, second: str) -> tuple[IntArray, IntArray]:
    """Row numbers of both detectors for the same (fold, perturbation, image), in the same order."""
    names = tested.names("detector")
    missing = [d for d in (first, second) if d not in names]
    if missing or first == second:
        raise UsageError(f"compare two of the detectors in this table: {names}")
    key = _row_keys(tested)
    detector, detectors = tested.codes("detector")
    rows = [np.flatnonzero(detector == detectors.index(d)) for d in (first, second)]
    if any(len(np.unique(key[r])) != len(r) for r in rows):
        raise UsageError("a detector scored an image twice in one fold; keep one row of each")
    shared, at_first, at_second = np.intersect1d(key[rows[0]], key[rows[1]], return_indices=True)
    if not len(shared):
        raise UsageError(f"{first} and {second} have no image in common")
    return rows[0][at_first], rows[1][at_second]


def _two_sided(rounds: FloatArray) -> float:
    finite = rounds[np.isfinite(rounds)]
    if not len(finite):
        return float("nan")
    side = min(int((finite <= 0).sum()), int((finite >= 0).sum()))
    return min(1.0, 2 * (side + 1) / (len(finite) + 1))


def adjusted_together(results: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with p-values of each metric adjusted over all of them by Holm's method."""
    found = list(results)
    for metric in COMPARED:
        scored = [i for i, r in enumerate(found) if metric in r.p_values]
        for i, p in zip(scored, holm([found[i].p_values[metric] for i in scored]), strict=True):
            found[i] = replace(found[i], adjusted={**found[i].adjusted, metric: p})
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm 1979), in the given order."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return [float(v) for v in adjusted]


def delong(labels: AnyArray, first: AnyArray, second: AnyArray) -> DeLong:
    """DeLong's test of two correlated AUCs (DeLong et al. 1988, in the fast form of Sun and Xu 2014).

    labels (n,) in {0, 1}; first, second (n,) scores of the two detectors for the same images.
    """
    from scipy.stats import norm

    labels = np.asarray(labels)
    fake, real = labels == 1, labels == 0
    m, n = int(fake.sum()), int(real.sum())
    if m < 2 or n < 2:
        raise UsageError("DeLong's test needs two images of each class")
    by_fake, by_real, aucs = [], [], []
    for scores in (np.asarray(first, np.float64), np.asarray(second, np.float64)):
        wins = placements(scores[fake], scores[real])
        losses = 1.0 - placements(scores[real], scores[fake])
        by_fake.append(wins)
        by_real.append(losses)
        aucs.append(float(wins.mean()))
    covariance = np.cov(by_fake) / m + np.cov(by_real) / n
    difference = aucs[0] - aucs[1]
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = float(np.sqrt(max(variance, 0.0)))
    certain = 1.0 if difference == 0 else 0.0  # without spread, any difference is one for sure
    p = float(2 * norm.sf(abs(difference) / error)) if error > 0 else certain
    return DeLong(aucs[0], aucs[1], difference, error, p)


def mcnemar(first_right: AnyArray, second_right: AnyArray) -> McNemar:
    """McNemar's exact test on paired verdicts: a binomial test of the images where just one is right."""
    from scipy.stats import binomtest

    first_right, second_right = np.asarray(first_right, bool), np.asarray(second_right, bool)
    a, b = int((first_right & ~second_right).sum()), int((second_right & ~first_right).sum())
    return McNemar(a, b, float(binomtest(a, a + b).pvalue) if a + b else 1.0)
