"""The space in which patterns of one dimension are compared: principal directions of their patch features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
FIT_ROWS = 20_000


@dataclass(frozen=True)
class PatternSpace:
    """Patch features (m, D) to unit rows (m, q) in which near means alike.

    Attributes:
        mean: (D,) of the patterns it was fitted on.
        basis: (D, q), principal directions, each divided by √(λ + λ̄), where λ is its variance and λ̄ the
            mean variance of the q kept. Whole whitening would blow up the last directions, which are noise,
            and none would leave all to the first, a few components of large variance in CLIP's tokens.
    """

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]

    @classmethod
    def fit(cls, features: Array, *, components: int) -> Self:
        """Fit on patch features (m, D), m ≥ 1; fewer patterns than components give fewer directions.

        Rows beyond the rank come out as zero columns, so that every space has the same shape.
        """
        X = np.asarray(features, dtype=np.float64)
        mean = X.mean(axis=0)
        centred = X - mean
        basis = np.zeros((X.shape[1], components))
        # eigh of the smaller of both Gram matrices; the sign of a direction is fixed for repeatability.
        if len(X) >= X.shape[1]:
            values, vectors = np.linalg.eigh(centred.T @ centred / len(X))
        else:
            values, left = np.linalg.eigh(centred @ centred.T / len(X))
            vectors = centred.T @ left / np.sqrt(np.maximum(values, 1e-30) * len(X))
        keep = np.argsort(-values)[:components]
        keep = keep[values[keep] > 1e-9 * max(float(values[keep[0]]), 1e-30)]
        if len(keep):
            vectors, values = vectors[:, keep], values[keep]
            vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(keep))])
            basis[:, : len(keep)] = vectors / np.sqrt(values + values.mean())
        return cls(mean.astype(np.float32), basis.astype(np.float32))

    def __call__(self, features: Array) -> NDArray[np.float32]:
        """Unit rows (m, q); a pattern exactly at the mean is a zero row."""
        rows = (np.asarray(features, dtype=np.float32) - self.mean) @ self.basis
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 0))
