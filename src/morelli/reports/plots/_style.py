"""The house style of plots: colours, panels, and how figures are written.

Real and generated images have the colours of `morelli.palette` everywhere. Lines of one panel have other
hues, and differ in marker and dash too.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli import palette
from morelli.artefacts import replacing_file
from morelli.artefacts.outputs import MARK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REAL, FAKE, INK, PALE = palette.REAL, palette.GENERATED, palette.INK, palette.PALE
LINES = (INK, *palette.SERIES[:7])
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 2)))


def save_figure(figure: Figure, path: Path | str, dpi: int = 130) -> Path:
    """Write the figure; the suffix chooses the format (.png, .svg, .pdf)."""
    path = Path(path)
    with replacing_file(path) as file:
        form = path.suffix.removeprefix(".") or "png"
        figure.savefig(file, format=form, dpi=dpi, facecolor="white", metadata=output_metadata(form))
    return path


def output_metadata(form: str) -> dict[str, str] | None:
    """The metadata of a figure's file, by which a later run knows that it is no picture to judge."""
    return {"Software": MARK} if form.lower().removeprefix(".") == "png" else None


def figure_png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as PNG bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata=output_metadata("png"))
    return buffer.getvalue()


def panels(
    rows: int, columns: int, width: float, height: float, *, sharey: bool = False
) -> tuple[Figure, Any]:
    """A figure and its axes (rows, columns) in the house style; no global state of pyplot is touched."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(PALE)
        ax.tick_params(colors=INK, labelsize=8, color=PALE)
        ax.grid(color="#eef1f3", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.title.set_fontsize(10)
        ax.title.set_color(INK)
        ax.xaxis.label.set_size(8.5)
        ax.yaxis.label.set_size(8.5)
    return figure, axes


def short(name: str, most: int = 26) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
