"""Detectors: estimators over features, calibration, and the bundle that carries a whole detector.

Estimators follow scikit-learn on (n, d) arrays; real is 0, fake is 1.
"""

from __future__ import annotations

from morelli.detectors._bank import Bank
from morelli.detectors._bundle import Bundle, HeldOut, NeighborRule, Origin, default_bundle_path
from morelli.detectors._calibration import Calibration, cross_fitted_probabilities, fit_calibration
from morelli.detectors._fit import FittedBundle, Recipe, fit_bundle, training_hash
from morelli.detectors._folds import CrossFit, cross_fit, grouped_folds
from morelli.detectors._import_univfd import import_univfd
from morelli.detectors._linear_head import LinearHead, fold_affine
from morelli.detectors._neighbors import NearestNeighborDetector, Neighborhood
from morelli.detectors._probe import LinearProbe
from morelli.detectors._thresholds import Threshold, conformal_miss_threshold, conformal_threshold
from morelli.detectors._unit_blocks import UnitBlocks
from morelli.detectors._univfd_probe import UnivFDProbe, univfd_views
from morelli.detectors._verdict import Neighbor, Verdict
from morelli.detectors._weights import GroupWeight, balanced_weights

__all__ = [
    "Bank",
    "Bundle",
    "Calibration",
    "CrossFit",
    "FittedBundle",
    "GroupWeight",
    "HeldOut",
    "LinearHead",
    "LinearProbe",
    "NearestNeighborDetector",
    "Neighbor",
    "NeighborRule",
    "Neighborhood",
    "Origin",
    "Recipe",
    "Threshold",
    "UnitBlocks",
    "UnivFDProbe",
    "Verdict",
    "balanced_weights",
    "conformal_miss_threshold",
    "conformal_threshold",
    "cross_fit",
    "cross_fitted_probabilities",
    "default_bundle_path",
    "fit_bundle",
    "fit_calibration",
    "fold_affine",
    "grouped_folds",
    "import_univfd",
    "training_hash",
    "univfd_views",
]
