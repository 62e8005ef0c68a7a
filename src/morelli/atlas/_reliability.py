"""How far an atlas's scores hold: thresholds on held-out scores, and what the files alone give away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import UNKNOWN
from morelli.atlas._held_out import HeldOut, labels_of

if TYPE_CHECKING:
    from morelli.atlas.distiller import DistilledMap
    from morelli.features import Features

MISSED, FALSE_ALARMS = 0.05, 0.05
"""Error rates of the thresholds on held-out scores: generated images called real, real ones called AI."""


def thresholds_of(distilled: DistilledMap, held: HeldOut, labels: NDArray[np.int8]) -> tuple[float, float]:
    """Probabilities (real, ai): beyond them at most 5 % of held-out fakes and reals lie on the wrong side.

    Without labels of both classes 0.5 and 0.5: then nothing is inconclusive, as nothing can be promised.
    """
    from morelli.detectors import conformal_miss_threshold, conformal_threshold

    logits = held.impacts.sum(axis=1) + held.bias
    if not {0, 1} <= set(labels.tolist()):
        return 0.5, 0.5
    ai = conformal_threshold(logits[labels == 0], FALSE_ALARMS).logit
    real = conformal_miss_threshold(logits[labels == 1], MISSED).logit
    low, high = distilled.calibration.probability([real, ai]).tolist()
    return (low, high) if low <= high else (0.5, 0.5)


def audit_of(features: Features) -> dict[str, Any]:
    """What format, size and shape of the files alone would score; empty where that cannot be said."""
    from morelli.audit import metadata_only_auc

    y = labels_of(features)
    known = np.flatnonzero(y != UNKNOWN)
    if len(np.unique(y[known])) < 2 or min(np.bincount(y[known])) < 8:
        return {}
    groups = features.groups()[known]
    return metadata_only_auc(features.meta.take(known), groups, labels=y[known]).to_json()
