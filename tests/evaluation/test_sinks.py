"""Where a family of generators lands that the probe has not seen."""

from __future__ import annotations

import numpy as np

from morelli.evaluation import analyse
from morelli.features import Features


def test_a_family_like_the_seen_ones_is_found_and_another_one_is_not() -> None:
    rng = np.random.default_rng(0)
    n = 40
    families = ["gan", "diffusion", "odd"]
    X = rng.normal(size=(n * 6, 8))
    X[n * 3 : n * 5, 0] += 6  # GAN and diffusion leave the same trace, the third family leaves another
    X[n * 5 :, 1] += 6
    features = Features.from_arrays(
        {"final": X.astype(np.float32)},
        labels=[0] * (3 * n) + [1] * (3 * n),
        source=[f"camera {i % 6}" for i in range(3 * n)] + [None] * (3 * n),
        generator=[None] * (3 * n) + [f"{f} {i % 4}" for f in families for i in range(n)],
        family=[None] * (3 * n) + [f for f in families for _ in range(n)],
        width=rng.integers(200, 400, 6 * n),
        height=rng.integers(200, 400, 6 * n),
    )
    found = analyse(features, method="pca")
    assert set(found.sinks) == {"without gan", "without diffusion", "without odd"}
    assert found.sinks["without gan"].real_side_fake < 0.1
    assert found.sinks["without odd"].real_side_fake > 0.7
    assert sum(group.n for group in found.sinks["without gan"].groups) == n
