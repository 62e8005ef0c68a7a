"""What gives a generator away, and what to throw out: residuals, component removal, isotropy, transfer."""

from __future__ import annotations

from morelli.explanation._additive import ConceptSpace, Evidence, bundle_evidence, bundle_space
from morelli.explanation._concept_tests import concept_tests
from morelli.explanation._faithfulness import bundle_faithfulness
from morelli.explanation._generator_explanation import (
    LEAST_EXPLAINED,
    GeneratorExplanation,
    explain_generator,
    rows_of_generator,
)
from morelli.explanation._head_ablation import ablate_heads
from morelli.explanation._head_texts import describe_heads
from morelli.explanation._heads import Heads
from morelli.explanation._residuals import residuals
from morelli.explanation._shipped_space import shipped_space

__all__ = [
    "LEAST_EXPLAINED",
    "ConceptSpace",
    "Evidence",
    "GeneratorExplanation",
    "Heads",
    "ablate_heads",
    "bundle_evidence",
    "bundle_faithfulness",
    "bundle_space",
    "concept_tests",
    "describe_heads",
    "explain_generator",
    "residuals",
    "rows_of_generator",
    "shipped_space",
]
