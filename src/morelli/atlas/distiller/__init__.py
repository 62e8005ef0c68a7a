"""The distiller: embedding → forget-to-spell → a few distinct dimensions → logit.

`Distiller` is the estimator, `DistilledMap` what it leaves behind, `cross_distil` its honest values,
`Spelling` the projection that forgets rendered words.
"""

from __future__ import annotations

from morelli.atlas.distiller._distiller import Distiller
from morelli.atlas.distiller._map import DistilledMap, default_map_path

__all__ = [
    "DistilledMap",
    "Distiller",
    "default_map_path",
]
