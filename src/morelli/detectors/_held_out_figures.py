"""The figures of a model card: held out, each with a bootstrap interval over groups, all draws at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.metrics.odds import expit
from morelli.metrics.resampling import (
    OperatingPoints,
    group_draws,
    percentile_interval,
    weighted_calibration_error,
)

N_DRAWS = 400
LEVEL = 0.9
"""Coverage of the intervals, which is kept beside them: bundles of before were made with 0.95."""

Array = NDArray[np.float64]


def held_out_figures(  # noqa: PLR0917
    logits: Array,
    y: NDArray[Any],
    groups: NDArray[Any],
    probabilities: Array,
    ai_logit: float,
    rng: np.random.Generator,
) -> dict[str, dict[str, float]]:
    """AUC, average precision, true-positive rates and calibration error, with 90 % intervals.

    Args:
        logits, y, groups: (n,) held-out logits, labels (real 0, fake 1), groups.
        probabilities: (n,) calibrated without the row's own fold. ai_logit: threshold of `ai`.

    The calibration errors weigh both classes alike, as the calibration does.
    """
    draws = group_draws(y, groups, N_DRAWS, rng).astype(np.float64)
    W = np.concatenate([np.ones((len(y), 1)), draws], axis=1)
    even = W / np.where(y[:, None] == 1, 2 * W[y == 1].sum(axis=0), 2 * W[y == 0].sum(axis=0))
    points = OperatingPoints.of(y, logits, W)
    figures = {
        "auc": points.auc,
        "ap": points.average_precision,
        "tpr_at_1_percent_fpr": points.tpr_within(0.01),
        "tpr_at_5_percent_fpr": points.tpr_within(0.05),
        "tpr_at_ai_threshold": (W * ((y == 1) & (logits > ai_logit))[:, None]).sum(axis=0)
        / points.fake_weight,
        "ece_before": weighted_calibration_error(y, expit(logits), even),
        "ece": weighted_calibration_error(y, probabilities, even),
    }
    return {name: _with_interval(values) for name, values in figures.items()}


def compared_figures(
    scores: Mapping[str, Array], chosen: str, y: NDArray[Any], groups: NDArray[Any], rng: np.random.Generator
) -> dict[str, dict[str, Any]]:
    """AUC and found at 5 % false alarms of several held-out scores (n,), with 90 % intervals.

    All are resampled alike. `difference` of each other than `chosen` is what `chosen` is better by.
    """
    draws = group_draws(y, groups, N_DRAWS, rng).astype(np.float64)
    W = np.concatenate([np.ones((len(y), 1)), draws], axis=1)
    found: dict[str, dict[str, Array]] = {}
    for name, logits in scores.items():
        points = OperatingPoints.of(y, logits, W)
        found[name] = {"auc": points.auc, "tpr_at_5_percent_fpr": points.tpr_within(0.05)}
    result: dict[str, dict[str, Any]] = {}
    for name, figures in found.items():
        result[name] = {key: _with_interval(values) for key, values in figures.items()}
        if name != chosen:
            result[name]["difference"] = {
                key: _with_interval(found[chosen][key] - values) for key, values in figures.items()
            }
    return result


def _with_interval(values: Array) -> dict[str, float]:
    low, high = percentile_interval(values[1:], (1 - LEVEL) / 2).tolist()
    return {"value": float(values[0]), "low": low, "high": high, "level": LEVEL}
