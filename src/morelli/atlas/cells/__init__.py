"""Cells: a collection laid out on a plane, gathered into cells at several levels, once.

`project` places the images, `Grid` decides for good which cell a place belongs to, `Pyramid` sums up what
each cell's glyph shows, for the whole collection once and for a selection whenever asked. Any zoom of a
million images is then a few thousand cells.
"""

from __future__ import annotations

from morelli.atlas.cells._draw import draw_cells
from morelli.atlas.cells._grid import Grid
from morelli.atlas.cells._project import project
from morelli.atlas.cells._pyramid import Pyramid
from morelli.atlas.cells._rows import Rows

__all__ = [
    "Grid",
    "Pyramid",
    "Rows",
    "draw_cells",
    "project",
]
