"""Many weightings of the same rows at once, which is what a bootstrap is, and intervals from them.

Rows that hang together are drawn together: images of one lineage share what gives them away, photographs of
one source share a camera and a codec. Metrics of all rounds are computed from one sorting of the scores.
"""

from __future__ import annotations

from morelli.metrics._bootstrap import (
    Resampling,
    auc_degrees,
    clustered_interval,
    interval,
    percentile_interval,
    replicate,
)
from morelli.metrics._group_bootstrap import bootstrap_counts, group_draws
from morelli.metrics._operating_points import OperatingPoints
from morelli.metrics._ranking import Ranked
from morelli.metrics.probabilities import log_loss_terms, probability_bins, weighted_calibration_error

__all__ = [
    "OperatingPoints",
    "Ranked",
    "Resampling",
    "auc_degrees",
    "bootstrap_counts",
    "clustered_interval",
    "group_draws",
    "interval",
    "log_loss_terms",
    "percentile_interval",
    "probability_bins",
    "replicate",
    "weighted_calibration_error",
]
