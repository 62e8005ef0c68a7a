"""Drawings of explanations; matplotlib is loaded only here, and only when something is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.reports.plots._style import FAKE, INK, PALE, output_metadata

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from morelli.explanation import GeneratorExplanation

TITLE: dict[str, Any] = {"loc": "left", "fontsize": 9.5, "color": INK}


def plot_explanation(explanation: GeneratorExplanation, path: str | Path, *, most: int = 14) -> Path:
    """Cosines with their intervals (filled where named), and the shares of the decomposition."""
    e = explanation
    found = e.findings[:most][::-1]
    height = 0.3 * max(len(found), len(e.parts), 4) + 1.5
    figure = _figure(10.5, height)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    for y, f in enumerate(found):
        named = f in e.named
        colour = FAKE if named else PALE
        left.plot(f.interval, [y, y], color=colour, linewidth=2, solid_capstyle="round")
        left.plot(
            f.cosine, y, "o", color=colour if named else "white", markeredgecolor=colour, markersize=6.5
        )
        text = f"{f.effect:+.1f} sd" + (
            "" if f.sources_beyond is None else f"; {f.sources_beyond:.0%} of sources as far"
        )
        left.annotate(text, (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=7, color=INK)
    left.axvline(0, color=INK, linewidth=0.8)
    left.set_yticks(range(len(found)), [_short(f.name) for f in found])
    left.set_xlabel("cosine with the residual (90 % interval)")
    left.set_title(f"{_short(e.first)} against {_short(e.second)}: filled = beyond chance", **TITLE)
    shares = [part.explained for part in e.parts]
    gains = [now - before for now, before in zip(shares, [0.0, *shares], strict=False)]
    names = [_short(part.name) for part in e.parts]
    rows = range(len(names))[::-1]
    right.barh(list(rows), gains, left=[s - g for s, g in zip(shares, gains, strict=True)], color=FAKE)
    right.axvline(e.explained_by_chance, color=INK, linestyle="--", linewidth=1)
    above, frame = (e.explained_by_chance, 1.01), ("data", "axes fraction")
    right.annotate("by chance", above, xycoords=frame, fontsize=7.5, color=INK, ha="center")
    right.set_yticks(list(rows), names)
    right.set_xlim(0, max(0.05, e.explained_by_chance, *shares, 0.05) * 1.15)
    right.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    right.set_xlabel("share of the residual explained")
    for ax in (left, right):
        _style(ax)
    return _write(figure, path)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _write(figure: Figure, path: str | Path) -> Path:
    # `savefig` of a bare Figure uses the Agg canvas: no display, no state of pyplot.
    path = Path(path)
    figure.savefig(path, dpi=130, facecolor="white", metadata=output_metadata(path.suffix))
    return path


def _style(ax: Any) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(PALE)
    ax.tick_params(colors=INK, labelsize=8, color=PALE)
    ax.grid(axis="x", color="#eef1f3", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.xaxis.label.set_size(8.5)


def _short(name: str, most: int = 30) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
