"""What is measured: plain functions of labels (real 0, generated 1) and scores.

Values agree with scikit-learn to 1e-12, ties included. Each function takes whole arrays of shape
(n,); intervals come from `morelli.evaluation.measure`, which evaluates the same formulas
under resampled weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from morelli.errors import UsageError
from morelli.metrics._arrays import AnyArray, FloatArray
from morelli.metrics._ranking import PooledRanking, Ranked

Binning = Literal["mass", "width"]


def _check(labels: AnyArray, scores: AnyArray) -> tuple[AnyArray, FloatArray]:
    labels = np.asarray(labels)
    scores = np.asarray(scores, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise UsageError(
            f"labels {labels.shape} and scores {scores.shape} must be two lists of the same length"
        )
    if not np.isin(labels, (0, 1)).all():
        raise UsageError("labels must be 0 (real) or 1 (generated)")
    if not np.isfinite(scores).all():
        raise UsageError("scores must be finite; find the rows with NaN or infinity and drop or fix them")
    return labels, scores


def _plain(labels: AnyArray, scores: AnyArray, fprs: tuple[float, ...] = ()) -> PooledRanking:
    ranked = Ranked(*_check(labels, scores))
    cumulative = ranked.cumulative_reals(np.ones((1, ranked.n_real)))
    return ranked.pooled(cumulative, np.ones((1, ranked.n_fake)), fprs)


def roc_auc(labels: AnyArray, scores: AnyArray) -> float:
    """Area under the ROC curve; NaN when a class is absent.

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    return float(_plain(labels, scores).auc[0])


def average_precision(labels: AnyArray, scores: AnyArray) -> float:
    """Average precision, sum of (R_k - R_{k-1}) P_k over thresholds; NaN when a class is absent."""
    return float(_plain(labels, scores).average_precision[0])


def tpr_at_fpr(labels: AnyArray, scores: AnyArray, fpr: float) -> float:
    """The largest true-positive rate that a threshold with false-positive rate <= `fpr` reaches.

    With fewer than 1 / `fpr` reals this is the rate at no false positive at all; the number of
    reals therefore belongs beside it in every table.
    """
    if not 0.0 <= fpr <= 1.0:
        raise UsageError(f"a false-positive rate lies between 0 and 1, not {fpr}")
    return float(_plain(labels, scores, (fpr,)).tpr_at_fpr[fpr][0])


def threshold_at_fpr(labels: AnyArray, scores: AnyArray, fpr: float) -> float:
    """The score s such that flagging `score > s` keeps the false-positive rate at or under `fpr`."""
    return Ranked(*_check(labels, scores)).threshold_at_fpr(fpr)


@dataclass(frozen=True)
class Rates:
    """Rates of one threshold; `nan` for a class that is absent."""

    threshold: float
    accuracy: float
    real_accuracy: float
    fake_accuracy: float
    balanced_accuracy: float
    n_real: int
    n_fake: int


def rates_at(labels: AnyArray, scores: AnyArray, threshold: float, *, inclusive: bool = False) -> Rates:
    """Accuracy overall, on reals and on fakes when `score > threshold` means generated.

    `inclusive` flags a score equal to the threshold as well.
    """
    labels, scores = _check(labels, scores)
    flagged = scores >= threshold if inclusive else scores > threshold
    n_fake = int((labels == 1).sum())
    n_real = len(labels) - n_fake
    real = float((~flagged[labels == 0]).mean()) if n_real else float("nan")
    fake = float(flagged[labels == 1].mean()) if n_fake else float("nan")
    accuracy = float((flagged == (labels == 1)).mean()) if len(labels) else float("nan")
    return Rates(threshold, accuracy, real, fake, (real + fake) / 2, n_real, n_fake)


def brier(labels: AnyArray, probabilities: AnyArray) -> float:
    """Mean squared difference between the probability of `generated` and the label."""
    labels, p = _check_probabilities(labels, probabilities)
    return float(np.mean((p - labels) ** 2))


def log_loss(labels: AnyArray, probabilities: AnyArray) -> float:
    """Mean negative log-likelihood in nats; probabilities clipped at float64's epsilon."""
    labels, p = _check_probabilities(labels, probabilities)
    return float(np.mean(log_loss_terms(labels, p)))


def log_loss_terms(labels: AnyArray, probabilities: AnyArray) -> FloatArray:
    """The log loss of each row, (n,)."""
    eps = np.finfo(np.float64).eps
    p = np.clip(np.asarray(probabilities, dtype=np.float64), eps, 1 - eps)
    return np.asarray(-np.log(np.where(np.asarray(labels) == 1, p, 1 - p)))


