"""Relevance: which patches of an image a distilled dimension, or the logit, rests on.

`relevance_maps` is equation 4 of ASAP for all dimensions at once; `upsample` and `overlay` draw its maps;
`deletion_curve` and planted patterns test them. Importing this loads no torch.
"""

from __future__ import annotations

from morelli.explanation.relevance._display import overlay, upsample
from morelli.explanation.relevance._maps import relevance_maps
from morelli.explanation.relevance._planted import as_input

__all__ = [
    "as_input",
    "overlay",
    "relevance_maps",
    "upsample",
]
