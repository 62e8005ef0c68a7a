"""Preparation of bank features: centre, then bring every feature kind to the same length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin


class UnitBlocks(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Blocks of columns, one per feature kind, each centred (if told) and scaled to length 1 / sqrt(blocks).

    Cosine similarity of the result is the mean of the kinds' cosines, so a kind of long vectors does
    not drown the others. Centring takes away the direction that all images share: without it,
    all cosines between class tokens lie near 1.
    """

    def __init__(self, sizes: Sequence[int] = (), *, center: bool = True) -> None:
        self.sizes = sizes
        self.center = center

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn `mean_` (d,) of X (n, d)."""
        data = np.asarray(X)
        mean = data.mean(axis=0, dtype=np.float64) if self.center else np.zeros(data.shape[1])
        self.mean_: NDArray[np.float32] = mean.astype(np.float32)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Prepared features (n, d) float32."""
        return unit_blocks(np.asarray(X), self.mean_, self.sizes)


def unit_blocks(X: NDArray[Any], mean: NDArray[np.float32], sizes: Sequence[int]) -> NDArray[np.float32]:
    """X (n, d) minus mean (d,), each block of `sizes` columns scaled to length 1 / sqrt(len(sizes))."""
    centred = X.astype(np.float64) - mean
    blocks = np.split(centred, np.cumsum(sizes)[:-1], axis=1) if sizes else [centred]
    scaled = []
    for block in blocks:
        length = np.linalg.norm(block, axis=1, keepdims=True) * np.sqrt(len(blocks))
        scaled.append(np.divide(block, length, out=np.zeros_like(block), where=length > 0))
    return np.concatenate(scaled, axis=1).astype(np.float32)
