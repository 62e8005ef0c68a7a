"""Concepts: named unit directions in a feature space, from texts, text banks, edits and examples."""

from __future__ import annotations

from morelli.explanation.concepts._bank import ConceptBank, default_concepts_path
from morelli.explanation.concepts._edit_bank import edit_banks
from morelli.explanation.concepts._examples import example_concepts
from morelli.explanation.concepts._texts import (
    concepts_of_text_bank,
    read_text_list,
    text_concepts,
    vocabulary_concepts,
)

__all__ = [
    "ConceptBank",
    "concepts_of_text_bank",
    "default_concepts_path",
    "edit_banks",
    "example_concepts",
    "read_text_list",
    "text_concepts",
    "vocabulary_concepts",
]
