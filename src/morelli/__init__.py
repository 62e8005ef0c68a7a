"""Morelli: detect AI-generated images, measure detectors honestly, explain and explore their tells.

`load` gives a detector, `show` a widget of a notebook. Importing the package loads no heavy library; each
room (`morelli.images`, `morelli.encoders`, …) is loaded when it is first touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from morelli._lazy import lazy_names
from morelli._version import __version__

if TYPE_CHECKING:
    from morelli.inspection import load
    from morelli.notebook import show

__all__ = ["__version__", "load", "show"]

__getattr__ = lazy_names(__name__, {"load": "inspection", "show": "notebook"})
