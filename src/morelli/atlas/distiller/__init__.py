"""The distiller: embedding → forget-to-spell → a few distinct dimensions → logit.

`Distiller` is the estimator, `DistilledMap` what it leaves behind, `cross_distil` its honest values,
`Spelling` the projection that forgets rendered words.
"""

from __future__ import annotations

from morelli.atlas.distiller._activation import Activation
from morelli.atlas.distiller._cross import CrossDistilled, cross_distil
from morelli.atlas.distiller._distiller import Distiller
from morelli.atlas.distiller._map import DistilledMap, default_map_path
from morelli.atlas.distiller._matching import Matching, match_dimensions
from morelli.atlas.distiller._overlay_features import overlay_features
from morelli.atlas.distiller._overlays import Overlays
from morelli.atlas.distiller._spelling import Spelling, default_spelling

__all__ = [
    "Activation",
    "CrossDistilled",
    "DistilledMap",
    "Distiller",
    "Matching",
    "Overlays",
    "Spelling",
    "cross_distil",
    "default_map_path",
    "default_spelling",
    "match_dimensions",
    "overlay_features",
]
