"""Relevance: which patches of an image a distilled dimension, or the logit, rests on."""

from __future__ import annotations

from morelli.explanation.relevance._maps import RelevanceMaps, Rule, Towards, Values, relevance_maps

__all__ = ["RelevanceMaps", "Rule", "Towards", "Values", "relevance_maps"]
