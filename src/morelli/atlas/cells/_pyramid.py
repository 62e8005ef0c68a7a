"""The pyramid: a collection's cells at every level, summed up once, and again for any selection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from morelli.atlas.cells._exemplars import EXEMPLARS, exemplars, standardised_values
from morelli.atlas.cells._morton import DEPTH, ancestor, morton
from morelli.atlas.cells._part import Part
from morelli.atlas.cells._pyramid_files import read_pyramid, write_pyramid
from morelli.atlas.cells._rows import Rows, Scored, Scoring
from morelli.atlas.cells._sums import starts_of, sums_of
from morelli.atlas.cells._tables import cell_table, refilled
from morelli.errors import UsageError

TILE = 32


@dataclass(frozen=True)
class Pyramid:
    """Cells of the levels 0 (one cell) to `levels` (2^levels × 2^levels places, as far as there are images).

    `order` (n,) int32 holds the images' row numbers by Morton code and, within a code, by number; `codes`
    (n,) uint32 and `rows` are in that order. `tables` has one Arrow table per level, its cells in Morton
    order; see `cell_table` for the columns.
    """

    order: NDArray[np.int32]
    codes: NDArray[np.uint32]
    rows: Rows
    scoring: Scoring
    tables: tuple[pa.Table, ...]
    _rescored: dict[tuple[int, ...], Scored] = field(default_factory=dict, repr=False, compare=False)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)  # a server asks from several threads

    @classmethod
    def build(
        cls,
        codes: ArrayLike,
        rows: Rows,
        *,
        scoring: Scoring | None = None,
        levels: int | None = None,
    ) -> Pyramid:
        """Sum up all cells.

        Args:
            codes: (n,) Morton codes of the images, from `Grid.codes`.
            rows: their columns, in the same order.
            scoring: how a probability and an error follow from a logit.
            levels: the finest level, 1 to 12; as deep as `finest_level` says if None.

        Raises:
            UsageError: no images, or codes and rows of different length.
        """
        code = np.asarray(codes, np.uint32)
        if code.ndim != 1 or len(code) != len(rows) or not len(code):
            raise UsageError(f"{len(rows)} rows with codes of the shape {code.shape}; give each row its code")
        depth = finest_level(code) if levels is None else levels
        if not 1 <= depth <= 12:
            raise UsageError(f"levels is {depth}; a pyramid has 1 to 12")
        scoring = scoring or Scoring()
        order = np.argsort(code, kind="stable").astype(np.int32)
        code, rows = code[order], rows.take(order)
        scored = Scored.of(rows, scoring)
        values = standardised_values(rows.impacts if rows.values is None else rows.values)
        finest = ancestor(code, depth)
        bounds = np.append(starts_of(finest), len(code))
        sums = sums_of(finest[bounds[:-1]], bounds, scored)
        tables: list[pa.Table] = []
        for level in range(depth, -1, -1):
            first = starts_of(ancestor(code, level))
            at, offsets = exemplars(values, first, rows.copies)
            tables.append(cell_table(level, sums, first, len(code), (order[at], offsets)))
            sums = sums.coarser()
        return cls(order, code, rows, scoring, tuple(tables[::-1]), {(): scored})

    def extended(self, codes: ArrayLike, rows: Rows, *, levels: int | None = None) -> Pyramid:
        """The pyramid with further images behind the others: every table again, every old code as it was."""
        back = np.empty(len(self), np.int64)
        back[self.order] = np.arange(len(self))
        every = np.concatenate([self.codes[back], np.asarray(codes, np.uint32)])
        return Pyramid.build(
            every,
            self.rows.take(back).concat(rows),
            scoring=self.scoring,
            levels=max(self.levels, finest_level(every)) if levels is None else levels,
        )

    def save(self, folder: Path | str) -> None:
        """Write the tables and the images' columns into a folder; the same pyramid gives the same bytes.

        `cells.json` is written last: a folder without it is half a pyramid.
        """
        write_pyramid(
            Path(folder), self.order, self.codes, self.rows, scoring=self.scoring, tables=self.tables
        )

    @classmethod
    def load(cls, folder: Path | str) -> Pyramid:
        """Read what `save` wrote, memory-mapped.

        Raises:
            ArtifactError: missing, damaged, or no pyramid.
        """
        return cls(*read_pyramid(Path(folder)))

    def __len__(self) -> int:
        return len(self.order)

    @property
    def levels(self) -> int:
        """The finest level."""
        return len(self.tables) - 1

    def table(self, level: int) -> pa.Table:
        """All cells of a level that hold images.

        Raises:
            UsageError: no such level.
        """
        if not 0 <= level <= self.levels:
            raise UsageError(f"level {level} of an atlas that has the levels 0 to {self.levels}")
        return self.tables[level]

    def tile(
        self, level: int, tx: int, ty: int, *, size: int = TILE, table: pa.Table | None = None
    ) -> pa.Table:
        """The cells of one square tile, without copying: ix from tx·size on, iy from ty·size on.

        Args:
            level: whose cells.
            tx: column of the tile, from 0.
            ty: row of the tile.
            size: cells along its side, a power of two.
            table: what `aggregate` returned for this level; the whole collection's if None.

        Raises:
            UsageError: no such tile, or a size that is no power of two.
        """
        whole = self.table(level) if table is None else table
        low, high = self._tile(level, tx, ty, size)
        return whole.slice(low, high - low)

    def cells_of(self, level: int) -> NDArray[np.uint32]:
        """Each image's cell (n,) at a level, as iy·2^level + ix, by row number."""
        self.table(level)
        number = self.table(level)["cell"].to_numpy()
        result = np.empty(len(self), np.uint32)
        result[self.order] = np.repeat(number, self._counts(level))
        return result

    def rows_in_cells(self, level: int, cells: ArrayLike) -> NDArray[np.int64]:
        """Row numbers, rising, of the images in cells iy·2^level + ix of a level; empty cells give none."""
        self.table(level)  # which refuses a level that there is none of
        wanted = np.unique(np.asarray(cells, np.int64))
        side = 1 << level
        if len(wanted) and not (wanted[0] >= 0 and wanted[-1] < side * side):
            raise UsageError(f"cells of level {level} are numbered from 0 to {side * side - 1}")
        keys = np.sort(morton(wanted % side, wanted // side))
        low = np.searchsorted(self.codes, keys.astype(np.uint64) << np.uint64(2 * (DEPTH - level)))
        high = np.searchsorted(self.codes, (keys.astype(np.uint64) + 1) << np.uint64(2 * (DEPTH - level)))
        if not len(keys):
            return np.zeros(0, np.int64)
        parts = [self.order[a:b] for a, b in zip(low, high, strict=True)]
        return np.sort(np.concatenate(parts)).astype(np.int64)

    def aggregate(
        self,
        level: int,
        selection: ArrayLike | None = None,
        *,
        off: Sequence[int] = (),
        tile: tuple[int, int] | None = None,
        size: int = TILE,
    ) -> pa.Table:
        """A level's table for a selection, or with dimensions switched off, or both.

        Args:
            level: which.
            selection: (n,) mask by row number, or row numbers; every image if None.
            off: dimensions whose impact counts as 0; probabilities and errors follow from what is left.
            tile: only the cells of this tile (tx, ty), which is much faster at deep levels.
            size: as in `tile`.

        Returns:
            The table of the level, every cell still in it, with one more column: `selected`, how many of its
            `count` images are selected. Class and error counts, probability, impact, spread and exemplars are
            those of the selected images; where there are none, counts are 0 and means NaN.
        """
        return self.summed(self.part(level, selection, tile=tile, size=size), off=off)

    def part(
        self,
        level: int,
        selection: ArrayLike | None = None,
        *,
        tile: tuple[int, int] | None = None,
        size: int = TILE,
    ) -> Part:
        """The images that `aggregate` would sum up, with the cells that they are in; arguments as there."""
        table, cells = self.table(level), self._cells(level)
        if tile is not None:
            low, high = self._tile(level, *tile, size)
            table, cells = table.slice(low, high - low), cells[low:high]
        return Part.of(table, cells, self.order, None if selection is None else self._mask(selection))

    def summed(self, part: Part, *, off: Sequence[int] = ()) -> pa.Table:
        """What `aggregate` returns, for a part that is known already."""
        if part.mask is None and not off:
            return part.table.append_column("selected", part.table["count"])
        return refilled(part, sums_of(part.cells, part.bounds, self._scored(off), part.at))

    def means(self, level: int, values: ArrayLike, selection: ArrayLike | None = None) -> NDArray[np.float64]:
        """Mean of any number per image, (n,) by row number, over each cell (m,), or over its selected images.

        Cells are those of `table(level)`, in its order; NaN where no image is selected.
        """
        return self.part(level, selection).means(values)

    def counts_by(
        self, level: int, groups: ArrayLike, n_groups: int, selection: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """Images (m, n_groups) of each group in each cell; groups as in `Part.counts_by`."""
        return self.part(level, selection).counts_by(groups, n_groups)

    def _cells(self, level: int) -> NDArray[np.uint32]:
        """Morton codes (m,) of the level's cells."""
        if level not in self._known:
            self._known[level] = ancestor(self.codes[self.tables[level]["start"].to_numpy()], level)
        return self._known[level]

    @cached_property
    def _known(self) -> dict[int, NDArray[np.uint32]]:
        return {}

    def _tile(self, level: int, tx: int, ty: int, size: int) -> tuple[int, int]:
        """Where a tile's cells begin and end in the level's table."""
        self.table(level)
        across = 1 << level
        if size < 1 or size & (size - 1):
            raise UsageError(f"a tile's size is a power of two, not {size}")
        if not (0 <= tx * size < across and 0 <= ty * size < across):
            raise UsageError(f"level {level} has no tile ({tx}, {ty}) of {size} × {size} cells")
        if size >= across:
            return 0, self.table(level).num_rows
        tiles = self._cells(level) >> np.uint32(2 * (size.bit_length() - 1))
        low, high = (int(np.searchsorted(tiles, morton(tx, ty), side=side)) for side in ("left", "right"))
        return low, high

    def _counts(self, level: int) -> NDArray[np.int64]:
        return np.asarray(self.tables[level]["count"].to_numpy(), np.int64)

    def _mask(self, selection: ArrayLike) -> NDArray[np.bool_]:
        chosen = np.asarray(selection)
        if chosen.dtype == np.bool_:
            if chosen.shape != (len(self),):
                raise UsageError(f"a mask of the shape {chosen.shape} for {len(self)} images")
            return chosen
        numbers = chosen.astype(np.int64).reshape(-1)
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < len(self)):
            raise UsageError(f"rows are numbered from 0 to {len(self) - 1}")
        mask = np.zeros(len(self), bool)
        mask[numbers] = True
        return mask

    def _scored(self, off: Sequence[int]) -> Scored:
        key = tuple(sorted({int(k) for k in off}))
        with self._lock:
            if key not in self._rescored:
                while len(self._rescored) > 4:  # a million images are some 70 MB each
                    del self._rescored[next(k for k in self._rescored if k)]
                self._rescored[key] = Scored.of(self.rows.without(key), self.scoring)
            return self._rescored[key]


def finest_level(codes: ArrayLike) -> int:
    """The first level, from 3 to 12, at which half of the images are in cells that can show all of theirs.

    Nine, that is, the number of exemplars; crowded collections get deeper pyramids than even ones of the same
    size. codes: (n,) Morton codes.

    >>> finest_level(morton(*np.indices((64, 64)).reshape(2, -1) << 10))  # one image in each of 64 × 64
    5
    """
    ordered = np.sort(np.asarray(codes, np.uint32))
    for level in range(3, 12):
        counts = np.diff(starts_of(ancestor(ordered, level)), append=len(ordered))
        if np.median(np.repeat(counts, counts)) <= EXEMPLARS:
            return level
    return 12
