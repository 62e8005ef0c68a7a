"""Forget-to-spell: a projection of embeddings that leaves out what rendered words move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Spelling:
    """basis: (d, d') orthonormal columns of what is kept; a projected embedding is x @ basis."""

    basis: NDArray[np.float64]
