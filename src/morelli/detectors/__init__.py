"""Detectors: estimators over features, calibration, and the bundle that carries a whole detector.

Estimators follow scikit-learn on (n, d) arrays; real is 0, fake is 1. Importing this room, and judging with a
bundle, does not load scikit-learn; estimators and what fits them do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from morelli._lazy import lazy_names
from morelli.detectors._bank import Bank
from morelli.detectors._bundle import Bundle, default_bundle_path
from morelli.detectors._calibration import Calibration, fit_calibration
from morelli.detectors._ensemble import Ensemble, load_detector
from morelli.detectors._import_univfd import import_univfd
from morelli.detectors._thresholds import conformal_miss_threshold, conformal_threshold
from morelli.detectors._verdict import Neighbor, Verdict
from morelli.detectors._weights import balanced_weights

if TYPE_CHECKING:
    from morelli.detectors._ensemble_fit import fit_ensemble
    from morelli.detectors._expert_probe import ExpertProbe
    from morelli.detectors._fit import Recipe, fit_bundle, training_hash
    from morelli.detectors._folds import cross_fit, grouped_folds
    from morelli.detectors._neighbors import NearestNeighborDetector
    from morelli.detectors._probe import LinearProbe
    from morelli.detectors._univfd_probe import UnivFDProbe

__all__ = [
    "Bank",
    "Bundle",
    "Calibration",
    "Ensemble",
    "ExpertProbe",
    "LinearProbe",
    "NearestNeighborDetector",
    "Neighbor",
    "Recipe",
    "UnivFDProbe",
    "Verdict",
    "balanced_weights",
    "conformal_miss_threshold",
    "conformal_threshold",
    "cross_fit",
    "default_bundle_path",
    "fit_bundle",
    "fit_calibration",
    "fit_ensemble",
    "grouped_folds",
    "import_univfd",
    "load_detector",
    "training_hash",
]

# scikit-learn takes a second to load: when something is fitted, not when a picture is judged.
__getattr__ = lazy_names(
    __name__,
    {
        "ExpertProbe": "_expert_probe",
        "LinearProbe": "_probe",
        "NearestNeighborDetector": "_neighbors",
        "Recipe": "_fit",
        "UnivFDProbe": "_univfd_probe",
        "cross_fit": "_folds",
        "fit_bundle": "_fit",
        "fit_ensemble": "_ensemble_fit",
        "grouped_folds": "_folds",
        "training_hash": "_fit",
    },
)
