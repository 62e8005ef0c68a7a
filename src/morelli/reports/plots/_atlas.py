"""Charts of an atlas that show no image: what may be published where the images may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.atlas import by_evidence, p_text
from morelli.reports.plots._style import FAKE, INK, PALE, REAL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from morelli.atlas import Atlas, Selection

MOST = 24


def patterns_chart(atlas: Atlas, selection: Selection | None = None) -> Figure:
    """Prototypes by mean impact, those beyond chance first: interval, share of generated, p, warnings.

    A dot's filling is the share of generated images among its images; a hollow triangle beside the name
    says that these images' files differ from the rest of their class.
    """
    from matplotlib.figure import Figure

    shown = [p for p in atlas.prototypes(selection) if not p["hidden"] and p["merged_into"] is None]
    if selection is not None:
        shown = [p for p in shown if p["selected"]]
    shown = sorted(shown, key=by_evidence)[:MOST][::-1]
    figure = Figure(figsize=(9.2, 1.3 + 0.3 * max(len(shown), 3)), layout="constrained")
    axes, side = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1.2])
    names = [f"{p['name'] or 'prototype'} ({p['id']})" for p in shown]
    for y, p in enumerate(shown):
        colour = FAKE if p["mean_impact"] > 0 else REAL
        low, high = (p["impact_low"], p["impact_high"])
        if low is not None and high is not None:
            axes.plot([low, high], [y, y], color=colour, linewidth=2.4, solid_capstyle="round")
        axes.plot(p["mean_impact"], y, "o", color=colour, markersize=6)
        side.barh(y, 100 * p["purity_fake"], height=0.62, color=FAKE)
        side.barh(y, 100 * (1 - p["purity_fake"]), left=100 * p["purity_fake"], height=0.62, color=REAL)
        text = f"{p['images']:,}" + ("" if p["p_value"] is None else f" · p {p_text(p['p_value'])}")
        side.text(104, y, text + (" ▲" if p["file_confound"] else ""), va="center", fontsize=7.5, color=INK)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(shown)), names)
    axes.set_xlabel("mean impact on the logit, held out:  ← real   generated →", fontsize=8.5)
    side.set_xlabel("share of its images, %", fontsize=8.5)
    side.set_xlim(0, 100)
    side.set_title("generated | real    images · p   ▲ files differ", fontsize=8, color=INK, loc="left")
    for ax in (axes, side):
        _quiet(ax)
    return figure


def dimensions_chart(atlas: Atlas, selection: Selection | None = None) -> Figure:
    """Mirrored histograms of every dimension's impacts, real up and generated down, by how much they vary."""
    from matplotlib.figure import Figure

    views = sorted(atlas.dimensions(selection), key=lambda view: -view["spread"])
    columns = 4
    rows = -(-len(views) // columns)
    figure = Figure(figsize=(9.2, 1.45 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax, view in zip(axes.flat, views, strict=False):
        least, most = view["edges"]
        edges = np.linspace(float(least), float(most), len(view["real"]) + 1)
        for name, sign, colour in (("real", 1, REAL), ("fake", -1, FAKE)):
            counts = np.asarray(view[name], dtype=float)
            ax.stairs(sign * np.sqrt(counts / max(counts.sum(), 1)), edges, fill=True, color=colour)
        ax.axvline(0, color=INK, linewidth=0.8)
        without = view["auc_without"]
        note = "" if without is None else f"   AUC without {without:.3f}"
        ax.set_title(
            f"{view['name']}  weight {view['weight']:+.2f}{note}", fontsize=7.5, color=INK, loc="left"
        )
        ax.set_yticks([])
        _quiet(ax)
    for ax in list(axes.flat)[len(views) :]:
        ax.set_visible(False)
    figure.supxlabel(
        "impact on the logit; heights are square roots of shares, real up, generated down", fontsize=8.5
    )
    return figure


def _quiet(ax: Any) -> None:
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(PALE)
    ax.tick_params(colors=INK, labelsize=7.5, color=PALE, length=2)
