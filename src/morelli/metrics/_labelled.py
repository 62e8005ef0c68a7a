"""Checks of labels and scores that every metric of one set shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from morelli.errors import UsageError
from morelli.metrics._arrays import AnyArray, FloatArray


def labelled_scores(labels: ArrayLike, scores: ArrayLike) -> tuple[AnyArray, FloatArray]:
    """Labels (n,) and scores (n,) as arrays.

    Raises:
        UsageError: the lengths differ, a label is neither 0 nor 1, or a score is not finite.
    """
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


def labelled_probabilities(labels: ArrayLike, probabilities: ArrayLike) -> tuple[AnyArray, FloatArray]:
    """Labels (n,) and probabilities (n,) as arrays.

    Raises:
        UsageError: as `labelled_scores`, or a probability lies outside [0, 1].
    """
    labels, p = labelled_scores(labels, probabilities)
    if len(p) and (p.min() < 0 or p.max() > 1):
        raise UsageError("probabilities lie between 0 and 1; pass logits through the sigmoid first")
    return labels, p
