"""Switch dimensions off and score the whole collection again: logit minus their impacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError
from morelli.metrics import roc_auc

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Rescored:
    """The collection without some dimensions.

    Attributes:
        logits: (n,) float32 without them; `before` (n,) with all.
        off: the dimensions that were switched off.
        to_fake, to_real: rows whose verdict at the threshold changed, and to what.
        auc_before, auc_after: over the labelled images; NaN unless both classes are there.
    """

    logits: NDArray[np.float32]
    before: NDArray[np.float32]
    off: tuple[int, ...]
    to_fake: NDArray[np.int64]
    to_real: NDArray[np.int64]
    auc_before: float
    auc_after: float

    @property
    def changed(self) -> NDArray[np.int64]:
        """Rows whose verdict changed, in order."""
        return np.union1d(self.to_fake, self.to_real)


def rescore(
    impacts: Array,
    bias: float | Array,
    off: Sequence[int],
    *,
    labels: Array | None = None,
    threshold: float = 0.0,
    baseline: Array | None = None,
) -> Rescored:
    """Logits of all images with some dimensions switched off.

    Args:
        impacts: (n, K); with `bias`, one number or (n,) where folds have their own, they sum to the logit.
        bias: see there.
        off: dimensions to leave out.
        labels: (n,) real 0, fake 1, −1 unknown, for the AUC.
        threshold: a logit above it is called generated.
        baseline: (K,) what a dimension that is off says instead of nothing, such as the typical impact
            (`Presence.typical`); its own constant share then stays in the logit. None: 0, as in ASAP.

    Raises:
        UsageError: a dimension that does not exist.

    Example:
        >>> found = rescore(np.array([[2.0, -1.0], [0.5, -1.0]]), 0.0, [0], labels=np.array([1, 0]))
        >>> found.logits.tolist(), found.to_real.tolist(), found.auc_before, found.auc_after
        ([-1.0, -1.0], [0], 1.0, 0.5)
    """
    impacts = np.asanyarray(impacts)
    dimensions = impacts.shape[1]
    gone = tuple(sorted({int(k) for k in off}))
    if gone and not 0 <= gone[0] <= gone[-1] < dimensions:
        raise UsageError(f"Dimensions are numbered 0 to {dimensions - 1}; got {list(off)}.")
    before = impacts.sum(axis=1, dtype=np.float64) + bias
    removed = impacts[:, list(gone)].sum(axis=1, dtype=np.float64)
    after = before - removed
    if baseline is not None:
        after = after + float(np.asarray(baseline, dtype=np.float64)[list(gone)].sum())
    one, other = before > threshold, after > threshold
    return Rescored(
        logits=after.astype(np.float32),
        before=before.astype(np.float32),
        off=gone,
        to_fake=np.flatnonzero(other & ~one),
        to_real=np.flatnonzero(one & ~other),
        auc_before=_auc(labels, before),
        auc_after=_auc(labels, after),
    )


def _auc(labels: ArrayLike | None, logits: Array) -> float:
    if labels is None:
        return float("nan")
    y = np.asarray(labels)
    known = y >= 0
    return roc_auc(y[known], logits[known])
