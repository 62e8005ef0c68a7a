"""Shares and their intervals: Wilson's, Clopper and Pearson's bound, and what a flag is worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from morelli.errors import UsageError
from morelli.metrics._arrays import FloatArray


def wilson_interval(hits: int, n: int, level: float = 0.9) -> tuple[float, float]:
    """Wilson's score interval of the share hits / n (Wilson 1927); (0, 1) when n = 0.

    Args:
        hits: 0 to n.
        n: independent trials.
        level: coverage.

    >>> low, high = wilson_interval(8, 10, 0.95)
    >>> round(low, 3), round(high, 3)
    (0.49, 0.943)
    """
    from scipy.stats import norm

    if n == 0:
        return 0.0, 1.0
    z = float(norm.ppf(0.5 + level / 2))
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def wilson_intervals(hits: ArrayLike, n: ArrayLike, level: float = 0.9) -> tuple[FloatArray, FloatArray]:
    """Wilson's interval of many shares at once, also of effective numbers that are no integers.

    Args:
        hits: (m,) 0 to n.
        n: (m,) trials; 0 gives [0, 1].
        level: coverage.

    Returns:
        Ends (m,), (m,), within rounding of [0, 1].

    >>> low, high = wilson_intervals([8, 0], [10, 0])
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.541, 0.0], [0.931, 1.0])
    """
    from scipy.special import ndtri

    z = float(ndtri((1 + level) / 2))
    trials = np.maximum(np.asarray(n, dtype=float), 1e-9)
    p = np.clip(np.asarray(hits) / trials, 0, 1)
    middle = p + z**2 / (2 * trials)
    half = z * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    return (middle - half) / (1 + z**2 / trials), (middle + half) / (1 + z**2 / trials)


def clopper_pearson_upper(count: int, n: int, confidence: float = 0.95) -> float:
    """One-sided upper confidence bound of a rate seen `count` times in n (Clopper and Pearson 1934).

    Args:
        count: 0 to n.
        n: independent trials.
        confidence: the bound lies above the true rate with at least this probability.

    Returns:
        A rate in (0, 1]; 1 where nothing else was seen, or n is 0.

    >>> round(clopper_pearson_upper(0, 59), 3)
    0.05
    """
    from scipy.stats import beta

    return 1.0 if count >= n else float(beta.ppf(confidence, count + 1, n - count))


def positive_predictive_value(tpr: float, fpr: float, base_rate: float) -> float:
    """Share of flagged images that are generated when `base_rate` of all images are; Bayes' rule.

    Args:
        tpr: share of generated images that are flagged.
        fpr: share of real images that are flagged.
        base_rate: share of generated images where the detector will be used, in [0, 1].

    Returns:
        tpr b / (tpr b + fpr (1 - b)); NaN where nothing is flagged.

    >>> round(positive_predictive_value(0.9, 0.1, 0.1), 3)
    0.5
    """
    if not 0.0 <= base_rate <= 1.0:
        raise UsageError(f"a base rate lies between 0 and 1, not {base_rate}")
    flagged = tpr * base_rate + fpr * (1.0 - base_rate)
    return tpr * base_rate / flagged if flagged > 0 else float("nan")
