"""Bootstrap over groups: what a detector would be had other lineages and sources been collected."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError


def group_draws(y: ArrayLike, groups: ArrayLike, n_draws: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """How often each row counts (n, n_draws) when groups are drawn with replacement, per class.

    Real and generated groups are drawn apart, so every draw has both; a class of one group is
    drawn by rows instead, since its only draw would be itself.

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
        n_groups = int(codes.max()) + 1
        counts = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_draws)
        draws[rows] = np.minimum(counts, 255).astype(np.uint8).T[codes]
    return draws
