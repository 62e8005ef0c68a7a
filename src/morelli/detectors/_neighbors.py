"""UnivFD's nearest-neighbour classifier (Ojha et al. 2023, section 4.1) over a bank of labelled features."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from morelli.detectors._cosine_index import CosineIndex, IndexKind, check_index
from morelli.detectors._linear_decision import TwoClasses
from morelli.detectors._neighborhood import Neighborhood, Voting, nearest, neighbor_scores
from morelli.detectors._probe import binary_data
from morelli.errors import UsageError


class NearestNeighborDetector(TwoClasses, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Cosine nearest neighbours among real and generated bank features.

    Args:
        k: neighbours that vote, 1 … 9 in the paper.
        voting: ``mean_similarity`` – score = mean of the k largest cosines to generated members minus
            the same to real members (ranks finely, so it is the one for average precision);
            ``majority`` – score = (generated - real) / k among the k nearest of the whole bank.
            Both agree at k = 1. A tie is real.
        index: ``exact`` (float32, ranked again in float64, equal to a float64 brute force), or
            approximate by faiss, an extra (`morelli[faiss]`): ``hnsw`` (fast, removal leaves tombstones)
            or ``ivf``.
        ef_search, n_probe: effort of the approximate search (HNSW; IVF), None for a default.

    Learnt: `bank_` (m, d) as given, `labels_` (m,) 0 or 1, `ids_` (m,), `generators_` (m,), `classes_`.

    >>> bank = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]
    >>> detector = NearestNeighborDetector().fit(bank, [0, 0, 1], ids=["a", "b", "c"])
    >>> detector.predict([[0.2, 0.8]]), detector.add([[0.3, 0.9]], [0], ids=["d"]).predict([[0.2, 0.8]])
    (array([1]), array([0]))
    """

    def __init__(
        self,
        k: int = 1,
        *,
        voting: Voting = "mean_similarity",
        index: IndexKind = "exact",
        ef_search: int | None = None,
        n_probe: int | None = None,
    ) -> None:
        self.k = k
        self.voting = voting
        self.index = index
        self.ef_search = ef_search
        self.n_probe = n_probe

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        ids: ArrayLike | None = None,
        generators: ArrayLike | None = None,
    ) -> Self:
        """Make X (m, d) with labels y (m,) the bank; ids name its members, by default 0 … m - 1."""
        if self.voting not in ("mean_similarity", "majority"):
            raise UsageError(f"voting is {self.voting!r}; choose 'mean_similarity' or 'majority'")
        if isinstance(self.k, bool) or not isinstance(self.k, int | np.integer) or self.k < 1:
            raise UsageError(f"k is {self.k!r}; give a whole number from 1 on")
        check_index(self.index)
        data, _, target = binary_data(self, X, y)
        self._indexes: dict[int, CosineIndex] = {}
        self._next = 0
        self.bank_ = data[:0].copy()
        self.labels_ = np.empty(0, dtype=np.int8)
        self.ids_ = np.empty(0, dtype=object)
        self.generators_ = np.empty(0, dtype=object)
        self._append(data, target, ids, generators)
        return self

    def add(
        self, X: ArrayLike, y: ArrayLike, ids: ArrayLike | None = None, generators: ArrayLike | None = None
    ) -> Self:
        """Add members X (m, d), y (m,) at the end of the bank."""
        check_is_fitted(self)
        data: NDArray[Any] = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        labels = np.atleast_1d(np.asarray(y))
        unknown = set(np.unique(labels).tolist()) - set(self.classes_.tolist())
        if unknown or len(labels) != len(data):
            raise UsageError(
                f"add() got {len(data)} rows, {len(labels)} labels"
                + (
                    f" and unknown labels {sorted(unknown)}; known are {self.classes_.tolist()}"
                    if unknown
                    else ""
                )
            )
        self._append(data, (labels == self.classes_[1]).astype(np.float64), ids, generators)
        return self

    def remove(self, ids: ArrayLike) -> Self:
        """Remove the members with these ids.

        Raises:
            UsageError: an id is not in the bank, or a class would become empty.
        """
        check_is_fitted(self)
        wanted = set(np.atleast_1d(np.asarray(ids, dtype=object)).tolist())
        gone = np.array([one in wanted for one in self.ids_], dtype=bool)
        missing = wanted - set(self.ids_[gone].tolist())
        if missing:
            raise UsageError(f"not in the bank: {', '.join(sorted(map(str, missing))[:5])}")
        if len(np.unique(self.labels_[~gone])) < 2:
            raise UsageError("this would empty one class of the bank; add other members first")
        for label, index in self._indexes.items():
            index.remove(gone[self.labels_ == label])
        keep = ~gone
        self.bank_, self.labels_ = self.bank_[keep], self.labels_[keep]
        self.ids_, self.generators_ = self.ids_[keep], self.generators_[keep]
        return self

    def kneighbors(self, X: ArrayLike, k: int | None = None) -> Neighborhood:
        """The k nearest real and the k nearest generated members of every row of X (n, d)."""
        check_is_fitted(self)
        data: NDArray[Any] = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        k = self.k if k is None else k
        return nearest(self._index, self.labels_, data, k)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Scores (n,) in [-2, 2]; above 0 is generated."""
        return neighbor_scores(self.kneighbors(X), self.k, self.voting)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels (n,); a tie is real."""
        above = self.decision_function(X) > 0
        return np.asarray(self.classes_[above.astype(int)])

    def _append(
        self,
        X: NDArray[Any],
        target: NDArray[np.float64],
        ids: ArrayLike | None,
        generators: ArrayLike | None,
    ) -> None:
        m = len(X)
        names = (
            list(range(self._next, self._next + m)) if ids is None else list(np.asarray(ids, dtype=object))
        )
        makers = [None] * m if generators is None else list(np.asarray(generators, dtype=object))
        if len(names) != m or len(makers) != m:
            raise UsageError(f"{m} rows but {len(names)} ids and {len(makers)} generators")
        known = set(self.ids_.tolist())
        if len(set(names)) != m or known & set(names):
            raise UsageError("ids must be unique in the bank; leave out or rename the repeated ones")
        self._next += m
        labels = target.astype(np.int8)
        for label, index in self._indexes.items():
            index.add(X[labels == label])
        self.bank_ = np.concatenate([self.bank_, X])
        self.labels_ = np.concatenate([self.labels_, labels])
        self.ids_ = np.concatenate([self.ids_, np.array([*names, None], dtype=object)[:-1]])
        self.generators_ = np.concatenate([self.generators_, np.array([*makers, None], dtype=object)[:-1]])

    def _index(self, label: int) -> CosineIndex:
        if label not in self._indexes:
            self._indexes[label] = CosineIndex(
                self.bank_[self.labels_ == label], self.index, ef_search=self.ef_search, n_probe=self.n_probe
            )
        return self._indexes[label]

    def __getstate__(self) -> dict[str, Any]:
        # Indexes are rebuilt from the bank on first use, so copies and saved files carry no faiss object.
        state = dict(super().__getstate__())
        if "_indexes" in state:
            state["_indexes"] = {}
        return state
