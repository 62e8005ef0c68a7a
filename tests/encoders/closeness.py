"""How near two float32 computations of the same thing must come."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def assert_close(ours: ArrayLike, theirs: ArrayLike, what: str = "", *, tolerance: float = 1e-5) -> None:
    """The largest difference is at most `tolerance` of the largest value (and of 1)."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert a.shape == b.shape, f"{what}: {a.shape} is not {b.shape}"
    worst = np.abs(a - b).max(initial=0.0) / max(np.abs(b).max(initial=0.0), 1.0)
    assert worst <= tolerance, f"{what}: differs by {worst:.2e} of the largest value"
