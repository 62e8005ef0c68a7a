"""The nearest members of a bank, per class, and the scores that follow from them; no estimator is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.detectors._cosine_index import CosineIndex

Voting = Literal["mean_similarity", "majority"]


@dataclass(frozen=True)
class Neighborhood:
    """Nearest bank members of n queries, per class; best first, equal similarities in bank order.

    real, fake: (n, k) positions in the bank, -1 where a class holds fewer than k.
    real_similarity, fake_similarity: (n, k) cosines, float64, -inf at -1.
    """

    real: NDArray[np.int64]
    real_similarity: NDArray[np.float64]
    fake: NDArray[np.int64]
    fake_similarity: NDArray[np.float64]

    def union(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
        """Positions, cosines and "is generated" (n, k) of the k nearest of the whole bank."""
        where = np.concatenate([self.real, self.fake], axis=1)
        cosine = np.concatenate([self.real_similarity, self.fake_similarity], axis=1)
        fake = np.arange(where.shape[1])[None, :] >= self.real.shape[1]
        order = np.lexsort((where, -cosine), axis=1)[:, :k]
        taken = np.take_along_axis(where, order, axis=1)
        return (
            taken,
            np.take_along_axis(cosine, order, axis=1),
            np.take_along_axis(np.broadcast_to(fake, where.shape), order, axis=1) & (taken >= 0),
        )


class LabelledIndexes:
    """One exact index of the real and one of the generated members of a bank, both made at once.

    vectors: (m, d), in the dtype that they are kept in. labels: (m,) real 0, generated 1; both must occur.
    """

    def __init__(self, vectors: NDArray[np.floating], labels: NDArray[Any]) -> None:
        self._labels = np.asarray(labels)
        self._indexes = [CosineIndex(vectors[self._labels == label], "exact") for label in (0, 1)]

    def near(self, X: NDArray[Any], k: int) -> Neighborhood:
        """The k nearest real and the k nearest generated members of every row of X (n, d)."""
        return nearest(self._indexes.__getitem__, self._labels, X, k)


def nearest(
    index_of: Callable[[int], CosineIndex], labels: NDArray[Any], X: NDArray[Any], k: int
) -> Neighborhood:
    """The k nearest members of each class, from an index of each; positions are those of `labels`."""
    found = []
    for label in (0, 1):
        positions = np.flatnonzero(labels == label)
        where, cosine = index_of(label).search(X, k)
        found += [np.where(where >= 0, positions[where], -1), cosine]
    return Neighborhood(*found)


def neighbor_scores(near: Neighborhood, k: int, voting: Voting) -> NDArray[np.float64]:
    """Scores (n,) in [-2, 2] of the k nearest of each class; above 0 is generated."""
    if voting == "majority":
        where, _, fake = near.union(k)
        counted = (where >= 0).sum(axis=1)
        return np.asarray((2.0 * fake.sum(axis=1) - counted) / counted)
    return _mean_of_found(near.fake_similarity) - _mean_of_found(near.real_similarity)


def _mean_of_found(similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean (n,) over the members found (n, k)."""
    found = np.isfinite(similarity)
    return np.asarray(np.where(found, similarity, 0.0).sum(axis=1) / found.sum(axis=1))
