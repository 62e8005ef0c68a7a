"""`unit_blocks` as a stage of a scikit-learn Pipeline, which learns the centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from morelli.detectors._unit_blocks import unit_blocks


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
