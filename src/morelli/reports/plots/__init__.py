"""Pictures of the analyses, drawn by matplotlib without a display.

Each function returns a matplotlib Figure; `save_figure` and `figure_png` write it. matplotlib is loaded by
the first call.
"""

from __future__ import annotations

from morelli.reports.plots._audit import audit_auc_figure, audit_facts_figure, plot_audit
from morelli.reports.plots._curves import bank_figure, layers_figure, robustness_figure, sink_figure
from morelli.reports.plots._explanation import plot_evidence, plot_explanation
from morelli.reports.plots._heads import plot_heads
from morelli.reports.plots._relevance import TOWARDS, relevance_layer, relevance_png
from morelli.reports.plots._spaces import maps_figure, spectra_figure
from morelli.reports.plots._style import FAKE, REAL, figure_png, save_figure

__all__ = [
    "FAKE",
    "REAL",
    "TOWARDS",
    "audit_auc_figure",
    "audit_facts_figure",
    "bank_figure",
    "figure_png",
    "layers_figure",
    "maps_figure",
    "plot_audit",
    "plot_evidence",
    "plot_explanation",
    "plot_heads",
    "relevance_layer",
    "relevance_png",
    "robustness_figure",
    "save_figure",
    "sink_figure",
    "spectra_figure",
]
