"""Notebook: an atlas's overview and the check of one image as widgets, without a server.

`show` makes either. The widgets need the extra `notebook` (`pip install 'morelli[notebook]'`); what they draw
travels with the kernel's own messages, so that they work wherever widgets do, offline too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from morelli._lazy import lazy_names
from morelli.notebook._show import show

if TYPE_CHECKING:
    from morelli.notebook._check import CheckWidget
    from morelli.notebook._overview import OverviewWidget

__all__ = ["CheckWidget", "OverviewWidget", "show"]

# anywidget is an optional extra, and loaded when a widget is made.
__getattr__ = lazy_names(
    __name__,
    {"CheckWidget": "_check", "OverviewWidget": "_overview"},
)
