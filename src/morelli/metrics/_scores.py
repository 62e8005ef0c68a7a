"""Metrics of labels (real 0, generated 1) and scores: ranking, operating points and thresholds.

Values agree with scikit-learn to 1e-12, ties included. Each function takes whole arrays (n,); intervals come
from `morelli.evaluation.measure`, which evaluates the same formulas under resampled weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from morelli.errors import UsageError
from morelli.metrics._arrays import FloatArray
from morelli.metrics._labelled import labelled_scores
from morelli.metrics._ranking import PooledRanking, Ranked


def _plain(labels: ArrayLike, scores: ArrayLike, fprs: tuple[float, ...] = ()) -> PooledRanking:
    ranked = Ranked(*labelled_scores(labels, scores))
    cumulative = ranked.cumulative_reals(np.ones((1, ranked.n_real)))
    return ranked.pooled(cumulative, np.ones((1, ranked.n_fake)), fprs)


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the share of pairs in which the generated image scores higher.

    Args:
        labels: (n,) 0 real, 1 generated.
        scores: (n,) finite, larger means more likely generated.

    Returns:
        A value in [0, 1], 0.5 for chance. A tied pair counts one half (Mann and Whitney 1947); NaN when a
        class is absent.

    Raises:
        UsageError: lengths differ, labels are neither 0 nor 1, or scores are not finite.

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    >>> roc_auc([1, 1], [0.4, 0.8])
    nan
    """
    return float(_plain(labels, scores).auc[0])


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Average precision, the sum of (R_k - R_{k-1}) P_k over thresholds from high to low.

    R_k and P_k are recall and precision when scores of at least the k-th distinct one are flagged, without
    interpolation. The value depends on the share of generated images, which chance alone reaches.

    Args:
        labels: (n,) 0 real, 1 generated.
        scores: (n,) finite.

    Returns:
        A value in [0, 1]. Tied scores are one threshold; NaN when a class is absent.

    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    return float(_plain(labels, scores).average_precision[0])


def tpr_at_fpr(labels: ArrayLike, scores: ArrayLike, fpr: float) -> float:
    """The largest true-positive rate that a threshold with false-positive rate <= `fpr` reaches.

    With fewer than 1 / `fpr` reals this is the rate at no false positive at all; the number of
    reals therefore belongs beside it in every table.

    Args:
        labels: (n,) 0 real, 1 generated.
        scores: (n,) finite.
        fpr: in [0, 1].

    Returns:
        A value in [0, 1]. No threshold cuts through tied scores; NaN when a class is absent.

    >>> tpr_at_fpr([0, 0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.5, 0.9], 0.25)
    1.0
    >>> tpr_at_fpr([0, 0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.5, 0.9], 0.01)
    0.5
    """
    if not 0.0 <= fpr <= 1.0:
        raise UsageError(f"a false-positive rate lies between 0 and 1, not {fpr}")
    return float(_plain(labels, scores, (fpr,)).tpr_at_fpr[fpr][0])


def tpr_at_fprs(labels: ArrayLike, scores: ArrayLike, fprs: ArrayLike) -> FloatArray:
    """`tpr_at_fpr` at many rates at once: curves on one grid, which can be averaged over folds.

    Args:
        labels: (n,) 0 real, 1 generated; both must occur.
        scores: (n,) finite.
        fprs: (k,) in [0, 1].

    Returns:
        (k,) values in [0, 1], equal to `tpr_at_fpr` up to rounding.

    Raises:
        UsageError: a class is absent.

    >>> tpr_at_fprs([0, 0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.5, 0.9], [0.01, 0.25]).tolist()
    [0.5, 1.0]
    """
    labels, scores = labelled_scores(labels, scores)
    real, fake = np.sort(scores[labels == 0])[::-1], np.sort(scores[labels == 1])
    if not len(real) or not len(fake):
        raise UsageError("a curve needs images of both classes")
    # The step up keeps 0.05 * 20 = 1 image from being rounded down to none.
    allowed = np.floor(np.asarray(fprs) * len(real) + 1e-9).astype(int)
    # Flagging scores above the (allowed + 1)-th largest real one lets at most `allowed` reals through.
    cuts = np.where(allowed < len(real), real[np.minimum(allowed, len(real) - 1)], -np.inf)
    return np.asarray(1 - np.searchsorted(fake, cuts, side="right") / len(fake))


