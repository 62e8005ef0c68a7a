"""Patterns of a collection: what recurs where a distilled dimension looks, gathered into prototypes."""

from __future__ import annotations

from morelli.atlas.patterns._clusters import matched_jaccard
from morelli.atlas.patterns._exemplars import copies_of
from morelli.atlas.patterns._facts import Fact, file_facts
from morelli.atlas.patterns._find import FoundPrototypes, PatternOptions, find_prototypes
from morelli.atlas.patterns._presence import Presence
from morelli.atlas.patterns._prototypes import PatchFeatures, Prototypes, prototype_schema
from morelli.atlas.patterns._regions import Regions, otsu, relevant_regions

__all__ = [
    "Fact",
    "FoundPrototypes",
    "PatchFeatures",
    "PatternOptions",
    "Presence",
    "Prototypes",
    "Regions",
    "copies_of",
    "file_facts",
    "find_prototypes",
    "matched_jaccard",
    "otsu",
    "prototype_schema",
    "relevant_regions",
]
