"""A level of the overview as a picture, for pages and exports: every cell a glyph, with the legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from morelli import palette
from morelli.atlas.cells._glyphs import (
    EMPTY,
    INK,
    MIDDLE,
    PAPER,
    TEXTURED,
    Cells,
    glyph_order,
    glyphs,
    snake,
    tones,
)
from morelli.errors import UsageError
from morelli.palette import rgb

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

FAINT, REAL_TEXT, FAKE_TEXT = rgb(palette.FAINT), rgb(palette.REAL_TEXT), rgb(palette.GENERATED_TEXT)
LEGEND, PAD = 350, 24


def draw_cells(
    table: pa.Table,
    level: int,
    *,
    size: int = 28,
    head_weights: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    scale: float | None = None,
    title: str = "",
) -> Image.Image:
    """Draw a level's cells and their legend.

    Args:
        table: of the level, from `Pyramid.table` or `Pyramid.aggregate`; cells of which nothing is selected
            are drawn grey.
        level: which.
        size: pixels along a cell's side, from 6 on; below 18 a cell is one square, its tone the mean
            probability and its size the number of images.
        head_weights: (K,) by which the dimensions are put in order, from the one that weighs most for
            real to the one that weighs most for generated; the mean impact over all cells if None.
        names: (K,) for the legend, which shows their numbers alone if None.
        scale: the impact of the deepest tone; the 98th percentile of all cells' if None.
        title: above the picture.

    Returns:
        An RGB picture.
    """
    from PIL import Image, ImageDraw

    if size < 6:
        raise UsageError(f"a cell of {size} pixels is too small to draw; give at least 6")
    cells = Cells.of(table)
    live = cells.impact[cells.shown > 0]
    if scale is None:
        scale = float(np.quantile(np.abs(live), 0.98)) if live.size else 1.0
    scale = scale or 1.0
    order = glyph_order(cells, head_weights)
    side, head = (1 << level) * size, 40 if title else 0
    board = np.full((side, side, 3), EMPTY, np.uint8)
    places = zip(cells.column("ix") * size, cells.column("iy") * size, strict=True)
    for glyph, (x, y) in zip(glyphs(cells, order, scale, size), places, strict=True):
        board[y : y + size, x : x + size] = glyph

    legend = _legend(cells, order, scale, names, size >= TEXTURED)
    sheet = Image.new("RGB", (side + 3 * PAD + LEGEND, max(side, legend.height) + 2 * PAD + head), PAPER)
    sheet.paste(Image.fromarray(board), (PAD, PAD + head))
    sheet.paste(legend, (side + 2 * PAD, PAD + head))
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((PAD - 1, PAD + head - 1, PAD + side, PAD + head + side), outline=(210, 212, 212))
    if title:
        draw.text((PAD, PAD - 4), title, fill=INK, font=_font(22))
    return sheet


def _legend(
    cells: Cells, order: NDArray[np.int64], scale: float, names: Sequence[str] | None, textured: bool
) -> Image.Image:
    """A live example with its parts named, the scale, and which square is which dimension."""
    from PIL import Image, ImageDraw

    height = 300
    if textured:
        height += 26 * len(snake(len(order))) + 16 * (0 if names is None else len(order))
    panel = Image.new("RGB", (LEGEND, height), PAPER)
    draw, small = ImageDraw.Draw(panel), _font(13)
    n, filled = int(cells.shown.sum()), int((cells.shown > 0).sum())
    draw.text((0, 0), f"{n:,} images in {filled:,} cells", fill=INK, font=_font(15))
    y = 30
    if textured and filled:
        # The example: of the cells with an error, if any, the fullest.
        one = cells.one(int(np.lexsort((cells.shown, cells.wrong > 0))[-1]))
        panel.paste(Image.fromarray(glyphs(one, order, scale, 132)[0]), (0, y))
        real, fake = int(one.column("real")[0]), int(one.column("fake")[0])
        words = [
            (4, "share of wrong verdicts", f"{one.wrong[0]} of {one.shown[0]} here"),
            (50, "mean impact of each dimension", "one place for each in all cells"),
            (96, "class mix", f"{real} real, {fake} generated here"),
        ]
        for down, text, more in words:
            draw.text((142, y + down), text, fill=INK, font=small)
            draw.text((142, y + down + 17), more, fill=FAINT, font=small)
        y += 150
    elif filled:
        draw.text((0, y), "tone: mean probability of generated", fill=INK, font=small)
        draw.text((0, y + 20), "size of the square: images, logarithmic", fill=INK, font=small)
        y += 50
    panel.paste(Image.fromarray(tones(np.linspace(-1, 1, 240)[None].repeat(14, axis=0))), (0, y))
    ends = (f"-{scale:.2g}", "0", f"+{scale:.2g}") if textured else ("0", "0.5", "1")
    for text, place in zip(ends, (0.0, 0.5, 1.0), strict=True):
        width = draw.textlength(text, font=small)
        draw.text(((240 - width) * place, y + 17), text, fill=FAINT, font=small)
    draw.text((0, y + 34), "speaks for real", fill=REAL_TEXT, font=small)
    width = draw.textlength("speaks for generated", font=small)
    draw.text((240 - width, y + 34), "speaks for generated", fill=FAKE_TEXT, font=small)
    if textured:
        _order_key(draw, y + 64, order, names)
    return panel


def _order_key(
    draw: ImageDraw.ImageDraw, y: int, order: NDArray[np.int64], names: Sequence[str] | None
) -> None:
    """The texture with numbers in its squares, and the names of the numbers below it."""
    small = _font(12)
    step = 26
    for (r, c), place in np.ndenumerate(snake(len(order))):
        if place < 0:
            continue
        box = (c * step, y + r * step, (c + 1) * step - 2, y + (r + 1) * step - 2)
        draw.rectangle(box, fill=MIDDLE)
        text = str(int(order[place]) + 1)
        width = draw.textlength(text, font=small)
        draw.text((box[0] + (step - 2 - width) / 2, box[1] + 5), text, fill=INK, font=small)
    if names is None:
        return
    top = y + step * snake(len(order)).shape[0] + 8
    for line, k in enumerate(order):
        text = f"{int(k) + 1:2d}  {names[int(k)]}"
        while draw.textlength(text, font=small) > 320:
            text = text[:-2] + "…"
        draw.text((0, top + 16 * line), text, fill=INK, font=small)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)
