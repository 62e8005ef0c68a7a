"""Patterns of a collection: what recurs where a distilled dimension looks, gathered into prototypes."""

from __future__ import annotations

from morelli.atlas.patterns._clusters import matched_jaccard
from morelli.atlas.patterns._counterfactuals import Counterfactuals, measure_counterfactuals
from morelli.atlas.patterns._edit_region import How, edit_region, inpaint
from morelli.atlas.patterns._exemplars import copies_of
from morelli.atlas.patterns._facts import Fact, file_facts
from morelli.atlas.patterns._find import FoundPrototypes, find_prototypes, match_prototypes
from morelli.atlas.patterns._image_patterns import Pattern, image_patterns
from morelli.atlas.patterns._names import NameSuggestion, suggest_names
from morelli.atlas.patterns._options import PatternOptions
from morelli.atlas.patterns._presence import Presence
from morelli.atlas.patterns._prototypes import PatchFeatures, Prototypes, prototype_schema
from morelli.atlas.patterns._regions import Regions, otsu, relevant_regions
from morelli.atlas.patterns._rescore import Rescored, rescore
from morelli.atlas.patterns._significance import may_be_chance

__all__ = [
    "Counterfactuals",
    "Fact",
    "FoundPrototypes",
    "How",
    "NameSuggestion",
    "PatchFeatures",
    "Pattern",
    "PatternOptions",
    "Presence",
    "Prototypes",
    "Regions",
    "Rescored",
    "copies_of",
    "edit_region",
    "file_facts",
    "find_prototypes",
    "image_patterns",
    "inpaint",
    "match_prototypes",
    "matched_jaccard",
    "may_be_chance",
    "measure_counterfactuals",
    "otsu",
    "prototype_schema",
    "relevant_regions",
    "rescore",
    "suggest_names",
]
