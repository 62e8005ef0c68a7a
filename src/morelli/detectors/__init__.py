"""Detectors: estimators over features, calibration, and the bundle that carries a whole detector.

Estimators follow scikit-learn on (n, d) arrays; real is 0, fake is 1.
"""

from __future__ import annotations

from morelli.detectors._folds import CrossFit, cross_fit, grouped_folds
from morelli.detectors._neighbors import NearestNeighborDetector, Neighborhood
from morelli.detectors._probe import LinearProbe
from morelli.detectors._weights import GroupWeight, balanced_weights

__all__ = [
    "CrossFit",
    "GroupWeight",
    "LinearProbe",
    "NearestNeighborDetector",
    "Neighborhood",
    "balanced_weights",
    "cross_fit",
    "grouped_folds",
]
