"""Cells: a collection laid out on a plane, gathered into cells at several levels, once.

`project` places the images, `Grid` decides for good which cell a place belongs to, `Pyramid` sums up what
each cell's glyph shows, for the whole collection once and for a selection whenever asked. Any zoom of a
million images is then a few thousand cells.
"""

from __future__ import annotations

from morelli.atlas.cells._draw import draw_cells
from morelli.atlas.cells._grid import Grid
from morelli.atlas.cells._labels import Region, regions
from morelli.atlas.cells._layout import Layout, Method
from morelli.atlas.cells._morton import DEPTH, ancestor, columns_and_rows, morton
from morelli.atlas.cells._part import Part
from morelli.atlas.cells._polygon import rows_in_polygon, rows_in_rect
from morelli.atlas.cells._project import project
from morelli.atlas.cells._pyramid import TILE, Pyramid, finest_level
from morelli.atlas.cells._rows import Rows, Scoring

__all__ = [
    "DEPTH",
    "TILE",
    "Grid",
    "Layout",
    "Method",
    "Part",
    "Pyramid",
    "Region",
    "Rows",
    "Scoring",
    "ancestor",
    "columns_and_rows",
    "draw_cells",
    "finest_level",
    "morton",
    "project",
    "regions",
    "rows_in_polygon",
    "rows_in_rect",
]
