"""Morelli: detect AI-generated images, measure detectors honestly, explain and explore their tells.

Importing the package loads no heavy library; each room (`morelli.images`, `morelli.encoders`, …)
is loaded when it is first touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from morelli.notebook import show

__version__ = "0.1.0"

__all__ = ["__version__", "show"]


def __getattr__(name: str) -> Any:
    if name == "show":
        from morelli.notebook import show

        return show
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
