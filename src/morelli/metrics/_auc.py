"""Area under the ROC curve in its special forms: two samples, many columns, inside folds, image by image.

All count pairs exactly: the share of pairs of one generated and one real image in which the generated one
has the higher score, a tied pair counting one half (Mann and Whitney 1947). Numbers of pairs are integers or
halves, so the forms agree to the last bit wherever they answer the same question.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from morelli.errors import UsageError
from morelli.metrics._arrays import FloatArray


def two_sample_auc(fake: ArrayLike, real: ArrayLike) -> float:
    """Area under the ROC curve of the scores of both classes, given apart.

    Each class is sorted by itself, in its own dtype, so a million scores that are ranked once for every
    dimension cost little. Equals `roc_auc` to the last bit; infinite scores are allowed here.

    Args:
        fake: (n1,) scores of generated images, larger means more likely generated.
        real: (n0,) scores of real images.

    Returns:
        A value in [0, 1], ties counting one half; NaN where a class is absent or a score is NaN.

    >>> two_sample_auc([0.4, 0.8], [0.1, 0.4])
    0.875
    >>> two_sample_auc([0.4, 0.8], [])
    nan
    """
    fake, real = np.sort(np.asarray(fake)), np.sort(np.asarray(real))
    if not len(fake) or not len(real) or np.isnan(fake[-1]) or np.isnan(real[-1]):
        return float("nan")
    below = np.searchsorted(real, fake)
    wins = int(below.sum())
    # Few scores are equal; only those are looked for from the other side.
    tied = fake[real[np.minimum(below, len(real) - 1)] == fake]
    ties = int((np.searchsorted(real, tied, side="right") - np.searchsorted(real, tied)).sum())
    return (2 * wins + ties) / (2 * len(real) * len(fake))


def column_aucs(fake: ArrayLike, real: ArrayLike) -> FloatArray:
    """`two_sample_auc` of each column: one score per detector, head or component.

    Args:
        fake: (n1, m) scores of generated images.
        real: (n0, m) scores of real images.

    Returns:
        (m,) values in [0, 1]; NaN where a class is absent or a score is NaN.

    Raises:
        UsageError: the numbers of columns differ.

    >>> column_aucs([[0.4, 1.0], [0.8, 0.0]], [[0.1, 2.0], [0.4, 3.0]]).tolist()
    [0.875, 0.0]
    """
    fake, real = np.asarray(fake), np.asarray(real)
    if fake.ndim != 2 or real.ndim != 2 or fake.shape[1] != real.shape[1]:
        raise UsageError(
            f"scores of generated {fake.shape} and of real images {real.shape} must have the same columns"
        )
    return np.array([two_sample_auc(f, r) for f, r in zip(fake.T, real.T, strict=True)], dtype=np.float64)


def placements(scores: ArrayLike, reference: ArrayLike) -> FloatArray:
    """Share of the reference scores that lie below each score, a tie counting one half.

    These placement values are the structural components of the AUC (DeLong et al. 1988): the mean over
    generated images placed among real ones is the AUC, their spread gives its variance. One minus the
    placement of a real image among generated ones is the share of generated images above it.

    Args:
        scores: (n,) or (n, m), one score in each of m columns.
        reference: (n0,) or (n0, m), to place them in; columns are ranked apart.

    Returns:
        The shape of `scores`, values in [0, 1]; NaN without any reference.

    >>> placements([0.4, 0.8], [0.1, 0.4]).tolist()
    [0.75, 1.0]
    """
    scores, ordered = np.asarray(scores), np.sort(np.asarray(reference), axis=0)
    if not len(ordered):
        return np.full(scores.shape, np.nan)
    if scores.ndim == 1:
        both = np.searchsorted(ordered, scores, side="left") + np.searchsorted(ordered, scores, side="right")
        return np.asarray(both / (2 * len(ordered)))
    if not scores.shape[1]:
        return np.zeros(scores.shape)
    return np.stack([placements(s, r) for s, r in zip(scores.T, ordered.T, strict=True)], axis=1)


def within_fold_auc(
    labels: ArrayLike, scores: ArrayLike, folds: ArrayLike, weights: ArrayLike | None = None
) -> FloatArray:
    """AUC over the pairs that share a fold, since scores of two fitted models have no common scale.

    Args:
        labels: (n,) 0 real, 1 generated.
        scores: (n,) larger means more likely generated.
        folds: (n,) the fold that each row was scored in.
        weights: (rounds, n) how often each row counts, one AUC per round; every row once if None.

    Returns:
        (rounds,) values in [0, 1], or shape () without weights; ties count one half. NaN where no fold
        holds both classes.

    >>> float(within_fold_auc([0, 1, 0, 1], [0.1, 0.2, 0.7, 0.6], [0, 0, 1, 1]))
    0.5
    """
    y, scores, folds = np.asarray(labels), np.asarray(scores), np.asarray(folds)
    W = np.ones((1, len(y))) if weights is None else np.asarray(weights)
    won, pairs = np.zeros(len(W)), np.zeros(len(W))
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        rows = rows[np.argsort(scores[rows], kind="stable")]
        starts = np.flatnonzero(np.r_[True, np.diff(scores[rows]) > 0])
        fake = np.add.reduceat(W[:, rows] * (y[rows] == 1), starts, axis=1)
        real = np.add.reduceat(W[:, rows] * (y[rows] == 0), starts, axis=1)
        below = np.cumsum(real, axis=1) - real
        won += (fake * (below + real / 2)).sum(axis=1)
        pairs += fake.sum(axis=1) * real.sum(axis=1)
    with np.errstate(invalid="ignore"):
        auc: FloatArray = np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1), np.nan)
    return auc[0] if weights is None else auc
