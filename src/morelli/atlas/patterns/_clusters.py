"""Clusters of the patterns of one dimension and sign: k-means, with as many clusters as come back.

How many clusters there are is a question of resolution. It is answered by repetition: the largest k whose
clusterings of two random halves agree about every single cluster, after the prediction strength of
Tibshirani and Walther (2005), which also takes the worst cluster. A cluster's own stability is the mean
Jaccard similarity to its match in clusterings of bootstrap samples (Hennig 2007, *Cluster-wise assessment of
cluster stability*).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
AGREE = 0.6
"""Mean Jaccard similarity of each cluster in two halves from which a number of clusters comes back. Hennig
calls clusters below one half dissolved, and patterns from 0.6 on."""
RADIUS = 0.98
"""Share of a cluster's own patterns within its radius; what lies further away belongs to no prototype."""
_SELECT_ROWS = 4_000
_FIRST_LOOK, _HOPELESS = 3, 0.15


@dataclass(frozen=True)
class Clusters:
    """k clusters of patterns: `centres` (k, q) float32, `radius` (k,), `stability` (k,) in [0, 1]."""

    centres: NDArray[np.float32]
    radius: NDArray[np.float32]
    stability: NDArray[np.float64]

    def nearest(self, Z: Array) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Number of the nearest centre (m,) and the distance to it, for rows (m, q)."""
        return nearest_centre(Z, self.centres)


def nearest_centre(Z: Array, centres: Array) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Nearest of `centres` (k, q) for each row of Z (m, q), and its Euclidean distance."""
    square = (Z**2).sum(axis=1)[:, None] - 2 * Z @ centres.T + (centres**2).sum(axis=1)
    best = square.argmin(axis=1)
    return best, np.sqrt(np.maximum(square[np.arange(len(Z)), best], 0)).astype(np.float32)


def fit_clusters(
    Z: Array, *, least: int, most: int, rng: np.random.Generator, repeats: int = 10
) -> Clusters | None:
    """Cluster rows Z (m, q), None when there are fewer than `least`.

    Args:
        Z: unit rows of `PatternSpace`.
        least: smallest cluster that is kept.
        most: largest number of clusters that is tried.
        rng: seeds k-means, the halves and the bootstrap.
        repeats: pairs of halves, and bootstrap samples.
    """
    if len(Z) < least:
        return None
    some = Z if len(Z) <= _SELECT_ROWS else Z[np.sort(rng.choice(len(Z), _SELECT_ROWS, replace=False))]
    k = _number_of_clusters(some, least=least, most=most, rng=rng, repeats=repeats)
    centres = kmeans(Z, k, rng, tries=5)
    assigned, distance = nearest_centre(Z, centres)
    # Small clusters are dropped and their patterns left to none: they are further than a radius from others.
    keep = np.flatnonzero(np.bincount(assigned, minlength=k) >= least)
    if not len(keep):
        return None
    radius = np.array([np.quantile(distance[assigned == c], RADIUS) for c in keep], dtype=np.float32)
    stability = _stability(some, centres, rng, repeats)[keep]
    return Clusters(centres[keep], radius * np.float32(1 + 1e-5), stability)


def kmeans(Z: Array, k: int, rng: np.random.Generator, *, tries: int = 1) -> NDArray[np.float32]:
    """Centres (k, q) of Lloyd's algorithm, the best of `tries` k-means++ starts."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    if k == 1:
        return np.asarray(Z.mean(axis=0, keepdims=True), dtype=np.float32)
    with warnings.catch_warnings():
        # Fewer distinct patterns than clusters: equal centres, of which all but one come out empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        seed = int(rng.integers(2**31))
        model = KMeans(k, n_init=tries, random_state=seed, max_iter=100).fit(np.asarray(Z, np.float32))
    return np.asarray(model.cluster_centers_, dtype=np.float32)


def _number_of_clusters(Z: Array, *, least: int, most: int, rng: np.random.Generator, repeats: int) -> int:
    """The largest k up to `most` at which random halves agree; 1 when none does."""
    found = 1
    for k in range(2, min(most, len(Z) // (2 * least)) + 1):
        agreement = np.zeros(k)
        for done in range(1, repeats + 1):
            order = rng.permutation(len(Z))
            halves = order[: len(Z) // 2], order[len(Z) // 2 :]
            one, other = (nearest_centre(Z, kmeans(Z[half], k, rng))[0] for half in halves)
            agreement += np.sort(matched_jaccard(one, other, k, k)[1])
            if done >= _FIRST_LOOK and agreement[0] < (AGREE - _HOPELESS) * done:
                break
        if agreement[0] >= AGREE * repeats:
            found = k
    return found


def _stability(Z: Array, centres: Array, rng: np.random.Generator, repeats: int) -> NDArray[np.float64]:
    """Mean Jaccard similarity (k,) of the clusters of Z to their matches in bootstrap clusterings."""
    k = len(centres)
    own = nearest_centre(Z, centres)[0]
    total = np.zeros(k)
    for _ in range(repeats):
        drawn = rng.integers(len(Z), size=len(Z))
        again = nearest_centre(Z, kmeans(Z[drawn], k, rng))[0]
        total += matched_jaccard(own, again, k, k)[1]
    return total / repeats


def matched_jaccard(
    one: Array, other: Array, n_one: int, n_other: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """One-to-one match of two clusterings of the same rows that maximises the sum of Jaccard similarities.

    Args:
        one, other: (m,) cluster of each row, −1 for none.
        n_one, n_other: numbers of clusters.

    Returns:
        For each cluster of `one` its match in `other` (−1: none is left, or none overlaps) and their
        similarity.

    Example:
        >>> matched_jaccard(np.array([0, 0, 1, 1]), np.array([1, 1, 0, -1]), 2, 2)
        (array([1, 0]), array([1. , 0.5]))
    """
    from scipy.optimize import linear_sum_assignment

    both = (one >= 0) & (other >= 0)
    shared = np.zeros((n_one, n_other))
    np.add.at(shared, (one[both], other[both]), 1)
    sizes = (np.bincount(x[x >= 0], minlength=size) for x, size in ((one, n_one), (other, n_other)))
    first, second = sizes
    union = first[:, None] + second - shared
    jaccard = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    rows, columns = linear_sum_assignment(-jaccard)
    match, similarity = np.full(n_one, -1), np.zeros(n_one)
    overlap = jaccard[rows, columns] > 0
    match[rows[overlap]] = columns[overlap]
    similarity[rows] = jaccard[rows, columns]
    return match, similarity
