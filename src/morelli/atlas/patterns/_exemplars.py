"""Which images stand for a prototype: near its centre, unlike each other, and no picture twice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_POOL = 0.25
_LEAST_POOL = 36


def pick_exemplars(
    distance: Array, Z: Array, *, count: int, copies: Array | None = None, origin: Array | None = None
) -> NDArray[np.int64]:
    """Positions (≤ count,) of the exemplars among m patterns, the most typical first.

    The most typical pattern comes first; then, among the nearer ones, the one that is least like those chosen
    (farthest-first traversal, Gonzalez 1985), with those of origins that are not shown yet before others.

    Args:
        distance: (m,) to the centre.
        Z: (m, q) rows in the pattern space.
        count: how many at most.
        copies: (m,) number of the picture; near-duplicates share it.
        origin: (m,) generator or source.
    """
    order = np.argsort(distance, kind="stable")
    if copies is not None:
        first = np.unique(np.asarray(copies)[order], return_index=True)[1]
        order = order[np.sort(first)]
    pool = order[: max(_LEAST_POOL, round(_POOL * len(order)))][:2000]
    if not len(pool):
        return np.empty(0, dtype=np.int64)
    chosen = [0]
    apart = np.linalg.norm(Z[pool] - Z[pool[0]], axis=1)
    seen: dict[Any, int] = {}
    names = None if origin is None else np.asarray(origin, dtype=object)[pool]
    while len(chosen) < min(count, len(pool)):
        merit = apart.copy()
        if names is not None:
            seen[names[chosen[-1]]] = seen.get(names[chosen[-1]], 0) + 1
            merit /= np.array([1 + seen.get(name, 0) for name in names])
        merit[chosen] = -1
        best = int(merit.argmax())
        chosen.append(best)
        apart = np.minimum(apart, np.linalg.norm(Z[pool] - Z[pool[best]], axis=1))
    return np.asarray(pool[np.array(chosen)], dtype=np.int64)


def copies_of(phash: Array, distance: int = 4) -> NDArray[np.int64]:
    """Number of the picture (n,) of each image: near-duplicates by perceptual hash (n,) share one.

    Images without a hash (None or null) are pictures of their own.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    from morelli.features import near_duplicates

    values = np.asarray(phash, dtype=object)
    known = np.flatnonzero([value is not None for value in values])
    pairs = known[near_duplicates(values[known].astype(np.uint64), distance)]
    n = len(values)
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
