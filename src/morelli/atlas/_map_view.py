"""The map of an atlas: its cells, tile by tile, and its images as points."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import VERDICTS, error_types, verdict_of
from morelli.atlas._collection_work import CollectionWork
from morelli.atlas._colours import MISSING, MOST_NAMES, OTHER, ColourColumn, with_colours
from morelli.atlas._facets import with_facets
from morelli.atlas._locked_cached_property import locked_cached_property
from morelli.atlas._record import AtlasRecord
from morelli.atlas._single_flight_cache import SingleFlightCache
from morelli.atlas._tags import COLUMN
from morelli.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.atlas._selection import Selection
    from morelli.atlas.cells import Pyramid

MOST_COLUMNS = 4
"""Columns that one tile is asked to be coloured by."""


class MapView(CollectionWork):
    """The part of `Atlas` that draws its map."""

    record: AtlasRecord
    _levels: SingleFlightCache[Hashable, pa.Table]
    _tiles: SingleFlightCache[Hashable, pa.Table]
    _colours: SingleFlightCache[str, ColourColumn]

    @abstractmethod
    def check_off(self, off: Sequence[int]) -> tuple[int, ...]:
        """Dimensions to switch off, each once and in order."""

    @abstractmethod
    def probabilities(self, off: Sequence[int] = ()) -> NDArray[np.float32]:
        """(n,) calibrated held-out probabilities without the dimensions in `off`."""

    @locked_cached_property
    def pyramid(self) -> Pyramid:
        """The cells of all levels."""
        from morelli.atlas.cells import Pyramid

        return Pyramid.load(self.path / self.record.cells)

    def tile(
        self,
        level: int,
        tx: int | None = None,
        ty: int | None = None,
        *,
        selection: Selection | None = None,
        off: Sequence[int] = (),
        columns: Sequence[str] = (),
    ) -> pa.Table:
        """Cells of a level, or of one of its tiles, as an Arrow table.

        Columns as `Pyramid.aggregate` gives them: `selected` counts the selected images of each cell, and
        with dimensions switched off probabilities, impacts and errors are those of what is left. Each of
        `columns`, names of columns of the collection, adds one, see `with_colours`.

        Raises:
            UsageError: no such level, tile, dimension or column, or too many columns.
        """
        if len(columns) > MOST_COLUMNS:
            raise UsageError(f"A tile is coloured by at most {MOST_COLUMNS} columns, not {len(columns)}.")
        off = self.check_off(off)
        tile = None if tx is None or ty is None else (tx, ty)
        colours = [self.colour_column(name) for name in columns]

        def work() -> pa.Table:
            part = self.pyramid.part(level, None if selection is None else selection.mask, tile=tile)
            probabilities = self.probabilities(off) if off else None
            table = self.pyramid.summed(part, off=off)
            table = with_facets(table, part, self.collection, probabilities=probabilities)
            return with_colours(table, part, colours) if colours else table

        tags = self.tags.stamp() if COLUMN in columns else None
        key = (level, tile, "" if selection is None else selection.key, off, tuple(columns), tags)
        return (self._levels if tile is None else self._tiles).get(key, work)

    def colour_column(self, name: str) -> ColourColumn:
        """A column of the collection as colours, tags (`tag`) included.

        Raises:
            UsageError: no such column, or one that is text or the same for all images.
        """
        if name == COLUMN:
            return ColourColumn.of_masks(name, self.tags.masks(), len(self.collection))
        return self._colours.get(name, lambda: ColourColumn.of_field(self._fields.named(name)))

    def points(self) -> pa.Table:
        """Where each image is on the map.

        Columns, in the order of the map's cells (near images follow each other): `row` int32; `x` and `y`
        uint16, 65,536 of them across the map, y from the top.
        """
        import pyarrow as pa

        from morelli.atlas.cells._morton import columns_and_rows

        x, y = columns_and_rows(self.pyramid.codes)
        return pa.table(
            {
                "row": pa.array(self.pyramid.order),
                "x": pa.array(x.astype(np.uint16)),
                "y": pa.array(y.astype(np.uint16)),
            }
        )

    def point_colours(self, by: str, selection: Selection | None = None, off: Sequence[int] = ()) -> pa.Table:
        """What the points of `points`, in their order, are coloured by, and which are selected.

        Args:
            by: `score`, `uncertainty`, `label`, `verdict`, `error`, `generator`, `dimension:K`, or
                `column:NAME` of any column.
            selection: which images are `selected` (uint8, 1); the column is left out for None.
            off: dimensions switched off.

        Returns:
            `value` float32, NaN for unknown ones, or `category` uint8, 255 for none; names of categories are
            a JSON list in the schema's metadata, under `names`.

        Raises:
            UsageError: nothing is called so.
        """
        import pyarrow as pa

        values, names = self._coloured(by, self.check_off(off))
        order = self.pyramid.order
        name = "category" if values.dtype == np.uint8 else "value"
        found = {name: pa.array(values[order])}
        if selection is not None:
            found["selected"] = pa.array(selection.mask[order].view(np.uint8))
        return pa.table(found).replace_schema_metadata({"names": json.dumps(list(names))})

    def _coloured(self, by: str, off: tuple[int, ...]) -> tuple[NDArray[Any], Sequence[str]]:
        """(n,) values or places in names, by row number."""
        collection = self.collection
        kind, _, argument = by.partition(":")
        if kind == "column" and argument:
            column = self.colour_column(argument)
            return column.values, column.names
        if kind == "dimension" and argument.isdecimal():
            (k,) = self.check_off([int(argument)])
            impacts = collection.impact_columns[k]
            return (np.zeros_like(impacts) if k in off else impacts), ()
        if by == "label":
            return np.where(collection.labels < 0, 2, collection.labels).astype(np.uint8), ()
        if by == "generator":
            names, groups = collection.main_generators(MOST_NAMES)
            rest = np.where(collection.labels == 1, OTHER, MISSING)
            return np.where(groups < 0, rest, groups).astype(np.uint8), names
        probabilities = self.probabilities(off)
        if by == "score":
            return probabilities, ()
        if by == "uncertainty":
            return np.asarray(1 - np.abs(2 * probabilities - 1), np.float32), ()
        verdicts = verdict_of(probabilities, collection.base_thresholds)
        if by == "verdict":
            return verdicts.astype(np.uint8), VERDICTS
        if by == "error":
            return error_types(collection.labels, verdicts).astype(np.uint8), ()
        raise UsageError(
            f"Points are coloured by score, uncertainty, label, verdict, error, generator, dimension:K or "
            f"column:NAME, not {by[:80]!r}."
        )
