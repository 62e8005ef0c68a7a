"""The glyph of a cell, as pixels: what `draw_cells` puts side by side and its legend explains.

Above 18 pixels it is the browser app's: a texture of the dimensions' mean impacts in one order for all cells,
a bar of the class mix below, a dot for the share of wrong verdicts. Below, one square.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from morelli import palette
from morelli.errors import UsageError
from morelli.palette import rgb

# The two ends differ in lightness from the pale middle by about the same, so that the size of an impact reads
# without its hue.
REAL, MIDDLE, FAKE = rgb(palette.REAL), rgb(palette.MIDDLE), rgb(palette.GENERATED)
INK, PAPER, EMPTY = rgb(palette.INK), (255, 255, 255), (247, 247, 245)
UNKNOWN, GREY = (176, 180, 184), (222, 222, 220)
TEXTURED = 18
_GAP = 2


@dataclass(frozen=True)
class Cells:
    """What is drawn of m cells: `shown` (m,) images each, `impact` (m, K) means, and a level's `table`.

    Of cells with nothing shown only a grey place remains.
    """

    table: pa.Table
    shown: NDArray[np.int64]
    impact: NDArray[np.float64]

    @classmethod
    def of(cls, table: pa.Table) -> Cells:
        """Of a table of `Pyramid.table` or `Pyramid.aggregate`."""
        shown = table["selected" if "selected" in table.column_names else "count"].to_numpy()
        column = table["impact"].combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        impact = np.nan_to_num(np.asarray(flat, np.float64).reshape(-1, column.type.list_size))
        return cls(table, np.asarray(shown, np.int64), impact)

    @property
    def wrong(self) -> NDArray[np.int64]:
        """Wrong verdicts (m,)."""
        return self.column("fp") + self.column("fn")

    def column(self, name: str) -> NDArray[np.int64]:
        """A column of counts (m,)."""
        return np.asarray(self.table[name].to_numpy(), np.int64)

    def one(self, cell: int) -> Cells:
        """A single cell."""
        part = slice(cell, cell + 1)
        return Cells(self.table.slice(cell, 1), self.shown[part], self.impact[part])


def glyph_order(cells: Cells, weights: ArrayLike | None = None) -> NDArray[np.int64]:
    """Dimensions (K,) from the strongest for real to the strongest for generated.

    By the head's `weights` (K,), or by the mean impact over all images shown.
    """
    k = cells.impact.shape[1]
    by = cells.shown @ cells.impact if weights is None else np.asarray(weights, np.float64)
    if by.shape != (k,):
        raise UsageError(f"{by.shape} head weights for {k} dimensions")
    return np.argsort(by, kind="stable")


def snake(k: int) -> NDArray[np.int64]:
    """(rows, columns) of the texture: which place in the order each little square has, -1 beyond k.

    Along a snake, so that neighbours in the order touch.

    >>> snake(16).tolist()
    [[0, 1, 2, 3], [7, 6, 5, 4], [8, 9, 10, 11], [15, 14, 13, 12]]
    """
    across = int(np.ceil(np.sqrt(k)))
    down = -(-k // across)
    places = np.arange(down * across).reshape(down, across)
    places[1::2] = places[1::2, ::-1]
    return np.where(places < k, places, -1)


def tones(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colours (…, 3) of values (…): -1 and below real's, 0 pale, 1 and above generated's."""
    v = np.nan_to_num(np.clip(values, -1, 1))[..., None]
    # A gentle power lifts small impacts off the middle, where most of them are.
    strength = np.abs(v) ** 0.8
    ends = np.where(v < 0, np.array(REAL), np.array(FAKE))
    return np.asarray(np.round(np.array(MIDDLE) * (1 - strength) + ends * strength), np.uint8)


def glyphs(cells: Cells, order: NDArray[np.int64], scale: float, size: int) -> NDArray[np.uint8]:
    """Pictures (m, size, size, 3) of cells, dimensions in `order`, an impact of `scale` the deepest tone."""
    if size < TEXTURED:
        return _squares(cells, size)
    texture = snake(len(order))
    rows, columns = texture.shape
    bar = max(2, size // 12)
    tall = np.linspace(0, size - _GAP - bar - 1, rows + 1).round().astype(int)
    wide = np.linspace(0, size - _GAP, columns + 1).round().astype(int)
    pictures = np.full((len(cells.shown), size, size, 3), EMPTY, np.uint8)
    colours = tones(cells.impact[:, order] / scale)
    colours[cells.shown == 0] = GREY
    for (r, c), place in np.ndenumerate(texture):
        if place >= 0:
            pictures[:, tall[r] : tall[r + 1], wide[c] : wide[c + 1]] = colours[:, place, None, None]
    pictures[:, size - _GAP - bar : size - _GAP, : wide[-1]] = _mix(cells, int(wide[-1]))[:, None]
    _dot(pictures, cells, size)
    return pictures


def _squares(cells: Cells, size: int) -> NDArray[np.uint8]:
    pictures = np.full((len(cells.shown), size, size, 3), EMPTY, np.uint8)
    empty = cells.shown == 0
    tone = tones(2 * np.asarray(cells.table["probability"].to_numpy(), np.float64) - 1)
    tone[empty] = GREY
    count = np.where(empty, cells.column("count"), cells.shown)
    most = np.log1p(count.max()) if len(count) else 1.0
    sides = np.maximum(2, np.round((size - 1) * (0.35 + 0.65 * np.log1p(count) / most))).astype(int)
    for picture, colour, side in zip(pictures, tone, sides, strict=True):
        low = (size - side) // 2
        picture[low : low + side, low : low + side] = colour
    return pictures


def _mix(cells: Cells, wide: int) -> NDArray[np.uint8]:
    """Bars (m, wide, 3): real, generated, unknown."""
    count = np.maximum(cells.shown, 1)
    real = np.round(wide * cells.column("real") / count)[:, None]
    known = np.round(wide * (cells.column("real") + cells.column("fake")) / count)[:, None]
    at = np.arange(wide)
    kind = (at >= real).astype(int) + (at >= known)
    colour = np.array([REAL, FAKE, UNKNOWN], np.uint8)[kind]
    colour[cells.shown == 0] = GREY
    return np.asarray(colour, np.uint8)


def _dot(pictures: NDArray[np.uint8], cells: Cells, size: int) -> None:
    """A dark disc on a light rim in the upper right corner, its area the share of wrong verdicts."""
    share = cells.wrong / np.maximum(cells.shown, 1)
    largest = size * 0.22
    y, x = np.mgrid[:size, :size] + 0.5
    distance = np.hypot(x - (size - _GAP - largest), y - largest)
    radius = np.where(share > 0, np.maximum(largest * np.sqrt(share), 1.2), -9)[:, None, None]
    pictures[distance < radius + 1.2] = PAPER
    pictures[distance < radius] = INK
