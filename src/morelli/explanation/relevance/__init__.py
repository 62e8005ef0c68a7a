"""Relevance: which patches of an image a distilled dimension, or the logit, rests on.

`relevance_maps` is equation 4 of ASAP for all dimensions at once; `upsample` and `overlay` draw its maps;
`deletion_curve` and planted patterns test them. Importing this loads no torch.
"""

from __future__ import annotations

from morelli.explanation.relevance._comparisons import attention_map, rollout_maps
from morelli.explanation.relevance._deletion import token_deletion_curve
from morelli.explanation.relevance._deletion_effects import deletion_effects
from morelli.explanation.relevance._display import overlay, upsample
from morelli.explanation.relevance._maps import relevance_maps
from morelli.explanation.relevance._planted import as_input

__all__ = [
    "as_input",
    "attention_map",
    "deletion_effects",
    "overlay",
    "relevance_maps",
    "rollout_maps",
    "token_deletion_curve",
    "upsample",
]
