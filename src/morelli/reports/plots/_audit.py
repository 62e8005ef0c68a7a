"""Pictures of an audit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from morelli.reports.plots._style import FAKE, INK, LINES, PALE, REAL, panels, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from morelli.audit import AuditReport


def plot_audit(report: AuditReport, folder: Path) -> list[Path]:
    """Draw an audit into `folder`: facts by class, and how well each fact alone separates the classes."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        save_figure(audit_facts_figure(report), folder / "facts-by-class.png"),
        save_figure(audit_auc_figure(report), folder / "separation-by-fact.png"),
    ]


def audit_facts_figure(report: AuditReport) -> Figure:
    """Six panels: format, chroma, short side, aspect, JPEG quality and bytes per pixel by class."""
    from morelli.audit import fact_columns

    labels = np.asarray([-1 if v is None else v for v in report.table.column("label").to_pylist()])
    columns = fact_columns(report.table)
    figure, axes = panels(2, 3, 12, 6.6)
    for ax, name, title in (
        (axes[0, 0], "format", "File format"),
        (axes[0, 1], "subsampling", "Chroma subsampling (JPEG)"),
    ):
        values = np.where(columns[name] == "", "not JPEG", columns[name])
        known, counts = np.unique(values[labels >= 0], return_counts=True)
        known = known[np.argsort(-counts, kind="stable")][:6]
        for offset, value, colour, word in ((-0.2, 0, REAL, "real"), (0.2, 1, FAKE, "generated")):
            shares = [np.mean(values[labels == value] == level) for level in known]
            ax.bar(np.arange(len(known)) + offset, shares, 0.38, color=colour, label=word)
        ax.set_xticks(np.arange(len(known)), known)
        ax.set_ylabel("share of the class")
        ax.set_title(title)
    for ax, name, title, log in (
        (axes[0, 2], "short_side", "Short side, pixels", True),
        (axes[1, 0], "aspect", "Long side ÷ short side", False),
        (axes[1, 1], "jpeg_quality", "JPEG quality (JPEG files)", False),
        (axes[1, 2], "bytes_per_pixel", "Bytes per pixel", False),
    ):
        values = columns[name]
        usable = np.isfinite(values) & (labels >= 0)
        if usable.any():
            top = values[usable].max() if name == "jpeg_quality" else np.quantile(values[usable], 0.995)
            low = values[usable].min()
            edges = (
                np.geomspace(low, max(top, low * 1.01) * 1.01, 31)
                if log
                else np.linspace(low, top + 1e-6, 31)
            )
            for value, colour, style in ((0, REAL, "stepfilled"), (1, FAKE, "step")):
                own = values[usable & (labels == value)]
                if len(own):
                    weights = np.full(len(own), 1 / len(own))
                    ax.hist(
                        np.clip(own, edges[0], edges[-1]),
                        edges,
                        weights=weights,
                        color=colour,
                        histtype=style,
                        alpha=0.75 if style == "stepfilled" else 1,
                        linewidth=2,
                    )
            if log:
                ax.set_xscale("log", base=2)
                ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.set_ylabel("share of the class")
        ax.set_title(title)
    axes[0, 0].legend(frameon=False)
    figure.suptitle("How the classes are delivered", x=0.01, ha="left", fontweight="bold", color=INK)
    return figure


def audit_auc_figure(report: AuditReport) -> Figure:
    """AUC of every fact alone, and of the metadata-only classifiers with their intervals."""
    rows: list[tuple[str, float, tuple[float, float] | None]] = [
        (entry.title, entry.auc, None) for entry in report.associations
    ]
    for name, baseline in (
        ("format and size together", report.baseline),
        ("… and bytes per pixel", report.with_bytes),
    ):
        if baseline is not None:
            rows.insert(0 if name.startswith("format") else 1, (name, baseline.auc, baseline.interval))
    figure, axes = panels(1, 1, 8.5, 1.1 + 0.34 * len(rows))
    ax = axes[0, 0]
    for place, (_, auc, ends) in enumerate(rows):
        ax.barh(place, auc - 0.5, left=0.5, height=0.66, color=INK if ends else PALE)
        if ends and np.isfinite(ends).all():
            ax.plot(ends, [place, place], color=LINES[1], linewidth=2.5, solid_capstyle="butt")
        ax.text(
            max(auc, 0.5) + 0.012 if not ends else max(*ends, auc) + 0.012, place, f"{auc:.2f}", va="center"
        )
    ax.set_yticks(np.arange(len(rows)), [name for name, _, _ in rows])
    ax.invert_yaxis()
    ax.set_xlim(min(0.5, *(auc for _, auc, _ in rows)) - 0.01, 1.07)
    ax.set_xlabel(
        "AUC without a pixel (dark: groups held out, blue its 90 % interval; grey: one fact, in sample)"
    )
    ax.grid(axis="y", visible=False)
    ax.set_title("What tells the classes apart before any detector looks", loc="left")
    return figure
