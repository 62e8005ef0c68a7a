"""Honest measurement: protocols write predictions, and every metric is computed from them.

`evaluate` runs protocols over features and detectors and gives `Predictions`; `summarize` turns a
predictions table, ours or another tool's, into metrics with intervals. Importing this room loads
neither torch nor scikit-learn.
"""

from __future__ import annotations

from morelli.evaluation._ablations import BankPoint, KindScore, LayerAblation, bank_ablation, layer_ablation
from morelli.evaluation._align import AlignRecipe, AlignReport, align
from morelli.evaluation._analyses import Analyses, analyse, write_analyses
from morelli.evaluation._audit import (
    Association,
    AuditReport,
    DuplicateGroup,
    FairSubset,
    Finding,
    Rule,
    Unreadable,
    audit,
)
from morelli.evaluation._bootstrap import Estimate, clustered_interval
from morelli.evaluation._compare import Comparison, DeLong, McNemar, compare, compare_all, delong, mcnemar
from morelli.evaluation._compare_tables import compare_tables
from morelli.evaluation._detector_specs import candidates_of
from morelli.evaluation._external import predict_external
from morelli.evaluation._folds import fold_splits
from morelli.evaluation._leaks import LeakPair, LeakReport, leak_report
from morelli.evaluation._maps import FeatureMap, feature_maps, neighbour_agreement
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
from morelli.evaluation._plots import (
    audit_auc_figure,
    audit_facts_figure,
    bank_figure,
    figure_png,
    layers_figure,
    maps_figure,
    robustness_figure,
    save_figure,
    sink_figure,
    spectra_figure,
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
from morelli.evaluation._reproduce import Difference, Reproduction, reproduce
from morelli.evaluation._robustness import (
    STANDARD,
    UNIVFD,
    CurvePoint,
    extract_perturbed,
    perturbation_ids,
    robustness_curves,
    sweep,
)
from morelli.evaluation._runs import Executed, Input, Run, execute
from morelli.evaluation._sink import SinkAnalysis, SinkGroup, sink_analysis
from morelli.evaluation._spectra import Spectrum, mean_spectra
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
from morelli.evaluation.report import PUBLISHED, Published, Report, audit_page, report_folder, write_report

__all__ = [
    "PROTOCOLS",
    "PUBLISHED",
    "SCHEMA",
    "STANDARD",
    "UNIVFD",
    "AlignRecipe",
    "AlignReport",
    "Analyses",
    "Association",
    "AuditReport",
    "BankPoint",
    "Candidate",
    "Comparison",
    "CoveragePoint",
    "CurvePoint",
    "DeLong",
    "Difference",
    "DuplicateGroup",
    "Estimate",
    "Executed",
    "FairSubset",
    "FeatureMap",
    "Finding",
    "FoldSummary",
    "GroupEstimate",
    "Input",
    "KindScore",
    "LayerAblation",
    "LeakPair",
    "LeakReport",
    "McNemar",
    "MeasureOptions",
    "Measurement",
    "MetadataBaseline",
    "Predictions",
    "Published",
    "Rates",
    "ReliabilityBin",
    "Report",
    "Reproduction",
    "Result",
    "Rule",
    "Run",
    "SinkAnalysis",
    "SinkGroup",
    "SourceEstimate",
    "Spectrum",
    "Split",
    "Summary",
    "UnivFDRow",
    "UnivFDSet",
    "UnivFDTable",
    "Unreadable",
    "align",
    "analyse",
    "audit",
    "audit_auc_figure",
    "audit_facts_figure",
    "audit_page",
    "average_precision",
    "bank_ablation",
    "bank_figure",
    "best_threshold",
    "brier",
    "by_era",
    "by_real_source",
    "calibration_error",
    "candidates_of",
    "clustered_interval",
    "compare",
    "compare_all",
    "compare_tables",
    "delong",
    "era_splits",
    "evaluate",
    "execute",
    "extract_perturbed",
    "family_splits",
    "feature_maps",
    "features_digest",
    "figure_png",
    "fold_splits",
    "layer_ablation",
    "layers_figure",
    "leak_report",
    "leave_one_family_out",
    "leave_one_lineage_out",
    "lineage_splits",
    "log_loss",
    "maps_figure",
    "mcnemar",
    "mean_spectra",
    "measure",
    "metadata_only_auc",
    "neighbour_agreement",
    "perturbation_ids",
    "positive_predictive_value",
    "predict_external",
    "rates_at",
    "real_sources",
    "reliability_curve",
    "report_folder",
    "reproduce",
    "risk_coverage_curve",
    "robustness_curves",
    "robustness_figure",
    "roc_auc",
    "run_splits",
    "save_figure",
    "score_fixed",
    "sink_analysis",
    "sink_figure",
    "source_splits",
    "spectra_figure",
    "summarize",
    "sweep",
    "threshold_at_fpr",
    "tpr_at_fpr",
    "transfer_matrix",
    "transfer_splits",
    "univfd",
    "univfd_items",
    "univfd_sets",
    "univfd_table",
    "wilson_interval",
    "write_analyses",
    "write_report",
]
