"""Clusters of the patterns of one dimension and sign: k-means, of which only what comes back is kept apart.

How many clusters there are is a question of resolution. It is answered by repetition, after Hennig (2007,
*Cluster-wise assessment of cluster stability*): a cluster's stability is the mean Jaccard similarity to its
match in clusterings of random halves. Of all k, the one with most stable clusters is taken. What lies in
clusters that do not come back is one remainder, of several centres: a small clear cluster among patterns
without structure then stands out, where asking that all clusters come back would give up both.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
AGREE = 0.75
"""Stability from which a cluster counts; Hennig calls them valid from 0.75 on, dissolved below 0.5."""
RADIUS = 0.98
"""Share of a cluster's own patterns within its radius; what lies further away belongs to no prototype."""
_SELECT_ROWS = 4_000


@dataclass(frozen=True)
class Clusters:
    """Clusters of patterns.

    Attributes:
        centres: (c, q) float32. owner: (c,) cluster of each centre; only a remainder has several.
        radius: (c,) distance beyond which a pattern belongs to none.
        stability: (clusters,) in [0, 1].
    """

    centres: NDArray[np.float32]
    owner: NDArray[np.int64]
    radius: NDArray[np.float32]
    stability: NDArray[np.float64]


def nearest_centre(Z: Array, centres: Array) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Nearest of `centres` (k, q) for each row of Z (m, q), and its Euclidean distance."""
    square = (Z**2).sum(axis=1)[:, None] - 2 * Z @ centres.T + (centres**2).sum(axis=1)
    best = square.argmin(axis=1)
    return best, np.sqrt(np.maximum(square[np.arange(len(Z)), best], 0)).astype(np.float32)


def fit_clusters(
    Z: Array, *, least: int, most: int, rng: np.random.Generator, repeats: int = 20
) -> Clusters | None:
    """Cluster rows Z (m, q), None when there are fewer than `least`.

    Args:
        Z: unit rows of `PatternSpace`.
        least: smallest cluster that is kept apart.
        most: largest number of centres that is tried.
        rng: seeds k-means and the halves.
        repeats: random halves behind a stability.
    """
    if len(Z) < least:
        return None
    some = Z if len(Z) <= _SELECT_ROWS else Z[np.sort(rng.choice(len(Z), _SELECT_ROWS, replace=False))]
    needed = max(2, round(least * len(some) / len(Z)))
    best = _one_cluster(some)
    for k in range(2, min(most, len(some) // (2 * needed)) + 1):
        tried = _clustering(some, k, needed, rng, repeats)
        # More clusters, and of as many the one with fewer centres.
        if len(tried[2]) > len(best[2]):
            best = tried
    centres, owner, stability = best
    if len(some) < len(Z) and len(centres) > 1:
        centres = kmeans(Z, len(centres), rng, start=centres)
    assigned, distance = nearest_centre(Z, centres)
    radius = np.array(
        [
            np.quantile(distance[assigned == c], RADIUS) if (assigned == c).any() else 0
            for c in range(len(centres))
        ]
    )
    return Clusters(centres, owner, (radius * (1 + 1e-5)).astype(np.float32), stability)


def kmeans(
    Z: Array, k: int, rng: np.random.Generator, *, tries: int = 1, start: Array | None = None
) -> NDArray[np.float32]:
    """Centres (k, q) of Lloyd's algorithm, the best of `tries` k-means++ starts, or from given centres."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Fewer distinct patterns than clusters: equal centres, of which all but one come out empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        seed = int(rng.integers(2**31))
        init, n_init = ("k-means++", tries) if start is None else (start, 1)
        model = KMeans(k, init=init, n_init=n_init, random_state=seed, max_iter=100)
        return np.asarray(model.fit(np.asarray(Z, np.float32)).cluster_centers_, dtype=np.float32)


_Clustering = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]
"""Centres (c, q), owners (c,) and the stability of each owner."""


def _one_cluster(Z: Array) -> _Clustering:
    return np.asarray(Z.mean(axis=0, keepdims=True), np.float32), np.zeros(1, np.int64), np.ones(1)


def _clustering(Z: Array, k: int, least: int, rng: np.random.Generator, repeats: int) -> _Clustering:
    """The stable ones among k clusters, and the remainder as one."""
    centres = kmeans(Z, k, rng, tries=10)
    own = nearest_centre(Z, centres)[0]
    halves = [
        nearest_centre(Z, kmeans(Z[rng.permutation(len(Z))[: (len(Z) + 1) // 2]], k, rng))[0]
        for _ in range(repeats)
    ]
    matches = [matched_jaccard(own, again, k, k) for again in halves]
    stability = np.mean([jaccard for _, jaccard in matches], axis=0)
    stable = (stability >= AGREE) & (np.bincount(own, minlength=k) >= least)
    kept = np.flatnonzero(stable)
    rest = np.flatnonzero(~stable)
    owner = np.full(k, len(kept), dtype=np.int64)
    owner[kept] = np.arange(len(kept))
    order = np.concatenate([kept, rest])
    shares = stability[kept]
    if len(rest):
        inside = ~stable[own]
        if inside.sum() < least:
            return centres[kept], owner[kept], shares
        again_inside = [
            ~np.isin(again, match[kept]) for again, (match, _) in zip(halves, matches, strict=True)
        ]
        shares = np.append(shares, np.mean([(inside & b).sum() / (inside | b).sum() for b in again_inside]))
    return centres[order], owner[order], shares


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
