"""Relevance: which patches of an image a distilled dimension, or the logit, rests on.

`relevance_maps` is equation 4 of ASAP for all dimensions at once, `rollout_maps` its equations 2 and 3 over
all blocks; `upsample` and `overlay` draw maps. Importing this loads no torch.
"""

from __future__ import annotations

from morelli.explanation.relevance._comparisons import rollout_maps
from morelli.explanation.relevance._display import overlay, upsample
from morelli.explanation.relevance._maps import relevance_maps
from morelli.explanation.relevance._planted import as_input

__all__ = [
    "as_input",
    "overlay",
    "relevance_maps",
    "rollout_maps",
    "upsample",
]
