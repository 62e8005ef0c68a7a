"""Metrics: ranking, calibration and error rates, as plain numpy functions on (n,) arrays.

Labels are 0 for real and 1 for generated; larger scores mean more likely generated. Nothing here knows
features, detectors or files. Intervals, and metrics under many row weights, are in
`morelli.metrics.resampling`.
"""

from __future__ import annotations

from morelli.metrics._auc import column_aucs, placements, two_sample_auc, within_fold_auc
from morelli.metrics._estimate import Estimate
from morelli.metrics._scores import (
    average_precision,
    best_threshold,
    rates_at,
    roc_auc,
    roc_curve,
    tpr_at_fpr,
    tpr_at_fprs,
)

__all__ = [
    "Estimate",
    "average_precision",
    "best_threshold",
    "column_aucs",
    "placements",
    "rates_at",
    "roc_auc",
    "roc_curve",
    "tpr_at_fpr",
    "tpr_at_fprs",
    "two_sample_auc",
    "within_fold_auc",
]
