"""Honest measurement: protocols write predictions, and every metric is computed from them.

`evaluate` runs protocols over features and detectors and gives `Predictions`; `summarize` turns a
predictions table, ours or another tool's, into metrics with intervals. Importing this room loads
neither torch nor scikit-learn.
"""

from __future__ import annotations

from morelli.evaluation._bootstrap import Estimate, clustered_interval
from morelli.evaluation._compare import Comparison, DeLong, McNemar, compare, compare_all, delong, mcnemar
from morelli.evaluation._external import predict_external
from morelli.evaluation._leaks import LeakPair, LeakReport, leak_report
from morelli.evaluation._measure import (
    GroupEstimate,
    Measurement,
    MeasureOptions,
    SourceEstimate,
    measure,
    real_sources,
)
from morelli.evaluation._metadata_baseline import MetadataBaseline, metadata_only_auc
from morelli.evaluation._metrics import (
    CoveragePoint,
    Rates,
    ReliabilityBin,
    average_precision,
    brier,
    calibration_error,
    log_loss,
    positive_predictive_value,
    rates_at,
    reliability_curve,
    risk_coverage_curve,
    roc_auc,
    threshold_at_fpr,
    tpr_at_fpr,
    wilson_interval,
)
from morelli.evaluation._predictions import SCHEMA, Predictions
from morelli.evaluation._protocols import (
    PROTOCOLS,
    by_era,
    by_real_source,
    evaluate,
    features_digest,
    leave_one_family_out,
    leave_one_lineage_out,
    run_splits,
    score_fixed,
    transfer_matrix,
)
from morelli.evaluation._refits import Candidate
from morelli.evaluation._splits import (
    Split,
    era_splits,
    family_splits,
    lineage_splits,
    source_splits,
    transfer_splits,
)
from morelli.evaluation._summary import FoldSummary, Result, Summary, summarize
from morelli.evaluation._univfd_layout import UnivFDSet, univfd_items, univfd_sets
from morelli.evaluation._univfd_protocol import (
    UnivFDRow,
    UnivFDTable,
    best_threshold,
    univfd,
    univfd_table,
)

__all__ = [
    "PROTOCOLS",
    "SCHEMA",
    "Candidate",
    "Comparison",
    "CoveragePoint",
    "DeLong",
    "Estimate",
    "FoldSummary",
    "GroupEstimate",
    "LeakPair",
    "LeakReport",
    "McNemar",
    "MeasureOptions",
    "Measurement",
    "MetadataBaseline",
    "Predictions",
    "Rates",
    "ReliabilityBin",
    "Result",
    "SourceEstimate",
    "Split",
    "Summary",
    "UnivFDRow",
    "UnivFDSet",
    "UnivFDTable",
    "average_precision",
    "best_threshold",
    "brier",
    "by_era",
    "by_real_source",
    "calibration_error",
    "clustered_interval",
    "compare",
    "compare_all",
    "delong",
    "era_splits",
    "evaluate",
    "family_splits",
    "features_digest",
    "leak_report",
    "leave_one_family_out",
    "leave_one_lineage_out",
    "lineage_splits",
    "log_loss",
    "mcnemar",
    "measure",
    "metadata_only_auc",
    "positive_predictive_value",
    "predict_external",
    "rates_at",
    "real_sources",
    "reliability_curve",
    "risk_coverage_curve",
    "roc_auc",
    "run_splits",
    "score_fixed",
    "source_splits",
    "summarize",
    "threshold_at_fpr",
    "tpr_at_fpr",
    "transfer_matrix",
    "transfer_splits",
    "univfd",
    "univfd_items",
    "univfd_sets",
    "univfd_table",
    "wilson_interval",
]
