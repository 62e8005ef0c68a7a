"""Removal of harmful components: greedy search in closed form, ranked and random alternatives."""

from __future__ import annotations

from morelli.explanation.components._mask import ComponentMask, MaskMethod, fit_masked, select_components
from morelli.explanation.components._problem import TaskData, refit
from morelli.explanation.components._search import METHODS, Choice, SearchOptions, choose_number, steps
from morelli.explanation.components._sweep import Sweep, SweepProblem, surrogate_auc

__all__ = [
    "METHODS",
    "Choice",
    "ComponentMask",
    "MaskMethod",
    "SearchOptions",
    "Sweep",
    "SweepProblem",
    "TaskData",
    "choose_number",
    "fit_masked",
    "refit",
    "select_components",
    "steps",
    "surrogate_auc",
]
