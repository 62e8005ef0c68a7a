"""Pictures of sweeps and ablations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from morelli.errors import UsageError
from morelli.reports.plots._style import DASHES, FAKE, INK, LINES, MARKERS, PALE, REAL, panels, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from morelli.evaluation import Analyses, CurvePoint

_AXES = {
    "jpeg": "JPEG quality",
    "webp": "WebP quality",
    "blur": "Gaussian blur, σ in pixels",
    "downup": "Scaled down and back up",
    "resize": "Scaled by",
    "crop": "Random crop, share of each side",
    "centercrop": "Centre crop, share of each side",
    "noise": "Gaussian noise, grey levels",
    "delivery": "Ways of delivery",
}
_VALUES = {
    "auc": "AUC",
    "ap": "AP (base rate ½)",
    "recall": "found at logit 0",
    "recall_fixed": "found at 5 % false positives (clean)",
    "fpr": "false positives at logit 0",
    "fpr_fixed": "false positives, threshold fixed when clean",
}


def robustness_figure(points: Sequence[CurvePoint], *, value: str = "auc", lines: str = "family") -> Figure:
    """One panel an axis of perturbation, strength growing to the right.

    `value`: "auc", "ap", "recall", "recall_fixed", "fpr" or "fpr_fixed". `lines`: one for each "family" (of
    the first detector) or for each "detector" (over all families). Each panel begins with the clean image.
    """
    if lines not in {"family", "detector"}:
        raise UsageError("lines must be 'family' or 'detector'.")
    if lines == "family":
        shown = [point for point in points if point.detector == points[0].detector]
    else:
        shown = [point for point in points if point.family == "all"]
    names = list(dict.fromkeys(getattr(point, lines) for point in shown))
    axes_names = [name for name in dict.fromkeys(point.axis for point in shown) if name]
    named = [n for n in axes_names if all(p.strength is not None for p in shown if p.axis == n)]
    other = list(dict.fromkeys(p.perturbation for p in shown if p.axis and p.axis not in named))
    kinds = [*named, *(["delivery"] if other else [])]
    columns = min(3, max(1, len(kinds)))
    figure, axes = panels(
        -(-max(1, len(kinds)) // columns), columns, 4.2 * columns, 3.1 * -(-len(kinds) // columns) + 0.9
    )
    for ax, panel in zip(axes.flat, kinds, strict=False):
        specs = (
            other
            if panel == "delivery" and panel not in named
            else list(dict.fromkeys(p.perturbation for p in sorted(shown, key=_mildness) if p.axis == panel))
        )
        ticks = ["clean", *(_tick(spec, panel) for spec in specs)]
        for k, name in enumerate(names):
            own = {p.perturbation: p for p in shown if getattr(p, lines) == name}
            chain = [own.get(spec) for spec in ["", *specs]]
            x = [place for place, p in enumerate(chain) if p is not None]
            y = [_value(p, value) for p in chain if p is not None]
            colour = INK if name == "all" else LINES[k % len(LINES)]
            ax.plot(
                x,
                y,
                color=colour,
                marker=MARKERS[k % 8],
                markersize=4.5,
                linestyle="none" if panel == "delivery" else DASHES[k % 8],
                linewidth=2.4 if name == "all" else 1.5,
                label=name,
            )
            if value == "auc" and name == "all":
                low, high = np.asarray([(p.auc.low, p.auc.high) for p in chain if p is not None]).T
                if panel == "delivery":  # no order, so nothing between the places
                    ax.vlines(x, low, high, color=INK, alpha=0.35, linewidth=4)
                else:
                    ax.fill_between(x, low, high, color=INK, alpha=0.1, linewidth=0)
        ax.set_xticks(np.arange(len(ticks)), ticks, rotation=25 if panel == "delivery" else 0)
        ax.set_title(_AXES.get(panel, panel))
        ax.set_ylabel(_VALUES.get(value, value))
        if value in {"auc", "ap"}:
            ax.axhline(0.5, color=PALE, linewidth=1)
    seen = [_value(point, value) for point in shown]
    if value == "auc":  # the band of all generators too
        seen += [p.auc.low for p in shown if getattr(p, lines) == "all" and p.auc.low is not None]
    for ax in axes.flat[: len(kinds)]:  # one scale, so that panels compare
        ax.set_ylim(min(0.45, *seen) - 0.03 if value in {"auc", "ap"} else -0.03, 1.03)
    for ax in axes.flat[len(kinds) :]:
        ax.set_visible(False)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(names)), frameon=False)
    who = f" – {shown[0].detector}" if lines == "family" and shown else ""
    figure.suptitle(f"Robustness{who}", x=0.01, ha="left", fontweight="bold", color=INK)
    return figure


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


def _value(point: CurvePoint, value: str) -> float:
    return point.auc.value if value == "auc" else float(getattr(point, value))


def _mildness(point: CurvePoint) -> float:
    """Sorts mild before strong: quality and scale fall, blur and noise grow."""
    strength = point.strength or 0.0
    return strength if point.axis in {"blur", "noise"} else -strength


def _tick(spec: str, panel: str) -> str:
    return spec.partition(":")[2] if spec.startswith(f"{panel}:") else spec.replace("social:", "")
