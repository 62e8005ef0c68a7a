"""The grid: where each place of the map falls, at every level, for good.

A t-SNE or UMAP of images is crowded clouds in much empty plane. Cells of equal size would put thousands of
images in some and none in most; cells of equal content would erase every gap and every cluster. The grid
stretches each axis by a monotone map between the two: (1 - e) times the place itself, empty stretches cut
down, plus e times the share of images before it. Left stays left and above stays above, gaps stay gaps, only
smaller.

The knots are fixed when the grid is fitted, so an image's cell depends on its place and on nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.artefacts.schema import check_schema
from morelli.atlas.cells._files import read_tensors, write_tensors
from morelli.atlas.cells._morton import DEPTH, morton
from morelli.errors import ArtifactError, UsageError

KNOTS = 256
# An empty stretch of an axis keeps at most this share: layouts put a small island far away, and the
# distance says only that it is apart.
GAP = 0.08


@dataclass(frozen=True)
class Grid:
    """Monotone maps of both axes, and the codes of the cells behind them.

    `x` (2, m) holds rising places on the layout's x axis and, below, where each lies on the grid, both from
    0 to 1 and linear in between; `y` (2, m') the same for the other axis. `equalise` is the e of the
    module's text.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    equalise: float

    @classmethod
    def fit(cls, xy: ArrayLike, *, equalise: float = 0.75) -> Grid:
        """Fit the maps to a layout.

        Args:
            xy: (n, 2) places in [0, 1]².
            equalise: 0 only shortens gaps, 1 gives every column and every row of cells the same number of
                images. The default was chosen by looking at overviews (docs/cells.md).

        >>> grid = Grid.fit([[0.1, 0.2], [0.12, 0.9], [0.9, 0.95]], equalise=0.5)
        >>> bool((np.diff(grid.spread([[0.1, 0.2], [0.12, 0.9], [0.9, 0.95]]), axis=0) > 0).all())
        True
        """
        places = _places(xy)
        if not 0 <= equalise <= 1:
            raise UsageError(
                f"equalise is {equalise}; give a number from 0 (as laid out) to 1 (equal counts)"
            )
        if not len(places):
            raise UsageError("a grid needs at least one image")
        return cls(_warp(places[:, 0], equalise), _warp(places[:, 1], equalise), float(equalise))

    def spread(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Places (n, 2) on the grid, in [0, 1]², of places (n, 2) of the layout."""
        return _mapped(_places(xy), self.x, self.y)

    def codes(self, xy: ArrayLike) -> NDArray[np.uint32]:
        """Morton codes (n,) of places (n, 2) of the layout, 16 bits an axis."""
        side = 1 << DEPTH
        cells = np.minimum(self.spread(xy) * side, side - 1).astype(np.uint32)
        return morton(cells[:, 0], cells[:, 1])

    def save(self, path: Path | str) -> None:
        """Write one safetensors file; the same grid gives the same bytes."""
        about = {"format": "morelli-grid", "version": 1, "equalise": self.equalise}
        write_tensors(Path(path), {"x": self.x, "y": self.y}, about)

    @classmethod
    def load(cls, path: Path | str) -> Grid:
        """Read what `save` wrote.

        Raises:
            ArtifactError: missing, damaged, or no grid.
        """
        tensors, about = read_tensors(Path(path))
        if about.get("format") != "morelli-grid" or about.get("version") != 1:
            raise ArtifactError(f"{path} is no grid of version 1; build the atlas again")
        check_schema(about, {"equalise": float}, path)
        try:
            grid = cls(tensors["x"], tensors["y"], float(about["equalise"]))
        except KeyError as error:
            raise ArtifactError(f"{path} lacks {error}; build the atlas again") from error
        for warp in (grid.x, grid.y):
            if warp.ndim != 2 or len(warp) != 2 or not (np.diff(warp) > 0).all():
                raise ArtifactError(f"{path} holds knots that do not rise; build the atlas again")
        return grid


def _places(xy: ArrayLike) -> NDArray[np.float64]:
    places = np.asarray(xy, np.float64).reshape(-1, 2)
    if not ((places >= 0) & (places <= 1)).all():
        raise UsageError("places on the map must lie in [0, 1]²; take them from project() or Layout.place()")
    return places


def _mapped(
    places: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.stack([np.interp(places[:, 0], *x), np.interp(places[:, 1], *y)], axis=1)


def _warp(places: NDArray[np.float64], equalise: float) -> NDArray[np.float64]:
    """(2, m): rising places of one axis (n,), and where they lie on the grid."""
    at = np.linspace(0, 1, KNOTS + 1)
    quantiles = np.quantile(places, at)
    inside = (quantiles > 0) & (quantiles < 1)
    # Without the ends the first and the last image would be the rim of the grid, and later ones have no room.
    rising = np.concatenate([[0.0], quantiles[inside], [1.0]])
    share = np.concatenate([[0.0], at[inside], [1.0]])
    rising, first = np.unique(rising, return_index=True)
    last = np.append(first[1:], len(share)) - 1
    # Several quantiles at one place (copies of one image) would be a step: that place gets their middle.
    middle = (share[first] + share[last]) / 2
    middle[0], middle[-1] = 0.0, 1.0
    width = np.diff(rising)
    shortened = np.where(width > GAP, GAP, width)
    natural = np.concatenate([[0.0], np.cumsum(shortened)]) / shortened.sum()
    natural[-1] = 1.0
    return np.stack([rising, (1 - equalise) * natural + equalise * middle])
