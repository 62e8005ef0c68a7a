"""Every operating point of one set of scores under many row weightings, as a model card needs them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from morelli.metrics._arrays import FloatArray


@dataclass(frozen=True)
class OperatingPoints:
    """What each threshold finds and what it alarms, under B row weightings at once.

    found, alarms: (t, B) share of the generated and of the real weight at or above each of the t distinct
    scores, highest first; tied scores are one threshold. fake_weight, real_weight: (B,) sum of weights of
    each class.

    The curve is held whole, so this is for some thousands of rows. `Ranked` serves millions, and scales each
    class to its number of rows before average precision; here weights count as drawn. A class without weight
    in some column gives NaN there and numpy's warning.

    >>> points = OperatingPoints.of([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8], np.ones((4, 1)))
    >>> points.auc.tolist(), points.tpr_within(0.0).tolist()
    ([0.875], [0.5])
    """

    found: FloatArray
    alarms: FloatArray
    fake_weight: FloatArray
    real_weight: FloatArray

    @classmethod
    def of(cls, labels: ArrayLike, scores: ArrayLike, weights: ArrayLike) -> OperatingPoints:
        """Read all thresholds.

        Args:
            labels: (n,) 0 real, 1 generated.
            scores: (n,) finite, larger means more likely generated.
            weights: (n, B) how often each row counts.
        """
        y, scores, W = np.asarray(labels), np.asarray(scores), np.asarray(weights)
        order = np.argsort(-scores, kind="stable")
        last_of_tie = np.append(np.diff(scores[order]) != 0, True)
        fake = (y[order] == 1)[:, None]
        shares = []
        for side in (fake, ~fake):
            total = np.cumsum(W[order] * side, axis=0)
            shares.append(total[last_of_tie] / total[-1])
        return cls(shares[0], shares[1], W[y == 1].sum(axis=0), W[y == 0].sum(axis=0))

    @property
    def auc(self) -> FloatArray:
        """Area under the ROC curve by trapezoids, (B,), which counts a tied pair one half."""
        start = np.zeros((1, self.found.shape[1]))
        found, alarms = (np.concatenate([start, side]) for side in (self.found, self.alarms))
        return np.asarray(np.trapezoid(found, alarms, axis=0))

    @property
    def average_precision(self) -> FloatArray:
        """Sum of precision times the gain in recall, (B,), at each weighting's own share of fakes."""
        true, false = self.found * self.fake_weight, self.alarms * self.real_weight
        called = true + false
        precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
        gain = np.diff(np.concatenate([np.zeros((1, true.shape[1])), true]), axis=0)
        return np.asarray((precision * gain).sum(axis=0) / true[-1])

    def tpr_within(self, fpr: float) -> FloatArray:
        """Largest share of generated images at a threshold that at most `fpr` of the reals reach, (B,)."""
        return np.asarray(np.where(self.alarms <= fpr, self.found, 0.0).max(axis=0))
