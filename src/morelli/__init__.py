"""Morelli: detect AI-generated images, measure detectors honestly, explain and explore their tells.

`load` gives a detector, `show` a widget of a notebook. Importing the package loads no heavy library; each
room (`morelli.images`, `morelli.encoders`, …) is loaded when it is first touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from morelli._version import __version__

if TYPE_CHECKING:
    from morelli.inspection import load
    from morelli.notebook import show

__all__ = ["__version__", "load", "show"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from morelli.inspection import load

        return load
    if name == "show":
        from morelli.notebook import show

        return show
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
