"""Projections of distilled values to the plane: t-SNE, UMAP or PCA, for any number of images.

t-SNE and UMAP lay out landmarks, a draw that grows with the collection up to a limit; every other image is
placed among its nearest landmarks, as images are that come later. PCA needs no landmarks.
"""

from __future__ import annotations

import warnings
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.atlas.cells._layout import Axes, Layout, Method, standardised
from morelli.atlas.cells._placement import Landmarks
from morelli.errors import UsageError
from morelli.evaluation.projection import principal_axes, tsne_places, umap_module

LANDMARKS = 10_000


def project(
    Z: ArrayLike,
    method: Method = "tsne",
    *,
    seed: int = 0,
    landmarks: int | None = None,
    neighbors: int = 15,
    min_dist: float = 0.4,
    perplexity: float = 30.0,
    standardise: bool = True,
) -> Layout:
    """Lay rows out on the plane.

    Args:
        Z: (n, K) distilled values or impacts.
        method: "tsne" (van der Maaten and Hinton 2008), "pca", or "umap" (McInnes et al. 2018), an extra:
            `morelli[umap]`.
        seed: of the draw of landmarks and of the layout. One seed on one machine gives one layout.
        landmarks: rows at most that t-SNE or UMAP lays out; 10,000 if None.
        neighbors: of UMAP, lowered where there are few rows.
        min_dist: of UMAP; its own default is 0.1, which leaves most of a grid empty.
        perplexity: of t-SNE, lowered where there are few rows.
        standardise: give every column unit spread first; without it a column counts by its own.

    Raises:
        UsageError: an unknown method, UMAP where it is not installed, no rows, or values that are not finite.

    >>> layout = project(np.random.default_rng(0).normal(size=(50, 4)), "pca")
    >>> layout.xy.shape, bool((layout.place(np.zeros((1, 4))) > 0).all())
    ((50, 2), True)
    """
    rows = np.asarray(Z)
    if method not in get_args(Method):
        raise UsageError(f"the projection is {method!r}; choose one of {', '.join(get_args(Method))}")
    if rows.ndim != 2 or not len(rows) or not rows.shape[1]:
        raise UsageError(f"a projection needs rows of values, (n, K); these are {rows.shape}")
    centre = rows.mean(axis=0, dtype=np.float64)
    spread = rows.std(axis=0, dtype=np.float64)
    scale = np.where(spread > 1e-9, spread, 1.0) if standardise else np.ones(rows.shape[1])
    S = standardised(rows, centre, scale)
    if method == "pca":
        frame: Axes | Landmarks = Axes(principal_axes(S))
        known = drawn = frame.place(S)
        chosen = np.arange(len(S))
    else:
        rng = np.random.default_rng(seed)
        chosen = draw_landmarks(S, landmarks or LANDMARKS, rng)
        known = _place(
            S[chosen], method, seed=seed, neighbors=neighbors, min_dist=min_dist, perplexity=perplexity
        )
        frame = Landmarks(S[chosen], known)
        drawn = np.empty((len(S), 2))
        drawn[chosen] = known
        others = np.ones(len(S), bool)
        others[chosen] = False
        drawn[others] = frame.place(S[others])
    bounds = _bounds(known)
    xy = np.clip((drawn - bounds[0]) / (bounds[1] - bounds[0]), 0, 1).astype(np.float32)
    return Layout(xy, method, seed, centre, scale, frame, bounds)


def draw_landmarks(S: NDArray[np.float32], limit: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Row numbers of at most `limit` landmarks among standardised rows (n, K), all if they are so few.

    Half are drawn evenly, half by their distance to the nearest of the first half, so that a small group far
    from the others is laid out as a group rather than as one point (the D-sampling of k-means++, Arthur and
    Vassilvitskii 2007, by distance instead of its square, which outliers would win).
    """
    n = len(S)
    if n <= limit:
        return np.arange(n)
    first = rng.choice(n, limit // 2, replace=False)
    pool = np.setdiff1d(rng.choice(n, min(n, 16 * limit), replace=False), first)
    seen = Landmarks(S[first], np.zeros((len(first), 2)))
    _, distance = seen.nearest(S[pool], 1)
    share = distance[:, 0] + 1e-12
    second = rng.choice(pool, min(limit - len(first), len(pool)), replace=False, p=share / share.sum())
    return np.concatenate([first, second])


def _place(
    S: NDArray[np.float32],
    method: Method,
    *,
    seed: int,
    neighbors: int,
    min_dist: float,
    perplexity: float,
) -> NDArray[np.float64]:
    if len(S) < 4:
        return _line(S)
    if method == "tsne":
        return tsne_places(S, perplexity=perplexity, seed=seed)
    near = max(2, min(neighbors, len(S) - 1))
    ids, distances = Landmarks(S, np.zeros((len(S), 2))).nearest(S, near)
    ids, distances = _itself_first(ids, distances)
    with warnings.catch_warnings():
        # UMAP says that it cannot place new rows with these neighbours, which is not asked of it.
        warnings.simplefilter("ignore")
        model = umap_module().UMAP(
            n_neighbors=near,
            min_dist=min_dist,
            random_state=seed,
            n_jobs=1,
            init=_start(S, np.random.default_rng(seed)),
            precomputed_knn=(ids, distances.astype(np.float32)),
        )
        return np.asarray(model.fit_transform(S), np.float64)


def _itself_first(
    ids: NDArray[np.int64], distances: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Neighbour lists in which every row comes first in its own, as UMAP expects, copies or not."""
    own = np.arange(len(ids))[:, None]
    elsewhere = ids != own
    # Where a row is missing from its own list (more copies than neighbours), the last entry goes.
    elsewhere[elsewhere.all(axis=1), -1] = False
    rest = ids[elsewhere].reshape(len(ids), -1)
    far = distances[elsewhere].reshape(len(ids), -1)
    return np.concatenate([own, rest], axis=1), np.concatenate([np.zeros_like(far[:, :1]), far], axis=1)


def _start(S: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """First places for UMAP: the two principal components, 10 across, with a grain that parts copies."""
    places = S.astype(np.float64) @ principal_axes(S)
    extent = np.abs(places).max() or 1.0
    return np.asarray(10 * places / extent + rng.normal(scale=1e-4, size=places.shape), np.float32)


def _line(S: NDArray[np.float32]) -> NDArray[np.float64]:
    """Places of too few rows for a layout: on their principal axes."""
    return np.asarray(S.astype(np.float64) @ principal_axes(S))


def _bounds(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 2) lowest and highest places: all of them, less far outliers, and a margin for rows to come."""
    low, high = np.quantile(places, [0.001, 0.999], axis=0)
    room = 0.1 * (high - low)
    low, high = np.maximum(places.min(axis=0), low - room), np.minimum(places.max(axis=0), high + room)
    margin = np.maximum(0.02 * (high - low), 1e-6)
    return np.stack([low - margin, high + margin])
