"""Patterns of a collection: what recurs where a distilled dimension looks, gathered into prototypes."""

from __future__ import annotations

from morelli.atlas.patterns._counterfactuals import measure_counterfactuals
from morelli.atlas.patterns._find import find_prototypes
from morelli.atlas.patterns._names import suggest_names
from morelli.atlas.patterns._options import PatternOptions

__all__ = [
    "PatternOptions",
    "find_prototypes",
    "measure_counterfactuals",
    "suggest_names",
]
