"""Where training starts: one dimension for each recurring kind of fake and of real image.

From a random start the cross-entropy gives every dimension the same pull, so that which dimensions come
out hangs on the seed: matched over seeds, their values correlate at about 0.6. Clusters of each class
recur, give each dimension a meaning to start from, and leave none without use. Ward's clusters are the same
whatever the seed, so what is fitted is a matter of the images alone; k-means' hang on where it begins. This
is our own proposal; how ASAP initialises its distiller was not read.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.atlas.distiller._training import Layers

Array = NDArray[Any]
_RIDGE = 0.3
_HEAD = 0.5
_AXES = {"ward": 64, "kmeans": 32}
_MOST_MERGED = 4096
"""Ward's method compares all rows with all others: of more rows so many are drawn, the rest join the nearest.
"""

Method = Literal["ward", "kmeans"]


def cluster_start(X: Array, y: Array, k: int, rng: np.random.Generator, method: Method = "ward") -> Layers:
    """K dimensions, half of them aimed at clusters of fakes (w > 0), half at clusters of reals (w < 0).

    Each aims by ridge regression at membership in one cluster against all other rows of both classes.
    X: (n, p) standardised. y: (n,) 0.0 or 1.0. Dimensions beyond what there are rows for start at random.
    """
    axes = principal_axes(X, _AXES[method])
    targets, signs = [], []
    for value, wanted in ((1.0, k - k // 2), (0.0, k // 2)):
        rows = np.flatnonzero(y == value)
        membership = _clusters(X[rows] @ axes, wanted, rng, method)
        target = np.zeros((len(X), membership.shape[1]), X.dtype)
        target[rows] = membership
        targets.append(target)
        signs += [1.0 if value else -1.0] * membership.shape[1]
    D = _ridge(X, np.concatenate(targets, axis=1))
    spread = (X @ D).std(axis=0)
    D = D / np.where(spread > 1e-12, spread, 1.0)
    missing = k - D.shape[1]
    D = np.concatenate([D, rng.normal(size=(X.shape[1], missing)) / np.sqrt(X.shape[1])], axis=1)
    w = _HEAD * np.concatenate([signs, rng.choice([-1.0, 1.0], missing)])
    return Layers(
        D.astype(X.dtype), -np.median(X @ D, axis=0).astype(X.dtype), w.astype(X.dtype), X.dtype.type(0)
    )


def random_start(X: Array, k: int, rng: np.random.Generator) -> Layers:
    """The usual start of a layer: Gaussian weights of spread 1 / √p."""
    p, kind = X.shape[1], X.dtype
    D = (rng.normal(size=(p, k)) / np.sqrt(p)).astype(kind)
    return Layers(D, np.zeros(k, kind), (rng.normal(size=k) / np.sqrt(k)).astype(kind), kind.type(0))


def principal_axes(X: Array, k: int) -> Array:
    """The first k principal axes (p, ≤ k) of X (n, p)."""
    from scipy.linalg import eigh

    centred = np.asarray(X, dtype=np.float64) - X.mean(axis=0, dtype=np.float64)
    n, p = centred.shape
    # Of the smaller Gram matrix: a few eigenvectors cost a fraction of a whole singular value decomposition.
    gram = centred @ centred.T if n < p else centred.T @ centred
    most = min(n, p)
    values, vectors = eigh(gram, subset_by_index=(max(0, most - k), most - 1))
    wanted = values > 1e-12 * max(float(values[-1]), 0.0)
    wanted[-1] = True
    values, vectors = values[wanted][::-1], vectors[:, wanted][:, ::-1]
    axes = centred.T @ vectors / np.sqrt(np.maximum(values, 1e-300)) if n < p else vectors
    return np.asarray(axes, dtype=X.dtype)


def _clusters(X: Array, k: int, rng: np.random.Generator, method: Method) -> Array:
    """Membership (n, ≤ k) in clusters, fewer where there are fewer distinct rows."""
    from sklearn.cluster import AgglomerativeClustering, KMeans

    k = min(k, len(np.unique(X, axis=0)))
    if k < 1:
        return np.zeros((len(X), 0))
    if method == "kmeans" or k == 1:
        fitted = KMeans(k, n_init=5, random_state=int(rng.integers(2**31))).fit(X)
        return np.asarray(np.eye(k)[fitted.labels_])
    some = X if len(X) <= _MOST_MERGED else X[np.sort(rng.choice(len(X), _MOST_MERGED, replace=False))]
    merged = AgglomerativeClustering(k, linkage="ward").fit(some).labels_
    centres = np.stack([some[merged == one].mean(axis=0) for one in range(k)])
    # Merges are never taken back; k-means from their means moves what ended up in the wrong cluster.
    return np.asarray(np.eye(k)[KMeans(k, init=centres, n_init=1).fit(X).labels_])


def _ridge(X: Array, T: Array) -> Array:
    """Ridge weights (p, k) for targets T (n, k) from standardised X (n, p)."""
    n, p = X.shape
    if n < p:
        # The dual form: an n × n system instead of p × p.
        gram = X @ X.T / n
        gram[np.diag_indices(n)] += _RIDGE
        return np.asarray(X.T @ np.linalg.solve(gram, (T - T.mean(axis=0)) / n))
    cov = X.T @ X / n
    cov[np.diag_indices(p)] += _RIDGE
    return np.asarray(np.linalg.solve(cov, X.T @ (T - T.mean(axis=0)) / n))
