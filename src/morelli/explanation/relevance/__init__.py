"""Relevance: which patches of an image a distilled dimension, or the logit, rests on.

`relevance_maps` is equation 4 of ASAP for all dimensions at once; `upsample` and `overlay` draw its maps;
`deletion_curve` and planted patterns test them. Importing this loads no torch.
"""

from __future__ import annotations

from morelli.explanation.relevance._comparisons import attention_map, rollout_maps
from morelli.explanation.relevance._deletion import (
    Fill,
    Score,
    centre_maps,
    deletion_curve,
    random_maps,
    token_deletion_curve,
)
from morelli.explanation.relevance._deletion_effects import DeletionEffect, deletion_effects
from morelli.explanation.relevance._display import crop_box, overlay, upsample
from morelli.explanation.relevance._maps import RelevanceMaps, Rule, Towards, Values, relevance_maps
from morelli.explanation.relevance._planted import (
    Pattern,
    Planted,
    as_input,
    coverage,
    localisation,
    plant,
    pointing_hits,
)
from morelli.explanation.relevance._registers import registers, without_registers

__all__ = [
    "DeletionEffect",
    "Fill",
    "Pattern",
    "Planted",
    "RelevanceMaps",
    "Rule",
    "Score",
    "Towards",
    "Values",
    "as_input",
    "attention_map",
    "centre_maps",
    "coverage",
    "crop_box",
    "deletion_curve",
    "deletion_effects",
    "localisation",
    "overlay",
    "plant",
    "pointing_hits",
    "random_maps",
    "registers",
    "relevance_maps",
    "rollout_maps",
    "token_deletion_curve",
    "upsample",
    "without_registers",
]
