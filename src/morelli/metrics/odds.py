"""Probabilities, odds and sums of odds: SciPy's functions to the last bit, without loading SciPy.

`scipy.special` takes as long to load as a photograph takes to encode, since it loads numpy.f2py,
numpy.testing and unittest with it. What a verdict needs of it is small. Tests compare every bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
_FEW = 4096
"""From this size on SciPy's loop is worth loading it."""


def expit(x: ArrayLike) -> Any:
    """The logistic function 1 / (1 + exp(-x)) of each value: a probability from log odds.

    >>> float(expit(0.0))
    0.5
    """
    values = np.asarray(x, dtype=np.float64)
    if values.size > _FEW:
        from scipy.special import expit as many

        return many(values)
    found = np.fromiter(map(_expit, values.flat), np.float64, values.size).reshape(values.shape)
    return found[()]


def logit(p: ArrayLike) -> Any:
    """The log odds log(p / (1 - p)) of each probability, infinite at 0 and 1.

    >>> float(logit(0.5))
    0.0
    """
    values = np.asarray(p, dtype=np.float64)
    found = np.fromiter(map(_logit, values.flat), np.float64, values.size).reshape(values.shape)
    return found[()]


def logsumexp(x: ArrayLike, axis: int) -> FloatArray:
    """log Σ exp(x) along an axis, without overflow.

    >>> logsumexp([[0.0, 0.0]], axis=1).round(4).tolist()
    [0.6931]
    """
    values = np.asarray(x, dtype=np.float64)
    top = values.max(axis=axis, keepdims=True)
    at_top = values == top
    # The largest is counted and not summed, so that what is small beside it keeps its digits.
    ties = np.maximum(at_top.sum(axis=axis, keepdims=True, dtype=np.float64), 1)  # none where there is NaN
    finite = np.where(top == -np.inf, 0, top)  # of nothing but −∞ there is no difference to the largest
    rest = np.exp(np.where(at_top, -np.inf, values) - finite).sum(axis=axis, keepdims=True)
    rest = np.where(rest == 0, rest, rest / ties)
    return np.asarray(np.squeeze(np.log1p(rest) + np.log(ties) + top, axis=axis))


def softmax(x: ArrayLike, axis: int) -> FloatArray:
    """exp(x) / Σ exp(x) along an axis: shares of the odds.

    >>> softmax([[0.0, 0.0]], axis=1).tolist()
    [[0.5, 0.5]]
    """
    values = np.asarray(x, dtype=np.float64)
    odds = np.exp(values - values.max(axis=axis, keepdims=True))
    return np.asarray(odds / odds.sum(axis=axis, keepdims=True))


def _expit(x: float) -> float:
    try:
        return 1 / (1 + math.exp(-x))
    except OverflowError:
        return 0.0


def _logit(p: float) -> float:
    if not 0 < p < 1:
        return math.nan if not 0 <= p <= 1 else math.inf if p else -math.inf
    if p < 0.3 or p > 0.65:
        return math.log(p / (1 - p))
    s = 2 * (p - 0.5)
    return math.log1p(s) - math.log1p(-s)
