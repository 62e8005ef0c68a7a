"""The atlas: a collection seen through a few distilled dimensions.

After ASAP (arXiv 2404.02990): a distiller turns the encoder's embedding into a few dimensions whose signed
impacts add up to the logit; relevance says which pixels carry each; patterns recur over a collection and are
gathered into prototypes; cells lay the collection out at several levels. `build_atlas` writes all of it into
one folder, `Atlas` reads it. Importing this room loads no torch.
"""

from __future__ import annotations

from morelli.atlas._atlas import Atlas
from morelli.atlas._build import add_images, build_atlas
from morelli.atlas._collection import ERRORS, VERDICTS, Category, Collection
from morelli.atlas._edits import Edits
from morelli.atlas._exports import ExportFormat
from morelli.atlas._integrity import Verified, verify_atlas
from morelli.atlas._pixels import Pictures, PixelTable, Progress
from morelli.atlas._record import AtlasRecord
from morelli.atlas._selection import EVERYTHING, Selection, key_of
from morelli.atlas._steps import AtlasOptions
from morelli.atlas._views import BINS, by_evidence, p_text
from morelli.atlas.distiller import DistilledMap, Distiller, Spelling, default_map_path

__all__ = [
    "BINS",
    "ERRORS",
    "EVERYTHING",
    "VERDICTS",
    "Atlas",
    "AtlasOptions",
    "AtlasRecord",
    "Category",
    "Collection",
    "DistilledMap",
    "Distiller",
    "Edits",
    "ExportFormat",
    "Pictures",
    "PixelTable",
    "Progress",
    "Selection",
    "Spelling",
    "Verified",
    "add_images",
    "build_atlas",
    "by_evidence",
    "default_map_path",
    "key_of",
    "p_text",
    "verify_atlas",
]