def threshold_at_fpr(labels: ArrayLike, scores: ArrayLike, fpr: float) -> float:
    """The empirical threshold: the lowest score s such that `score > s` flags at most `fpr` of these reals.

    It describes the images at hand. A threshold for new images, whose expected false-positive rate is
    bounded, is `morelli.detectors.conformal_threshold`.

    Args:
        labels: (n,) 0 real, 1 generated; only the reals count.
        scores: (n,) finite.
        fpr: in [0, 1].

    Returns:
        A score of a real image, or -inf where all may be flagged. Tied scores stay on one side; NaN without
        reals.

    >>> threshold_at_fpr([0, 0, 0, 0, 1], [0.1, 0.2, 0.3, 0.6, 0.9], 0.25)
    0.3
    """
    return Ranked(*labelled_scores(labels, scores)).threshold_at_fpr(fpr)


def roc_curve(labels: ArrayLike, scores: ArrayLike, most: int = 200) -> FloatArray:
    """The corners of the ROC curve, one for each distinct score, thinned to at most `most` beside (0, 0).

    Args:
        labels: (n,) 0 real, 1 generated; both must occur.
        scores: (n,) larger means more likely generated.
        most: number of corners to keep, evenly spaced by rank; first and last are among them.

    Returns:
        (k, 2) false-positive and true-positive rate when scores of at least that corner's are flagged,
        from (0, 0) to (1, 1).

    Raises:
        UsageError: a class is absent.

    >>> roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8]).tolist()
    [[0.0, 0.0], [0.0, 0.5], [0.5, 1.0], [1.0, 1.0]]
    """
    y, scores = np.asarray(labels), np.asarray(scores)
    if not (y == 0).any() or not (y == 1).any():
        raise UsageError("a curve needs images of both classes")
    order = np.argsort(-scores, kind="stable")
    tp, fp = np.cumsum(y[order] == 1), np.cumsum(y[order] == 0)
    last = np.r_[np.flatnonzero(np.diff(scores[order])), len(order) - 1]
    keep = last[np.unique(np.linspace(0, len(last) - 1, most).astype(int))]
    return np.concatenate([np.zeros((1, 2)), np.column_stack([fp[keep] / fp[-1], tp[keep] / tp[-1]])])


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


def rates_at(labels: ArrayLike, scores: ArrayLike, threshold: float, *, inclusive: bool = False) -> Rates:
    """Accuracy overall, on reals and on fakes when `score > threshold` means generated.

    Args:
        labels: (n,) 0 real, 1 generated.
        scores: (n,) finite.
        threshold: on the scale of the scores.
        inclusive: a score equal to the threshold is flagged as well.

    Returns:
        Shares in [0, 1]; `balanced_accuracy` is the mean of the two classes' and NaN when one is absent.

    >>> rates = rates_at([0, 0, 1, 1], [0.1, 0.6, 0.5, 0.8], 0.5)
    >>> rates.real_accuracy, rates.fake_accuracy, rates.balanced_accuracy
    (0.5, 0.5, 0.5)
    """
    labels, scores = labelled_scores(labels, scores)
    flagged = scores >= threshold if inclusive else scores > threshold
    n_fake = int((labels == 1).sum())
    n_real = len(labels) - n_fake
    real = float((~flagged[labels == 0]).mean()) if n_real else float("nan")
    fake = float(flagged[labels == 1].mean()) if n_fake else float("nan")
    accuracy = float((flagged == (labels == 1)).mean()) if len(labels) else float("nan")
    return Rates(threshold, accuracy, real, fake, (real + fake) / 2, n_real, n_fake)


def best_threshold(labels: ArrayLike, probabilities: ArrayLike) -> tuple[float, float]:
    """The threshold of highest accuracy and that accuracy; `probability >= threshold` means generated.

    All scores are scanned, as in the published code of UnivFD (Ojha et al. 2023). Thresholds of equal
    accuracy are one and the same to it, so 0.5 stands for them where it is among the best; else the best
    score nearest to 0.5 is taken, or the middle of the gap when the classes are perfectly apart.

    Args:
        labels: (n,) 0 real, 1 generated; one class suffices.
        probabilities: (n,) in [0, 1].

    Raises:
        UsageError: there is no score.

    >>> best_threshold([0, 0, 1, 1], [0.6, 0.65, 0.75, 0.9])
    (0.7, 1.0)
    """
    labels, p = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if not len(p):
        raise UsageError("a threshold needs scores to be tuned on; the held-in part is empty")
    reals, fakes = p[labels == 0], p[labels == 1]
    values = np.unique(p)
    correct = np.searchsorted(np.sort(reals), values) + len(fakes) - np.searchsorted(np.sort(fakes), values)
    best = int(correct.max())
    at_half = int((reals < 0.5).sum() + (fakes >= 0.5).sum())
    if at_half >= best:
        return 0.5, at_half / len(p)
    if len(reals) and len(fakes) and reals.max() < fakes.min():
        return float((reals.max() + fakes.min()) / 2), best / len(p)
    ties = values[correct == best]
    return float(ties[np.argmin(np.abs(ties - 0.5))]), best / len(p)
