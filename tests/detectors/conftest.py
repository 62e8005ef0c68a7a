"""Features with a known story: two clusters per group, so that detectors have something real to find."""

from __future__ import annotations

import numpy as np
import pytest

from morelli.features import Features


def make_features(
    n_per_group: int = 12, n_groups: int = 6, d: int = 24, seed: int = 0, **extra: object
) -> Features:
    """Reals of `n_groups` sources and fakes of as many lineages; groups shift, the class shifts more."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=d) / np.sqrt(d)
    X, labels, lineages, sources = [], [], [], []
    for label in (0, 1):
        for group in range(n_groups):
            shift = rng.normal(size=d) * 0.4
            X.append(rng.normal(size=(n_per_group, d)) + shift + (3.2 if label else 0.0) * direction)
            labels += [label] * n_per_group
            lineages += [f"gan{group}" if label else None] * n_per_group
            sources += [None if label else f"camera{group}"] * n_per_group
    stacked = np.concatenate(X)
    second = stacked[:, : d // 2] @ rng.normal(size=(d // 2, 8)) + 3.0
    return Features.from_arrays(
        {"final": stacked, "layer:3": second},
        labels=labels,
        generator=lineages,
        lineage=lineages,
        source=sources,
        uri=[f"images/{i}.png" for i in range(len(labels))],
        **extra,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="session")
def story() -> Features:
    return make_features()
