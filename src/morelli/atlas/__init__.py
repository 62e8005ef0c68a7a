"""The atlas: a collection seen through a few distilled dimensions.

After ASAP (arXiv 2404.02990): a distiller turns the encoder's embedding into a few dimensions whose signed
impacts add up to the logit; relevance says which pixels carry each; patterns recur over a collection and are
gathered into prototypes; cells lay the collection out at several levels. `build_atlas` writes all of it into
one folder, `Atlas` reads it. Importing this room loads no torch.
"""

from __future__ import annotations

from morelli.atlas._add import add_images
from morelli.atlas._atlas import Atlas
from morelli.atlas._build import build_atlas
from morelli.atlas._integrity import verify_atlas
from morelli.atlas._options import AtlasOptions
from morelli.atlas._record import AtlasRecord
from morelli.atlas._selection import Selection
from morelli.atlas._views import by_evidence, p_text

__all__ = [
    "Atlas",
    "AtlasOptions",
    "AtlasRecord",
    "Selection",
    "add_images",
    "build_atlas",
    "by_evidence",
    "p_text",
    "verify_atlas",
]
