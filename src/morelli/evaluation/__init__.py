"""Honest measurement: protocols write predictions, and every metric is computed from them.

`evaluate` runs protocols over features and detectors and gives `Predictions`; `summarize` turns a
predictions table, ours or another tool's, into metrics with intervals. Importing this room loads
neither torch nor scikit-learn.
"""

from __future__ import annotations

from morelli.evaluation._analyses import Analyses, analyse
from morelli.evaluation._compare import Comparison
from morelli.evaluation._compare_tables import compare_tables
from morelli.evaluation._maps import FeatureMap, feature_maps
from morelli.evaluation._measure import MeasureOptions, measure
from morelli.evaluation._predictions import Predictions
from morelli.evaluation._protocols import evaluate
from morelli.evaluation._refits import Candidate
from morelli.evaluation._robustness import CurvePoint, extract_perturbed, robustness_curves
from morelli.evaluation._runs import Executed, Input, Run, execute, file_digest, versions
from morelli.evaluation._summary import Result, Summary, summarize
from morelli.evaluation._univfd_layout import univfd_items, univfd_sets

__all__ = [
    "Analyses",
    "Candidate",
    "Comparison",
    "CurvePoint",
    "Executed",
    "FeatureMap",
    "Input",
    "MeasureOptions",
    "Predictions",
    "Result",
    "Run",
    "Summary",
    "analyse",
    "compare_tables",
    "evaluate",
    "execute",
    "extract_perturbed",
    "feature_maps",
    "file_digest",
    "measure",
    "robustness_curves",
    "summarize",
    "univfd_items",
    "univfd_sets",
    "versions",
]
