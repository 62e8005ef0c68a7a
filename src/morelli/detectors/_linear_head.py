"""A linear head: any chain of affine stages, folded to weights and a bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError


@dataclass(frozen=True, eq=False)
class LinearHead:
    """logit = x @ weights + bias, with `draws` more heads from bootstrap samples.

    weights: (d,) float64. bias: float. draws: (B, d) float32 or None. draw_biases: (B,) float64.
    """

    weights: NDArray[np.float64]
    bias: float
    draws: NDArray[np.float32] | None = None
    draw_biases: NDArray[np.float64] | None = None

    @property
    def width(self) -> int:
        """Number of values d that the head reads."""
        return len(self.weights)

    def shares(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Ones (n, 1): a linear head is one expert, see `ExpertHead.shares`."""
        return np.ones((len(X), 1))

    def local(self, X: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights (n, d) and biases (n,) for the rows of X (n, d): all the same, see `ExpertHead.local`."""
        return np.broadcast_to(self.weights, (len(X), self.width)), np.full(len(X), self.bias)

    def logits(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Logits (n,) of X (n, d)."""
        return np.asarray(X.astype(np.float64) @ self.weights + self.bias)

    def draw_logits(self, X: NDArray[Any]) -> NDArray[np.float64] | None:
        """Logits (n, B) of the bootstrap heads, None without any."""
        if self.draws is None or self.draw_biases is None:
            return None
        return np.asarray(X.astype(np.float64) @ self.draws.T.astype(np.float64) + self.draw_biases)


def fold_affine(estimator: Any, X: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    """Weights (d,) and bias of a fitted estimator whose decision function is affine in its input.

    A probe folds by itself. Any other chain – a mask of components, a projection, a scaler, a linear
    model in one Pipeline – is read off at the origin and at the d unit vectors, and then checked on X.

    Raises:
        UsageError: the decision function is not affine, so that it has no weights.
    """
    d = X.shape[1]
    coef: Any = getattr(estimator, "coef_", None)
    intercept: Any = getattr(estimator, "intercept_", None)
    if not hasattr(estimator, "steps") and coef is not None and np.size(coef) == d:
        return np.asarray(coef, dtype=np.float64).reshape(d), float(np.ravel(intercept)[0])
    at_zero = float(estimator.decision_function(np.zeros((1, d)))[0])
    # Unit vectors of the data's own size: the differences are then as precise as the logits are.
    size = np.maximum(np.abs(X).max(axis=0).astype(np.float64), 1e-12)
    weights = (np.asarray(estimator.decision_function(np.diag(size)), dtype=np.float64) - at_zero) / size
    check = X[: 2 * 64].astype(np.float64)
    wanted = np.asarray(estimator.decision_function(check), dtype=np.float64)
    error = np.abs(check @ weights + at_zero - wanted).max()
    if error > 1e-5 * max(1.0, float(np.abs(wanted).max())):
        raise UsageError(
            f"{type(estimator).__name__} is not affine (its logits differ by {error:.3g} from x @ w + b); "
            "a bundle takes affine stages and a linear model, or a nearest-neighbour detector"
        )
    return weights, at_zero
