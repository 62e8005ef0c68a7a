"""Maps of feature space: where real and generated images lie, for each feature kind.

UnivFD (Ojha et al. 2023, figure 3) shows t-SNE maps of the banks to explain why the space of a frozen encoder
separates generators that a trained network has not seen. A map is a picture and not a measurement, so each
comes with the figure it illustrates: how often an image's nearest neighbours of *other* lineages share its
label, in the full space and on the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from morelli.errors import UsageError
from morelli.evaluation.projection import tsne_places, umap_module
from morelli.features import Features

Method = Literal["tsne", "umap", "pca"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FeatureMap:
    """A map of one feature kind.

    `xy` (m, 2) are the places of the images at `rows` (m,) of the features. `agreement` and `map_agreement`
    are the balanced shares (0–1, chance 0.5) of the ten nearest neighbours of other groups that carry
    the image's label, in the full space and on the map.
    """

    kind: str
    method: Method
    xy: Floats
    rows: npt.NDArray[np.int64]
    agreement: float
    map_agreement: float


def feature_maps(
    features: Features,
    kinds: Sequence[str] | None = None,
    *,
    method: Method = "tsne",
    limit: int = 5000,
    perplexity: float = 30.0,
    neighbors: int = 15,
    components: int = 50,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> list[FeatureMap]:
    """Map each kind to the plane: standardise, reduce by PCA, then t-SNE or UMAP.

    Args:
        features: labelled features.
        kinds: which kinds; all of `features` if None.
        method: "tsne", "umap" (an extra, `morelli[umap]`), or "pca", the first two components.
        limit: images at most, drawn evenly over the classes.
        perplexity: of t-SNE, lowered where there are few images.
        neighbors: of UMAP.
        components: of the PCA in front of both.
        groups: (n,) whose members do not count as each other's neighbours; `features.groups()` if None.
        seed: of the draw and the layouts; with one seed and one machine a map comes out the same.
    """
    labels = features.labels
    names = np.asarray(features.groups() if groups is None else groups)
    rng = np.random.default_rng(seed)
    rows = np.sort(
        np.concatenate([rng.permutation(np.flatnonzero(labels == value))[: limit // 2] for value in (0, 1)])
    ).astype(np.int64)
    if len(rows) < 4:
        raise UsageError("A map needs at least four labelled images.")
    maps = []
    for kind in kinds or tuple(features.vectors):
        reduced = _reduced(features.matrix([kind])[rows], components, seed)
        xy = layout(reduced, method, perplexity=perplexity, neighbors=neighbors, seed=seed)
        full, flat = (neighbour_agreement(X, labels[rows], names[rows]) for X in (reduced, xy))
        maps.append(FeatureMap(kind, method, xy, rows, full, flat))
    return maps


def layout(
    X: Floats, method: Method, *, perplexity: float = 30.0, neighbors: int = 15, seed: int = 0
) -> Floats:
    """Places (n, 2) of the rows of X (n, d)."""
    if method == "pca":
        return np.asarray(X[:, :2], np.float64)
    if method == "tsne":
        return tsne_places(X, perplexity=perplexity, seed=seed)
    if method == "umap":
        umap = umap_module()
        near = min(neighbors, len(X) - 1)
        # One job, or umap-learn warns that a seeded layout cannot be parallel.
        model = umap.UMAP(n_neighbors=near, random_state=seed, n_jobs=1, init="pca")
        return np.asarray(model.fit_transform(X.astype(np.float32)), np.float64)
    raise UsageError(f"Unknown map method {method!r}: use tsne, umap or pca.")


def neighbour_agreement(X: Floats, y: npt.ArrayLike, groups: npt.ArrayLike, k: int = 10) -> float:
    """Mean over both classes of the share of the k nearest rows of other groups that have the row's label.

    Drawn in proportion to what the other groups hold, neighbours of rare classes would look bad for their
    rarity alone, so a neighbour counts by the inverse frequency of its class among the candidates.
    """
    labels, names = np.asarray(y), np.unique(np.asarray(groups).astype(str), return_inverse=True)[1]
    weight = 1 / np.maximum(np.bincount(labels, minlength=2), 1)[labels]
    shares: dict[int, list[float]] = {0: [], 1: []}
    norms = (X**2).sum(axis=1)
    for start in range(0, len(X), 512):
        rows = slice(start, start + 512)
        distance = norms[rows, None] + norms[None] - 2 * X[rows] @ X.T
        distance[names[rows, None] == names[None]] = np.inf
        near = np.argpartition(distance, min(k, len(X) - 1), axis=1)[:, :k]
        reachable = np.isfinite(np.take_along_axis(distance, near, axis=1))
        counted = weight[near] * reachable
        same = (counted * (labels[near] == labels[rows, None])).sum(axis=1)
        for label, part, total in zip(labels[rows], same, counted.sum(axis=1), strict=True):
            if total > 0:
                shares[int(label)].append(float(part / total))
    return float(np.mean([np.mean(values) for values in shares.values() if values]))


def _reduced(X: npt.NDArray[np.float32], components: int, seed: int) -> Floats:
    """Standardised rows on their first principal components, (n, ≤ components)."""
    from sklearn.decomposition import PCA

    # Single dimensions of a class token can be a hundred times the others: without scaling they are the map.
    spread = X.std(axis=0)
    scaled = (X - X.mean(axis=0)) / np.where(spread > 1e-6, spread, 1)
    pca = PCA(min(components, *scaled.shape), random_state=seed)
    return np.asarray(pca.fit_transform(scaled.astype(np.float64)))
