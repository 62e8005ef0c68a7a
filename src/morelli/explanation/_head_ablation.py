"""What a head does to a verdict: its part of the logit, and the verdict without it.

The embedding is the sum of its parts, so a linear head's logit is too: w·final + b = b + Σ w·part. Taking a
head out by its mean (mean ablation, Gandelsman et al. 2310.05916, section 3) replaces its contribution by
the average one and moves the logit by exactly w·(mean − contribution); what later heads would have read of
it stays, since that is counted in their own contributions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError
from morelli.explanation._heads import Heads
from morelli.metrics import column_aucs

if TYPE_CHECKING:
    pass

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class HeadAblation:
    """The effect of taking heads out by their mean, one at a time and all together.

    `names` (m,); `logit` (n,) of the whole embedding; `shift` (n, m) what the logit changes by when this
    head alone is taken out; `together` (n,) when all of `names` are. `threshold` is what calls an image
    generated.
    """

    names: tuple[str, ...]
    logit: Array
    shift: Array
    together: Array
    threshold: float

    @property
    def effect(self) -> Array:
        """Root mean square change of the logit, (m,)."""
        return np.asarray(np.sqrt((self.shift**2).mean(axis=0)))

    def auc_without(self, y: Array) -> Array:
        """Area under the curve without each head, (m,), for labels y (n,)."""
        y = np.asarray(y)
        changed = self.logit[:, None] + self.shift
        return column_aucs(changed[y == 1], changed[y == 0])


def ablate_heads(
    heads: Heads,
    final: Array,
    weights: Array,
    bias: float = 0.0,
    *,
    reference: Array | None = None,
    unit: bool = False,
    threshold: float = 0.0,
) -> HeadAblation:
    """Mean-ablate each of `heads` under the linear head w (d,), b on `final` (n, d).

    `reference` (mask or numbers of rows) says over which images the mean is taken, by default all. With
    `unit` the embedding is scaled to length 1 before the head; the shorter embedding is then scaled again,
    so that the shift is exact as well.

    Raises:
        UsageError: heads are raw readings, or shapes do not fit.
    """
    if heads.reading != "contribution":
        raise UsageError("Ablation needs contributions to the embedding (head:l.h), not raw head outputs.")
    X, w = np.asarray(final, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    V = heads.vectors
    if X.shape != (len(V), V.shape[2]) or w.shape != X.shape[1:]:
        raise UsageError(f"Heads {V.shape}, embeddings {X.shape} and weights {w.shape} do not fit together.")
    mean = (V if reference is None else V[np.asarray(reference)]).mean(axis=0, dtype=np.float64)

    def score(Z: Array) -> Array:
        length = np.linalg.norm(Z, axis=1) if unit else np.ones(len(Z))
        return np.asarray((Z @ w) / length + bias)

    logit = score(X)
    if unit:
        shift = np.stack([score(X - V[:, h] + mean[h]) - logit for h in range(len(heads))], axis=1)
    else:
        shift = mean @ w - V.astype(np.float64) @ w
    gone = X - V.sum(axis=1, dtype=np.float64) + mean.sum(axis=0)
    return HeadAblation(heads.names, logit, shift, score(gone) - logit, threshold)
