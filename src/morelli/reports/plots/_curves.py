"""Pictures of ablations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from morelli.reports.plots._style import DASHES, FAKE, INK, LINES, MARKERS, PALE, REAL, panels, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from morelli.evaluation import Analyses


def layers_figure(analyses: Analyses) -> Figure:
    """AUC of each feature kind with its interval, and the mean and worst over generators."""
    # The final embedding comes after the last block, whatever the order of the table.
    scores = sorted(analyses.layers.scores, key=lambda score: score.kind == "final")
    x = np.arange(len(scores))
    figure, axes = panels(1, 1, max(6.0, 1.5 + 0.55 * len(scores)), 4.2)
    ax = axes[0, 0]
    ax.fill_between(
        x, [s.auc.low for s in scores], [s.auc.high for s in scores], color=INK, alpha=0.1, linewidth=0
    )
    ax.plot(
        x, [s.auc.value for s in scores], color=INK, marker="o", linewidth=2.2, label="AUC, 90 % interval"
    )
    ax.plot(
        x,
        [s.generator_mean for s in scores],
        color=LINES[2],
        marker="s",
        linestyle="--",
        label="mean over generators",
    )
    ax.plot(
        x,
        [s.generator_worst for s in scores],
        color=LINES[1],
        marker="v",
        linestyle=":",
        label="worst generator",
    )
    ax.axhline(0.5, color=PALE, linewidth=1)
    ax.set_xticks(x, [s.kind for s in scores], rotation=35, ha="right")
    ax.set_ylabel("AUC")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    ax.set_title("Which layer", loc="left")
    return figure


def bank_figure(analyses: Analyses) -> Figure:
    """AUC against the bank's size, a line for each k."""
    points = analyses.bank
    figure, axes = panels(1, 1, 6.4, 4.0)
    ax = axes[0, 0]
    sizes = list(dict.fromkeys(point.size for point in points))
    for place, k in enumerate(sorted({point.k for point in points})):
        own = {point.size: point for point in points if point.k == k}
        x = [sizes.index(size) for size in sizes if size in own]
        ax.errorbar(
            x,
            [own[sizes[s]].auc for s in x],
            [own[sizes[s]].spread for s in x],
            color=LINES[place % 8],
            marker=MARKERS[place % 8],
            linestyle=DASHES[place % 8],
            capsize=3,
            label=f"k = {k}",
        )
    ax.set_xticks(np.arange(len(sizes)), ["all" if size is None else f"{size:,}" for size in sizes])
    ax.set_xlabel("images of each class in the bank")
    ax.set_ylabel("AUC (bars: spread over random banks)")
    ax.legend(frameon=False)
    ax.set_title("How large a bank, how many neighbours", loc="left")
    return figure


def sink_figure(analyses: Analyses, family: str, *, least: int = 5) -> Figure:
    """Where a `family` that was held out falls, one of `analyses.sinks`.

    Left: share of each unseen generator that the threshold calls real. Right: where its centroid lies.
    """
    analysis = analyses.sinks[family]
    groups = [group for group in analysis.groups if group.n >= least] or list(analysis.groups)
    figure, axes = panels(1, 2, 11, 2.0 + 0.19 * len(groups), sharey=True)
    left, right = axes[0]
    y = np.arange(len(groups))
    left.barh(y, [group.real_side for group in groups], color=REAL, height=0.72)
    left.hlines(y, [g.low for g in groups], [g.high for g in groups], color=INK, linewidth=1)
    left.axvline(analysis.real_side_real, color=INK, linestyle="--", linewidth=1.2)
    above = {"ha": "center", "va": "bottom", "fontsize": 7.5}
    top = left.get_xaxis_transform()  # x in data, y in shares of the panel: the words stay right above it
    left.text(analysis.real_side_real, 1.01, "real images", color=INK, transform=top, **above)
    left.set_yticks(y, [f"{short(group.name)} ({group.n})" for group in groups], fontsize=7)
    left.invert_yaxis()
    left.set_xlim(0, 1)
    left.set_xlabel("share on the real side of the threshold (90 % interval)")
    tint = [FAKE if group.position >= 0.5 else REAL for group in groups]
    right.hlines(y, 0, [group.position for group in groups], color=PALE, linewidth=1.2)
    right.scatter([group.position for group in groups], y, c=tint, s=22, zorder=3)
    for place, word, colour in ((0.0, "seen real", REAL), (1.0, "seen fakes", FAKE)):
        right.axvline(place, color=colour, linewidth=1.4)
        right.text(place, 1.01, word, color=colour, transform=right.get_xaxis_transform(), **above)
    right.set_xlabel("centroid of the unseen generator between the seen centroids")
    right.tick_params(left=False)
    for ax in (left, right):
        ax.grid(axis="y", visible=False)
    figure.suptitle(
        f"Sink: {analysis.real_side_fake:.0%} of unseen fakes and {analysis.real_side_real:.0%} of unseen "
        f"real images on the real side (sink index {analysis.sink:+.2f})",
        x=0.01,
        ha="left",
        fontsize=10,
        fontweight="bold",
        color=INK,
    )
    return figure