def _check_probabilities(labels: AnyArray, probabilities: AnyArray) -> tuple[AnyArray, FloatArray]:
    labels, p = _check(labels, probabilities)
    if len(p) and (p.min() < 0 or p.max() > 1):
        raise UsageError("probabilities lie between 0 and 1; pass logits through the sigmoid first")
    return labels, p


def probability_bins(probabilities: AnyArray, bins: int = 15, binning: Binning = "mass") -> AnyArray:
    """Bin of each probability, (n,) int: equal-width bins of [0, 1] or bins of (nearly) equal mass.

    Equal probabilities always share a bin, so with ties the mass bins may be fewer and unequal.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if binning == "width":
        return np.minimum((p * bins).astype(np.int64), bins - 1)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    return np.asarray(np.searchsorted(edges, p, side="left"))


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of the reliability curve: how often images of this probability are generated."""

    low: float
    high: float
    mean_probability: float
    share_generated: float
    n: int


def reliability_curve(
    labels: AnyArray, probabilities: AnyArray, bins: int = 15, binning: Binning = "mass"
) -> tuple[ReliabilityBin, ...]:
    """The non-empty bins in ascending order of probability."""
    labels, p = _check_probabilities(labels, probabilities)
    index = probability_bins(p, bins, binning)
    curve = []
    for b in np.unique(index):
        inside = index == b
        low, high = float(p[inside].min()), float(p[inside].max())
        mean, share = float(p[inside].mean()), float(labels[inside].mean())
        curve.append(ReliabilityBin(low, high, mean, share, int(inside.sum())))
    return tuple(curve)


def calibration_error(
    labels: AnyArray, probabilities: AnyArray, bins: int = 15, binning: Binning = "mass"
) -> float:
    """Expected calibration error: mean over images of |share generated - mean probability| of its bin.

    The value is biased upwards by sampling noise: with n images a perfectly calibrated detector
    reads about sqrt(2 p (1 - p) bins / (pi n)).
    """
    curve = reliability_curve(labels, probabilities, bins, binning)
    total = sum(b.n for b in curve)
    return sum(b.n * abs(b.share_generated - b.mean_probability) for b in curve) / max(total, 1)


def positive_predictive_value(tpr: float, fpr: float, base_rate: float) -> float:
    """Share of flagged images that are generated when `base_rate` of all images are; Bayes' rule."""
    if not 0.0 <= base_rate <= 1.0:
        raise UsageError(f"a base rate lies between 0 and 1, not {base_rate}")
    flagged = tpr * base_rate + fpr * (1.0 - base_rate)
    return tpr * base_rate / flagged if flagged > 0 else float("nan")


@dataclass(frozen=True)
class CoveragePoint:
    """One point of the abstention curve: answer only the surest `coverage` of the images."""

    coverage: float
    error: float
    balanced_error: float
    least_confidence: float


def risk_coverage_curve(
    labels: AnyArray, probabilities: AnyArray, points: int = 20
) -> tuple[CoveragePoint, ...]:
    """Error of the surest images at `points` coverages from 1 / points to 1.

    Sureness is max(p, 1 - p); the error counts p > 0.5 against the label; the balanced error is the
    mean of the two classes' errors among the answered (NaN while one class is never answered).
    """
    labels, p = _check_probabilities(labels, probabilities)
    if not len(p):
        return ()
    sure = np.maximum(p, 1 - p)
    order = np.argsort(-sure, kind="stable")
    wrong = ((p > 0.5) != (labels == 1))[order].astype(np.float64)
    fake = (labels == 1)[order]
    totals = np.cumsum(wrong), np.cumsum(wrong * fake), np.cumsum(fake)
    curve = []
    for step in range(1, points + 1):
        n = max(1, round(len(p) * step / points))
        errors, fake_errors, fakes = (float(t[n - 1]) for t in totals)
        reals = n - fakes
        balanced = ((errors - fake_errors) / reals + fake_errors / fakes) / 2 if reals and fakes else np.nan
        curve.append(CoveragePoint(n / len(p), errors / n, float(balanced), float(sure[order[n - 1]])))
    return tuple(curve)


def wilson_interval(hits: int, n: int, level: float = 0.9) -> tuple[float, float]:
    """Wilson's score interval of a share; (0, 1) when n = 0 (Wilson 1927)."""
    from scipy.stats import norm

    if n == 0:
        return 0.0, 1.0
    z = float(norm.ppf(0.5 + level / 2))
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
