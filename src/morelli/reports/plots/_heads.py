"""The heat map of heads and generators; matplotlib is loaded only when it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from morelli.errors import UsageError
from morelli.palette import AUC
from morelli.reports._head_figures import place
from morelli.reports.plots._style import said_of_itself


def plot_heads(
    values: npt.ArrayLike,
    heads: Sequence[str],
    generators: Sequence[str],
    path: str | Path,
    *,
    most: int = 40,
) -> Path:
    """Draw AUC (m, g) of heads by generators (see `generator_map`): the `most` best heads, best on top.

    Indigo finds the generator, rose calls its images real; pale is chance.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    auc = np.asarray(values, dtype=np.float64)
    if auc.shape != (len(heads), len(generators)):
        raise UsageError(f"{len(heads)} heads and {len(generators)} generators do not fit {auc.shape}.")
    order = np.argsort(-auc.mean(axis=1), kind="stable")[:most]
    figure = Figure(
        figsize=(2.2 + 0.42 * len(generators), 1.6 + 0.19 * len(order)), layout="constrained", dpi=150
    )
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    scale = LinearSegmentedColormap.from_list("auc", list(AUC))
    reach = max(0.05, float(np.abs(auc - 0.5).max()))
    image = ax.imshow(auc[order], cmap=scale, vmin=0.5 - reach, vmax=0.5 + reach, aspect="auto")
    names = ["block {}, head {}".format(*place(heads[i])) for i in order]
    ax.set_yticks(range(len(order)), names, fontsize=7)
    ax.set_xticks(range(len(generators)), list(generators), rotation=60, ha="right", fontsize=7)
    ax.set_title("AUC of one head's probe on a generator it was not fitted on", loc="left", fontsize=9)
    bar = figure.colorbar(image, ax=ax, shrink=0.6)
    bar.set_label("AUC", fontsize=8)
    path = Path(path)
    figure.savefig(path, metadata=said_of_itself(path.suffix))
    return path
