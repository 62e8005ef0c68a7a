"""Metrics: ranking, calibration and error rates, as plain numpy functions on (n,) arrays.

Labels are 0 for real and 1 for generated; larger scores mean more likely generated. Nothing here knows
features, detectors or files. Intervals, and metrics under many row weights, are in
`morelli.metrics.resampling`.
"""

from __future__ import annotations

from morelli.metrics._auc import column_aucs, placements, two_sample_auc, within_fold_auc
from morelli.metrics._estimate import Estimate
from morelli.metrics._probabilities import (
    CoveragePoint,
    ReliabilityBin,
    brier,
    calibration_error,
    log_loss,
    reliability_curve,
    risk_coverage_curve,
)
from morelli.metrics._scores import (
    Rates,
    average_precision,
    best_threshold,
    rates_at,
    roc_auc,
    roc_curve,
    threshold_at_fpr,
    tpr_at_fpr,
    tpr_at_fprs,
)
from morelli.metrics._shares import (
    clopper_pearson_upper,
    positive_predictive_value,
    wilson_interval,
    wilson_intervals,
)

__all__ = [
    "CoveragePoint",
    "Estimate",
    "Rates",
    "ReliabilityBin",
    "average_precision",
    "best_threshold",
    "brier",
    "calibration_error",
    "clopper_pearson_upper",
    "column_aucs",
    "log_loss",
    "placements",
    "positive_predictive_value",
    "rates_at",
    "reliability_curve",
    "risk_coverage_curve",
    "roc_auc",
    "roc_curve",
    "threshold_at_fpr",
    "tpr_at_fpr",
    "tpr_at_fprs",
    "two_sample_auc",
    "wilson_interval",
    "wilson_intervals",
    "within_fold_auc",
]
