"""Metrics of labels and probabilities of `generated`: scoring rules, calibration, abstention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from morelli.metrics._arrays import FloatArray, IntArray
from morelli.metrics._labelled import labelled_probabilities

Binning = Literal["mass", "width"]


def brier(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared difference between the probability of `generated` and the label (Brier 1950).

    Args:
        labels: (n,) 0 real, 1 generated; one class suffices.
        probabilities: (n,) in [0, 1].

    Returns:
        A value in [0, 1], the lower the better.

    >>> round(brier([0, 1], [0.2, 0.9]), 3)
    0.025
    """
    labels, p = labelled_probabilities(labels, probabilities)
    return float(np.mean((p - labels) ** 2))


def log_loss(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean negative log-likelihood in nats; probabilities clipped at float64's epsilon.

    Args:
        labels: (n,) 0 real, 1 generated; one class suffices.
        probabilities: (n,) in [0, 1].

    Returns:
        A value from 0 to 36.04, the lower the better.

    >>> round(log_loss([0, 1], [0.5, 0.5]), 4)
    0.6931
    """
    labels, p = labelled_probabilities(labels, probabilities)
    return float(np.mean(log_loss_terms(labels, p)))


def log_loss_terms(labels: ArrayLike, probabilities: ArrayLike) -> FloatArray:
    """The log loss of each row, whose weighted mean is the log loss of any resampling.

    Args:
        labels: (n,) 0 real, 1 generated.
        probabilities: (n,) in [0, 1].

    Returns:
        (n,) nats, each from 0 to 36.04.

    >>> log_loss_terms([0, 1], [0.5, 1.0]).round(4).tolist()
    [0.6931, 0.0]
    """
    eps = np.finfo(np.float64).eps
    p = np.clip(np.asarray(probabilities, dtype=np.float64), eps, 1 - eps)
    return np.asarray(-np.log(np.where(np.asarray(labels) == 1, p, 1 - p)))


def probability_bins(probabilities: ArrayLike, bins: int = 15, binning: Binning = "mass") -> IntArray:
    """The bin of each probability: bins of equal width over [0, 1], or of (nearly) equal mass.

    Equal probabilities always share a bin, so with ties the mass bins may be fewer and unequal.

    Args:
        probabilities: (n,) in [0, 1].
        bins: number of bins.
        binning: ``mass`` or ``width``.

    Returns:
        (n,) numbers from 0 to bins - 1, ascending with the probability.

    >>> probability_bins([0.1, 0.6, 0.6, 1.0], 2, "width").tolist()
    [0, 1, 1, 1]
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if binning == "width":
        return np.minimum((p * bins).astype(np.int64), bins - 1)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    return np.asarray(np.searchsorted(edges, p, side="left"))


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of the reliability curve: how often images of this probability are generated.

    `low` and `high` are the smallest and largest probability inside, `n` the number of images.
    """

    low: float
    high: float
    mean_probability: float
    share_generated: float
    n: int


def reliability_curve(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = 15, binning: Binning = "mass"
) -> tuple[ReliabilityBin, ...]:
    """How often images of about this probability are generated, for each bin that is not empty.

    Args:
        labels: (n,) 0 real, 1 generated; one class suffices.
        probabilities: (n,) in [0, 1].
        bins: number of bins.
        binning: of equal ``mass`` or equal ``width``; equal probabilities always share a bin.

    Returns:
        The bins in ascending order of probability, none without images.

    >>> curve = reliability_curve([0, 1, 1, 1], [0.1, 0.2, 0.9, 0.9], bins=2)
    >>> [(each.n, each.share_generated) for each in curve]
    [(2, 0.5), (2, 1.0)]
    """
    labels, p = labelled_probabilities(labels, probabilities)
    if not len(p):
        return ()
    index = probability_bins(p, bins, binning)
    curve = []
    for b in np.unique(index):
        inside = index == b
        low, high = float(p[inside].min()), float(p[inside].max())
        mean, share = float(p[inside].mean()), float(labels[inside].mean())
        curve.append(ReliabilityBin(low, high, mean, share, int(inside.sum())))
    return tuple(curve)


def calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = 15, binning: Binning = "mass"
) -> float:
    """Expected calibration error: mean over images of |share generated - mean probability| of its bin.

    The value is biased upwards by sampling noise: with n images a perfectly calibrated detector
    reads about sqrt(2 p (1 - p) bins / (pi n)).

    Args:
        labels: (n,) 0 real, 1 generated; one class suffices.
        probabilities: (n,) in [0, 1].
        bins: number of bins.
        binning: of equal ``mass`` or, as in Guo et al. 2017, of equal ``width``.

    Returns:
        A value in [0, 1]; 0 without images.

    >>> round(calibration_error([0, 1, 1, 1], [0.25, 0.75, 0.75, 0.75], bins=2, binning="width"), 3)
    0.25
    """
    curve = reliability_curve(labels, probabilities, bins, binning)
    total = sum(b.n for b in curve)
    return sum(b.n * abs(b.share_generated - b.mean_probability) for b in curve) / max(total, 1)


def weighted_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike, bins: int = 15
) -> FloatArray:
    """Expected calibration error over bins of equal width under many row weightings at once.

    Sum over bins of |sum of w (y - p)|, which is `calibration_error` where all weights are 1 / n.

    Args:
        labels: (n,) 0 real, 1 generated.
        probabilities: (n,) in [0, 1].
        weights: (n, B); each column sums to 1, and may give both classes the same share.
        bins: number of bins.

    Returns:
        (B,) values in [0, 1].

    >>> weighted_calibration_error([0, 1, 1, 1], [0.25, 0.75, 0.75, 0.75], [[0.25]] * 4, bins=2).tolist()
    [0.25]
    """
    y, p = np.asarray(labels), np.asarray(probabilities)
    members = probability_bins(p, bins, "width") == np.arange(bins)[:, None]
    return np.asarray(np.abs(members @ (np.asarray(weights) * (y - p)[:, None])).sum(axis=0))


@dataclass(frozen=True)
class CoveragePoint:
    """One point of the abstention curve: answer only the surest `coverage` of the images.

    `error` and `balanced_error` are in [0, 1], `least_confidence` is the max(p, 1 - p) of the least sure
    image that is answered.
    """

    coverage: float
    error: float
    balanced_error: float
    least_confidence: float


def risk_coverage_curve(
    labels: ArrayLike, probabilities: ArrayLike, points: int = 20
) -> tuple[CoveragePoint, ...]:
    """Error of the surest images at `points` coverages from 1 / points to 1.

    Sureness is max(p, 1 - p), equally sure images in the order given; the error counts p > 0.5 against the
    label; the balanced error is the mean of the two classes' errors among the answered.

    Args:
        labels: (n,) 0 real, 1 generated.
        probabilities: (n,) in [0, 1].
        points: number of coverages.

    Returns:
        The points in ascending order of coverage, none without images. The balanced error is NaN while one
        class is never answered.

    >>> curve = risk_coverage_curve([1, 0, 1, 0], [0.99, 0.05, 0.4, 0.45], points=2)
    >>> [(point.coverage, point.error) for point in curve]
    [(0.5, 0.0), (1.0, 0.25)]
    """
    labels, p = labelled_probabilities(labels, probabilities)
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
