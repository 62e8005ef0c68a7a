"""Removal of harmful components: greedy search in closed form, ranked and random alternatives."""

from __future__ import annotations

from morelli.explanation.components._mask import ComponentMask

__all__ = [
    "ComponentMask",
]
