"""The figures of a model card: held out, each with a bootstrap interval over groups, all draws at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from morelli.metrics import group_draws

N_DRAWS = 400
N_BINS = 15

Array = NDArray[np.float64]


def held_out_figures(  # noqa: PLR0917
    logits: Array,
    y: NDArray[Any],
    groups: NDArray[Any],
    probabilities: Array,
    ai_logit: float,
    rng: np.random.Generator,
) -> dict[str, dict[str, float]]:
    """AUC, average precision, true-positive rates and calibration error, with 95 % intervals.

    Args:
        logits, y, groups: (n,) held-out logits, labels (real 0, fake 1), groups.
        probabilities: (n,) calibrated without the row's own fold. ai_logit: threshold of `ai`.

    The calibration errors weigh both classes alike, as the calibration does.
    """
    draws = group_draws(y, groups, N_DRAWS, rng).astype(np.float64)
    W = np.concatenate([np.ones((len(y), 1)), draws], axis=1)
    even = W / np.where(y[:, None] == 1, 2 * W[y == 1].sum(axis=0), 2 * W[y == 0].sum(axis=0))
    found, alarms = _operating_points(logits, y, W)
    figures = {
        "auc": _area(found, alarms),
        "ap": _average_precision(found * W[y == 1].sum(axis=0), alarms * W[y == 0].sum(axis=0)),
        "tpr_at_1_percent_fpr": _found_within(found, alarms, 0.01),
        "tpr_at_5_percent_fpr": _found_within(found, alarms, 0.05),
        "tpr_at_ai_threshold": (W * ((y == 1) & (logits > ai_logit))[:, None]).sum(axis=0)
        / W[y == 1].sum(axis=0),
        "ece_before": _calibration_error(expit(logits), y, even),
        "ece": _calibration_error(probabilities, y, even),
    }
    return {name: _with_interval(values) for name, values in figures.items()}


def _with_interval(values: Array) -> dict[str, float]:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return {"value": float(values[0]), "low": float(low), "high": float(high)}


def _operating_points(logits: Array, y: NDArray[Any], W: Array) -> tuple[Array, Array]:
    """Shares (t, B) of generated and of real images at or above each distinct logit, highest first."""
    order = np.argsort(-logits, kind="stable")
    last_of_tie = np.append(np.diff(logits[order]) != 0, True)
    positive = (y[order] == 1)[:, None]
    shares = []
    for side in (positive, ~positive):
        total = np.cumsum(W[order] * side, axis=0)
        shares.append(total[last_of_tie] / total[-1])
    return shares[0], shares[1]


def _area(found: Array, alarms: Array) -> Array:
    start = np.zeros((1, found.shape[1]))
    return np.asarray(np.trapezoid(np.concatenate([start, found]), np.concatenate([start, alarms]), axis=0))


def _average_precision(true: Array, false: Array) -> Array:
    """Sum of precision times the gain in recall; true, false: (t, B) counts at or above each logit."""
    called = true + false
    precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
    gain = np.diff(np.concatenate([np.zeros((1, true.shape[1])), true]), axis=0)
    return np.asarray((precision * gain).sum(axis=0) / true[-1])


def _found_within(found: Array, alarms: Array, fpr: float) -> Array:
    """Largest share of generated images at a threshold that at most `fpr` of the real ones reach."""
    return np.asarray(np.where(alarms <= fpr, found, 0.0).max(axis=0))


def _calibration_error(p: Array, y: NDArray[Any], W: Array) -> Array:
    """Expected calibration error (B,) over equally wide bins; each column of W sums to 1."""
    bins = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
    members = bins == np.arange(N_BINS)[:, None]
    return np.asarray(np.abs(members @ (W * (y - p)[:, None])).sum(axis=0))
