"""Which dimension of one distiller is which of another: the assignment of greatest correlation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError


@dataclass(frozen=True, eq=False)
class Matching:
    """order: (K,) dimension of the other that stands for each of the reference. signs: (K,) 1 or -1, by
    which the other's values are to be multiplied. correlation: (K,) |Pearson r|, 0 for a constant one.
    """

    order: NDArray[np.int64]
    signs: NDArray[np.float64]
    correlation: NDArray[np.float64]


def match_dimensions(reference: NDArray[Any], other: NDArray[Any], *, signed: bool = False) -> Matching:
    """Match the columns of `other` (n, K) to those of `reference` (n, K), on the same n rows.

    The Hungarian assignment of greatest summed |correlation|; with `signed` opposite columns do not match
    (values of a ReLU cannot be turned round).

    >>> Z = np.random.default_rng(0).normal(size=(50, 3))
    >>> found = match_dimensions(Z, Z[:, [2, 0, 1]] * [1, -1, 1])
    >>> found.order.tolist(), found.signs.tolist()
    ([1, 2, 0], [-1.0, 1.0, 1.0])
    """
    from scipy.optimize import linear_sum_assignment

    if reference.shape != other.shape:
        raise UsageError(f"only values of one shape can be matched, not {reference.shape} and {other.shape}")
    r = standard_columns(reference).T @ standard_columns(other) / max(len(reference), 1)
    worth = r if signed else np.abs(r)
    rows, order = linear_sum_assignment(-worth)
    chosen = r[rows, order]
    signs = np.ones(len(order)) if signed else np.where(chosen < 0, -1.0, 1.0)
    return Matching(order.astype(np.int64), signs, np.clip(chosen * signs, 0.0, 1.0))


def standard_columns(Z: NDArray[Any]) -> NDArray[np.float64]:
    """Columns with mean 0 and spread 1; constant ones are 0."""
    centred = np.asarray(Z, dtype=np.float64) - np.mean(Z, axis=0, dtype=np.float64)
    spread = centred.std(axis=0)
    return np.asarray(np.where(spread > 1e-9, centred / np.where(spread > 1e-9, spread, 1.0), 0.0))
