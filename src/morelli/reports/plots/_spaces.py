"""Pictures of feature space and of frequency space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from morelli.errors import UsageError
from morelli.reports.plots._style import FAKE, INK, LINES, MARKERS, PALE, REAL, panels, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from morelli.audit import Spectrum
    from morelli.evaluation import FeatureMap
    from morelli.features import Features


def spectra_figure(spectra: Sequence[Spectrum], columns: int = 6) -> Figure:
    """The average high-pass spectra in a grid, logarithmic, on one grey scale; real groups framed blue."""
    shown = [spectrum for spectrum in spectra if spectrum.n]
    if not shown:
        raise UsageError("No spectrum to draw: no image was as large as the crop.")
    count = -(-len(shown) // columns)
    figure, axes = panels(
        count, min(columns, len(shown)), 1.95 * min(columns, len(shown)), 2.25 * count + 0.4
    )
    pictures = [spectrum.log_magnitude() for spectrum in shown]
    low, high = np.quantile(np.concatenate([p.ravel()[::7] for p in pictures]), [0.02, 0.998])
    for ax, spectrum, picture in zip(axes.flat, shown, pictures, strict=False):
        ax.imshow(picture, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        colour = {0: REAL, 1: FAKE}.get(-1 if spectrum.label is None else spectrum.label, INK)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.grid(visible=False)
        for spine in ax.spines.values():
            spine.set_visible(True)
            spine.set_color(colour)
            spine.set_linewidth(2.5)
        ax.set_title(f"{short(spectrum.name)}\nn = {spectrum.n}", fontsize=7.5, color=colour, pad=3)
    for ax in axes.flat[len(shown) :]:
        ax.set_visible(False)
    figure.suptitle(
        "Average high-pass spectra (log; centre = low frequency)",
        x=0.01,
        ha="left",
        fontweight="bold",
        color=INK,
    )
    return figure


def maps_figure(
    maps: Sequence[FeatureMap], features: Features, *, colour: str = "label", columns: int = 4
) -> Figure:
    """Feature maps in a grid; `colour` is "label", or a column whose commonest values are told apart."""
    labels = features.labels
    columns = min(columns, len(maps))
    count = -(-len(maps) // columns)
    figure, axes = panels(count, columns, 3.1 * columns, 3.25 * count + 0.8)
    for ax, one in zip(axes.flat, maps, strict=False):
        y = labels[one.rows]
        size = float(np.clip(3000 / max(1, len(one.rows)), 3, 18))
        if colour == "label":
            # Drawn mixed, so that neither class lies on top of the other.
            mixed = np.random.default_rng(0).permutation(len(y))
            tint = np.where(y[mixed] == 1, FAKE, REAL)
            ax.scatter(*one.xy[mixed].T, s=size, c=tint, alpha=0.65, linewidths=0)
        else:
            names = np.asarray([str(v or "–") for v in features.column(colour)])[one.rows]
            ax.scatter(*one.xy.T, s=size, c=PALE, alpha=0.5, linewidths=0)
            known, counts = np.unique(names[y == 1], return_counts=True)
            for k, name in enumerate(known[np.argsort(-counts, kind="stable")][:8]):
                own = (names == name) & (y == 1)
                ax.scatter(
                    *one.xy[own].T,
                    s=size * 1.6,
                    color=LINES[k],
                    marker=MARKERS[k],
                    linewidths=0,
                    label=short(name),
                )
        ax.set_xticks([])
        ax.set_yticks([])
        ax.grid(visible=False)
        ax.set_title(f"{one.kind}\nneighbours of other lineages agree: {one.agreement:.2f}", fontsize=8)
    for ax in axes.flat[len(maps) :]:
        ax.set_visible(False)
    if colour == "label":
        for shade, word in ((REAL, "real"), (FAKE, "generated")):
            axes.flat[0].scatter([], [], s=30, color=shade, label=word)
    handles, words = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, words, loc="outside lower center", ncols=min(8, max(1, len(words))), frameon=False)
    title = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA"}[maps[0].method]
    figure.suptitle(f"Feature space ({title})", x=0.01, ha="left", fontweight="bold", color=INK)
    return figure
