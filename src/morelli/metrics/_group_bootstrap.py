"""Counts of a bootstrap: how often each cluster, or each row with its group, is drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError
from morelli.metrics._arrays import IntArray


def bootstrap_counts(n: int, draws: int, rng: np.random.Generator) -> IntArray:
    """How often each of n things counts when n are drawn with replacement.

    Args:
        n: number of things: images, groups, generators; at least 1.
        draws: number of rounds.
        rng: draws them.

    Returns:
        (draws, n) counts; each row sums to n.

    >>> counts = bootstrap_counts(4, 3, np.random.default_rng(0))
    >>> counts.shape, counts.sum(axis=1).tolist()
    ((3, 4), [4, 4, 4])
    """
    return np.asarray(rng.multinomial(n, np.full(n, 1 / n), size=draws), dtype=np.int64)


def group_draws(y: ArrayLike, groups: ArrayLike, n_draws: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """How often each row counts when whole groups are drawn with replacement, each class apart.

    This is what a detector would be had other lineages and sources been collected. Real and generated
    groups are drawn apart, so every draw has both; a class of one group is drawn by rows instead, since its
    only draw would be itself.

    Args:
        y: (n,) labels.
        groups: (n,) names or numbers.
        n_draws: number of rounds.
        rng: draws them.

    Returns:
        (n, n_draws) counts, at most 255.

    Raises:
        UsageError: the lengths differ.

    >>> draws = group_draws([0, 0, 0, 1, 1], ["a", "a", "b", "c", "d"], 3, np.random.default_rng(0))
    >>> draws.shape, bool((draws[0] == draws[1]).all())
    ((5, 3), True)
    """
    labels = np.asarray(y)
    names = np.asarray(groups).astype(str)
    if len(labels) != len(names):
        raise UsageError(f"{len(labels)} labels but {len(names)} groups")
    draws = np.zeros((len(labels), n_draws), dtype=np.uint8)
    for value in np.unique(labels):
        rows = np.flatnonzero(labels == value)
        codes = np.unique(names[rows], return_inverse=True)[1]
        if codes.max() == 0:
            codes = np.arange(len(rows))
        counts = bootstrap_counts(int(codes.max()) + 1, n_draws, rng)
        draws[rows] = np.minimum(counts, 255).astype(np.uint8).T[codes]
    return draws
