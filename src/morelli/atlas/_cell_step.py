"""The layout of an atlas and its cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import Collection, image_rows
from morelli.atlas._held_out import HeldOut
from morelli.atlas._options import AtlasOptions

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.atlas.cells import Grid
    from morelli.atlas.cells._layout import Layout
    from morelli.atlas.distiller import DistilledMap
    from morelli.features import Features


def lay_out(impacts: NDArray[Any], options: AtlasOptions) -> tuple[Layout, Grid]:
    """Project held-out impacts (n, K) and fit the grid of cells.

    Values of the full fit would draw two crowds wherever it has learnt its own images by heart.
    """
    from morelli.atlas.cells import Grid, project

    layout = project(impacts, options.projection, seed=options.seed)
    return layout, Grid.fit(layout.xy)


def placed_rows(
    features: Features,
    distilled: DistilledMap,
    held: HeldOut,
    *,
    prototypes: NDArray[np.int16],
    grid: Grid,
    xy: NDArray[Any],
) -> pa.Table:
    """Rows of `images.lance` for the images of `features`, at their places xy (n, 2) of the layout."""
    values = distilled.values(features.matrix(features.kinds[0]))
    return image_rows(
        features.meta,
        values=values.astype(np.float32),
        held_impacts=held.impacts.astype(np.float32),
        held_bias=held.bias.astype(np.float32),
        xy=grid.spread(xy).astype(np.float32),
        code=grid.codes(xy).astype(np.uint64),
        prototypes=prototypes,
    )


def write_cells(folder: Path, collection: Collection, copies: NDArray[Any]) -> int:
    """Sum up and save the cells into a new folder; returns the finest level."""
    from morelli.atlas.cells import Pyramid, Rows
    from morelli.atlas.cells._rows import Scoring

    rows = Rows.of(
        collection.labels,
        collection.held_impacts,
        collection.held_logits,
        copies=copies,
    )
    pyramid = Pyramid.build(collection.codes, rows, scoring=Scoring(collection.distilled.calibration))
    pyramid.save(folder)
    return pyramid.levels
