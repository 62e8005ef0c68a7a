"""Features of a transfer study whose answer is known: heads that carry over, and heads that do harm."""

from __future__ import annotations

import numpy as np

from morelli.explanation.study import StudyOptions
from morelli.features import Features

FAST = StudyOptions(holdouts=3, draws=200, mask={"stride": 1}, heads={"folds": 2, "tasks": 3})


def planted(seed=0, *, effect=2.0, harm=4.0, generators=8, names=None):
    """An embedding that is the sum of six heads; two carry what all generators share, four their own marks.

    Block 1 holds nothing, block 2 what is shared, so that the choice of a block has an answer too.
    """
    rng = np.random.default_rng(seed)
    n0, n1, d, m = 80, 20, 24, 6
    n = n0 + generators * n1
    label = np.r_[np.zeros(n0, int), np.ones(n - n0, int)]
    names = names or [f"g{i}" for i in range(generators)]
    lineage = [None] * n0 + [name for name in names for _ in range(n1)]
    family = ["real"] * n0 + ["gan" if i % 2 else "diffusion" for i in range(generators) for _ in range(n1)]
    source = [f"s{i % 8}" for i in range(n0)] + [None] * (n - n0)
    parts = np.zeros((n, m, d))
    for h in range(m):
        parts[:, h, 4 * h : 4 * h + 4] = rng.normal(size=(n, 4))
    for i in range(generators):
        rows = slice(n0 + i * n1, n0 + (i + 1) * n1)
        parts[rows, :2, :8] += effect * (np.arange(8) % 4 == 0) * np.repeat(np.eye(2), 4, axis=1)
        for h in range(2, m):
            own = rng.normal(size=4)
            parts[rows, h, 4 * h : 4 * h + 4] += harm * own / np.linalg.norm(own)
    vectors = {
        "final": parts.sum(axis=1),
        "layer:1": rng.normal(size=(n, d)),
        "layer:2": parts[:, :2].sum(axis=1),
    }
    vectors["layer:2"] = vectors["layer:2"] + 0.1 * rng.normal(size=(n, d))
    vectors |= {f"head:1.{h + 1}": parts[:, h] for h in range(m)}
    return Features.from_arrays(
        vectors, label, lineage=lineage, generator=lineage, family=family, source=source
    )
