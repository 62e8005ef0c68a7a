"""A residual as a non-negative sum of few named concepts: how much of it they explain together.

Orthogonal matching pursuit with non-negative weights over both ends of every concept: the end that
agrees most with what is left is added, then all weights are fitted again (NNLS). SpLiCE (2402.10376)
explains single CLIP embeddings by a sparse non-negative code over texts; here it is a residual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Term:
    """One concept's part of a decomposition: row of the bank, end (+1 or −1), weight ≥ 0, in steps.

    `explained` is the share of the squared length that this term and all before it explain.
    """

    row: int
    sign: int
    weight: float
    explained: float


def decompose(vector: Array, directions: Array, *, terms: int = 6, least: float = 0.01) -> list[Term]:
    """Terms of `vector` (d,) over unit directions (m, d), in the order in which they were added.

    Stops at `terms`, or when the next one explains less than `least` of the squared length. Weights are
    those of the last fit and refer to the vector's own length.
    """
    from scipy.optimize import nnls

    v = np.asarray(vector, dtype=np.float64)
    C = np.asarray(directions, dtype=np.float64)
    total = float(v @ v)
    chosen: list[int] = []
    signs: list[int] = []
    explained: list[float] = []
    weights = np.zeros(0)
    rest = v
    while len(chosen) < min(terms, len(C)) and total > 0:
        agreement = C @ rest
        agreement[chosen] = 0
        row = int(np.argmax(np.abs(agreement)))
        if agreement[row] == 0:
            break
        trial, trial_signs = [*chosen, row], [*signs, 1 if agreement[row] > 0 else -1]
        A = (C[trial] * np.array(trial_signs)[:, None]).T
        fitted, _ = nnls(A, v)
        left = v - A @ fitted
        share = 1 - float(left @ left) / total
        if share - (explained[-1] if explained else 0.0) < least:
            break
        chosen, signs, weights, rest = trial, trial_signs, fitted, left
        explained.append(share)
    return [
        Term(row, sign, float(w), e)
        for row, sign, w, e in zip(chosen, signs, weights, explained, strict=True)
    ]
