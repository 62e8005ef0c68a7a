"""Honest measurement: protocols write predictions, and every metric is computed from them.

`evaluate` runs protocols over features and detectors and gives `Predictions`; `summarize` turns a
predictions table, ours or another tool's, into metrics with intervals. Importing this room loads
neither torch nor scikit-learn.
"""

from __future__ import annotations

from morelli.evaluation._ablations import BankPoint, KindScore, LayerAblation, bank_ablation, layer_ablation
from morelli.evaluation._compare import Comparison, DeLong, McNemar, compare, compare_all, delong, mcnemar
from morelli.evaluation._compare_tables import compare_tables
from morelli.evaluation._detector_specs import candidates_of
from morelli.evaluation._external import predict_external
from morelli.evaluation._folds import fold_splits
from morelli.evaluation._maps import FeatureMap, Method, feature_maps, neighbour_agreement
from morelli.evaluation._measure import (
    GroupEstimate,
    Measurement,
    MeasureOptions,
    SourceEstimate,
    measure,
    real_sources,
)
from morelli.evaluation._predictions import SCHEMA, Predictions
from morelli.evaluation._protocols import (
    ERA,
    FAMILY,
    FIXED,
    LINEAGE,
    POOLED,
    PROTOCOLS,
    SOURCE,
    TRANSFER,
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
from morelli.evaluation._robustness import (
    ALL,
    CLEAN,
    NAME,
    STANDARD,
    CurvePoint,
    extract_perturbed,
    perturbation_ids,
    robustness_curves,
    sweep,
)
from morelli.evaluation._runs import Executed, Input, Run, execute, file_digest, versions
from morelli.evaluation._sink import SinkAnalysis, SinkGroup, sink_analysis
from morelli.evaluation._splits import (
    Split,
    era_splits,
    family_splits,
    lineage_splits,
    source_splits,
    transfer_splits,
)
from morelli.evaluation._summary import FoldSummary, Result, Summary, summarize
from morelli.evaluation._univfd_layout import FAMILIES, UnivFDSet, univfd_items, univfd_sets
from morelli.evaluation._univfd_protocol import UNIVFD, UnivFDRow, UnivFDTable, univfd, univfd_table

__all__ = [
    "ALL",
    "CLEAN",
    "ERA",
    "FAMILIES",
    "FAMILY",
    "FIXED",
    "LINEAGE",
    "NAME",
    "POOLED",
    "PROTOCOLS",
    "SCHEMA",
    "SOURCE",
    "STANDARD",
    "TRANSFER",
    "UNIVFD",
    "BankPoint",
    "Candidate",
    "Comparison",
    "CurvePoint",
    "DeLong",
    "Executed",
    "FeatureMap",
    "FoldSummary",
    "GroupEstimate",
    "Input",
    "KindScore",
    "LayerAblation",
    "McNemar",
    "MeasureOptions",
    "Measurement",
    "Method",
    "Predictions",
    "Result",
    "Run",
    "SinkAnalysis",
    "SinkGroup",
    "SourceEstimate",
    "Split",
    "Summary",
    "UnivFDRow",
    "UnivFDSet",
    "UnivFDTable",
    "bank_ablation",
    "by_era",
    "by_real_source",
    "candidates_of",
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
    "file_digest",
    "fold_splits",
    "layer_ablation",
    "leave_one_family_out",
    "leave_one_lineage_out",
    "lineage_splits",
    "mcnemar",
    "measure",
    "neighbour_agreement",
    "perturbation_ids",
    "predict_external",
    "real_sources",
    "robustness_curves",
    "run_splits",
    "score_fixed",
    "sink_analysis",
    "source_splits",
    "summarize",
    "sweep",
    "transfer_matrix",
    "transfer_splits",
    "univfd",
    "univfd_items",
    "univfd_sets",
    "univfd_table",
    "versions",
]
