"""Plain grouped cross-validation: the default protocol of ablations and sweeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from morelli.evaluation._arrays import AnyArray, IntArray
from morelli.evaluation._splits import Split, balanced_folds

if TYPE_CHECKING:
    from morelli.features import Features


def fold_splits(
    features: Features, n_folds: int = 5, seed: int = 0, groups: AnyArray | None = None
) -> list[Split]:
    """Cross-validation that holds out lineages and real sources at once; each image is tested once.

    Where a class has fewer than two groups, it is split image by image. `groups` (n,) replaces
    `features.groups()`.
    """
    names = np.asarray(features.groups() if groups is None else groups).astype(str)
    labels = features.labels
    for value in (0, 1):
        own = np.flatnonzero(labels == value)
        if len(np.unique(names[own])) < 2:
            names = names.astype(object)
            names[own] = [f"image {row}" for row in own]
            names = names.astype(str)
    codes: IntArray = np.unique(names, return_inverse=True)[1].astype(np.int64)
    fake_groups = np.unique(codes[labels == 1])
    with_fakes = np.isin(codes, fake_groups)
    n_real = len(np.unique(codes[~with_fakes]))
    n_folds = max(2, min(n_folds, len(fake_groups), n_real))
    fold = np.maximum(
        balanced_folds(codes, with_fakes, n_folds, seed),
        balanced_folds(codes, ~with_fakes, n_folds, seed + 1),
    )
    return [
        Split(str(number), np.flatnonzero(fold != number), np.flatnonzero(fold == number))
        for number in range(n_folds)
    ]
