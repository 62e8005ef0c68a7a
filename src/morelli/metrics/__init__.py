"""Metrics: ranking, calibration and error rates with intervals, as plain numpy functions on (n,) arrays.

Labels are 0 for real and 1 for generated; larger scores mean more likely generated. Nothing here knows
features, detectors or files.
"""

from __future__ import annotations

from morelli.metrics._arrays import AnyArray, BoolArray, FloatArray, IntArray
from morelli.metrics._bootstrap import (
    Estimate,
    Resampling,
    auc_degrees,
    clustered_interval,
    interval,
    replicate,
)
from morelli.metrics._group_bootstrap import group_draws
from morelli.metrics._metrics import (
    CoveragePoint,
    Rates,
    ReliabilityBin,
    average_precision,
    brier,
    calibration_error,
    log_loss,
    log_loss_terms,
    positive_predictive_value,
    probability_bins,
    rates_at,
    reliability_curve,
    risk_coverage_curve,
    roc_auc,
    threshold_at_fpr,
    tpr_at_fpr,
    wilson_interval,
)
from morelli.metrics._ranking import Ranked

__all__ = [
    "AnyArray",
    "BoolArray",
    "CoveragePoint",
    "Estimate",
    "FloatArray",
    "IntArray",
    "Ranked",
    "Rates",
    "ReliabilityBin",
    "Resampling",
    "auc_degrees",
    "average_precision",
    "brier",
    "calibration_error",
    "clustered_interval",
    "group_draws",
    "interval",
    "log_loss",
    "log_loss_terms",
    "positive_predictive_value",
    "probability_bins",
    "rates_at",
    "reliability_curve",
    "replicate",
    "risk_coverage_curve",
    "roc_auc",
    "threshold_at_fpr",
    "tpr_at_fpr",
    "wilson_interval",
]
