"""Digests of what an atlas is made from: the map, and which images in which order."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from morelli.atlas.distiller import DistilledMap
    from morelli.features import Features


def map_digest(distilled: DistilledMap) -> str:
    """SHA-256 (hex) of a map's numbers."""
    state = hashlib.sha256()
    for part in (distilled.A, distilled.b, distilled.w, np.array([distilled.bias])):
        state.update(np.ascontiguousarray(part, dtype=np.float64).tobytes())
    return state.hexdigest()


def rows_digest(features: Features) -> str:
    """SHA-256 (hex) of which images, under which perturbation, in which order."""
    state = hashlib.sha256()
    for name in ("sha256", "perturbation"):
        for value in features.meta.column(name).to_pylist():
            state.update(f"{value}\n".encode())
    return state.hexdigest()
