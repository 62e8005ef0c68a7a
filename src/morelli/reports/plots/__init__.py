"""Pictures of the analyses, drawn by matplotlib without a display.

Each function returns a matplotlib Figure; `save_figure` and `figure_png` write it. matplotlib is loaded by
the first call.
"""

from __future__ import annotations

from morelli.reports.plots._relevance import relevance_png

__all__ = [
    "relevance_png",
]
