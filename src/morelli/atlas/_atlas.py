"""The atlas as one value: open it, select images, and ask what a view shows of them.

Reading is safe from several threads and processes: everything but people's edits is read-only.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import (
    CATEGORIES,
    ERRORS,
    Collection,
    error_types,
    open_images,
    verdict_of,
)
from morelli.atlas._colours import ColourColumn
from morelli.atlas._edits import Edits
from morelli.atlas._integrity import require_small_files
from morelli.atlas._live_evaluation import live_evaluation
from morelli.atlas._locked_cached_property import locked_cached_property
from morelli.atlas._manifest_columns import manifest_categories
from morelli.atlas._map_view import MapView
from morelli.atlas._pattern_page import pattern_page
from morelli.atlas._pixels import Pictures, PixelTable
from morelli.atlas._place import refuse_taken
from morelli.atlas._record import AtlasRecord
from morelli.atlas._selection import EVERYTHING, Mask, Places, Selection, Spec, key_of, select
from morelli.atlas._single_flight_cache import SingleFlightCache
from morelli.atlas._tags import Tags
from morelli.atlas._views import (
    DimensionHistograms,
    dimension_views,
    finite,
    order_rows,
    prototype_views,
    row_records,
)
from morelli.errors import UnknownDimensionError, UsageError
from morelli.metrics import two_sample_auc

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.atlas.distiller import DistilledMap
    from morelli.atlas.patterns._prototypes import Prototypes

KEPT_SELECTIONS = 64
KEPT_ORDERS = 8
KEPT_LEVELS = 12
KEPT_TILES = 256
KEPT_OFF = 4
KEPT_COLOURS = 8
LARGEST_PAGE = 2_000


class Atlas(MapView):
    """A collection, distilled. Made by `build_atlas`, opened by `Atlas.open`.

    Attributes:
        path: its folder.
        record: what it holds and was made from.
        distilled: the map from features to dimensions.
        collection: the columns of all images.
        edits: what people added; their tags of images are in `tags`.
    """

    def __init__(
        self,
        path: Path,
        record: AtlasRecord,
        distilled: DistilledMap,
        collection: Collection,
        *,
        pictures: Pictures,
    ) -> None:
        self.path, self.record, self.distilled, self.collection = path, record, distilled, collection
        self.pictures = pictures
        self.edits = Edits(path)
        self.tags = Tags(path, collection)
        self._edits_seen = (self.edits.stamp(), self.tags.stamp())
        self._selections: SingleFlightCache[str, Selection] = SingleFlightCache(KEPT_SELECTIONS)
        self._orders: SingleFlightCache[tuple[str, str, bool, tuple[int, ...]], NDArray[np.int64]] = (
            SingleFlightCache(KEPT_ORDERS)
        )
        # A level may have a hundred thousand cells, a tile has a thousand at most.
        self._levels: SingleFlightCache[Hashable, pa.Table] = SingleFlightCache(KEPT_LEVELS)
        self._tiles: SingleFlightCache[Hashable, pa.Table] = SingleFlightCache(KEPT_TILES)
        self._colours: SingleFlightCache[str, ColourColumn] = SingleFlightCache(KEPT_COLOURS)
        self._off: SingleFlightCache[tuple[int, ...], NDArray[np.float32]] = SingleFlightCache(KEPT_OFF)

    @staticmethod
    def check_target(path: Path | str) -> None:
        """Raise where `build_atlas` could not build: ask before an encoder is loaded, not after it.

        Raises:
            UsageError: a finished atlas or something else is there, or nothing can be written there.
        """
        refuse_taken(Path(path))

    @classmethod
    def open(cls, path: Path | str, *, images: Sequence[Path | str] = ()) -> Self:
        """Open a finished atlas.

        Args:
            path: folder, by custom `NAME.atlas`.
            images: folders to look for the original images in, besides where they were.

        Raises:
            ArtifactError: there is none, or one of its small files is damaged; `verify_atlas` checks all.
        """
        from morelli.atlas.distiller import DistilledMap

        path = Path(path)
        record = AtlasRecord.read(path)
        require_small_files(path, record.files)
        distilled = DistilledMap.load(path / "distilled")
        dataset = open_images(path / "images.lance", record.dimensions, record.versions["images"])
        collection = Collection(dataset, distilled, record.thresholds)
        return cls(path, record, distilled, collection, pictures=Pictures(tuple(Path(f) for f in images)))

    def __len__(self) -> int:
        return self.record.images

    def __repr__(self) -> str:
        return f"Atlas({self.record.name!r}, {len(self):,} images, {self.record.build.encoder})"

    # Parts that are opened when they are first needed

    @locked_cached_property
    def prototypes_found(self) -> Prototypes | None:
        """The prototypes as they were found; None where there are no maps."""
        from morelli.atlas.patterns._prototypes import Prototypes

        folder = self.path / "prototypes"
        return Prototypes.load(folder) if folder.is_dir() else None

    @locked_cached_property
    def pixels(self) -> PixelTable | None:
        """Maps and thumbnails; None where neither images nor tokens were to be had."""
        folder = self.path / "pixels.lance"
        return PixelTable.open(folder, self.record.versions["pixels"]) if folder.is_dir() else None

    @locked_cached_property
    def histograms(self) -> DimensionHistograms:
        """Histograms of the dimensions."""
        return DimensionHistograms(self.collection)

    # What it is

    def info(self) -> dict[str, Any]:
        """What a client needs first: record, names, filters, levels, overall counts."""
        everything = self.select(EVERYTHING)
        return {
            **self.record.to_json(),
            "counts": everything.counts,
            "key": everything.key,
            "names": self.dimension_names(),
            "weights": [float(w) for w in self.distilled.w],
            "bias": float(self.distilled.bias),
            "categories": self.categories(),
            "auc": self._auc_of_all,
            "has_maps": self.record.patches > 0,
            "grid": round(self.record.patches**0.5),
            "prototypes": 0 if self.prototypes_found is None else len(self.prototypes_found),
            "saved_selections": self.edits.read()["selections"],
        }

    def categories(self) -> dict[str, list[dict[str, Any]]]:
        """Columns to filter by: for each its names with the number of images, most first, at most 500."""
        return self._categories

    @locked_cached_property
    def _categories(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for name in (*CATEGORIES, *manifest_categories(self.collection.metadata_sample())):
            if name in found:
                continue
            category = self.collection.category(name)
            counts = np.bincount(category.codes[category.codes >= 0], minlength=len(category.names))
            if len(category.names) > 1:
                order = np.argsort(-counts, kind="stable")[:500]
                found[name] = [{"name": category.names[i], "n": int(counts[i])} for i in order]
        return found

    def dimension_names(self) -> list[str]:
        """Names of the dimensions, people's before those suggested."""
        given = self.edits.read()["dimensions"]
        return [given.get(str(k), {}).get("name") or name for k, name in enumerate(self.distilled.names)]

    # Selections

    def select(self, spec: Spec) -> Selection:
        """The images that a selection document means; the latest are kept.

        Raises:
            UsageError: it is not a selection.
        """
        self._follow_edits()
        return self._selections.get(key_of(spec), lambda: select(spec, self.collection, self._places))

    @property
    def _places(self) -> Places:
        from morelli.atlas.cells._polygon import rows_in_polygon, rows_in_rect

        def masked(rows: NDArray[np.int64]) -> Mask:
            mask = np.zeros(len(self), dtype=bool)
            mask[rows] = True
            return mask

        return Places(
            cells=lambda level, ids: masked(self.pyramid.rows_in_cells(level, ids)),
            polygon=lambda points: masked(rows_in_polygon(self.collection.xy, points)),
            rect=lambda corners: masked(rows_in_rect(self.collection.xy, corners)),
            prototype=self._with_prototype,
            tagged=self.tags.mask,
            copies=self._copied,
        )

    def _with_prototype(self, number: int) -> Mask:
        found = self.prototypes_found
        if found is None or not 0 <= number < len(found):
            raise UsageError(f"The atlas has no prototype {number}.")
        mask = np.zeros(len(self), dtype=bool)
        for one in self._merged(number):
            if one < len(found):
                # A prototype is one dimension's, so no other column can hold it.
                mask |= self.collection.prototypes[:, found.dimension[one]] == one
        return mask

    def _merged(self, number: int) -> list[int]:
        """A prototype and all that people merged into it, directly or by way of others."""
        into = {int(k): v.get("merged_into") for k, v in self.edits.read()["prototypes"].items()}
        found, new = {number}, {number}
        while new:
            new = {k for k, to in into.items() if to in new} - found
            found |= new
        return sorted(found)

    # Views

    def dimensions(self, selection: Selection | None = None, off: Sequence[int] = ()) -> list[dict[str, Any]]:
        """The dimension view: one JSON object per dimension, see `dimension_views`."""
        edits = self.edits.read()["dimensions"]
        return dimension_views(self.histograms, selection, self.check_off(off), edits, self._aucs)

    @locked_cached_property
    def _auc_of_all(self) -> float | None:
        return self.auc(())

    @locked_cached_property
    def _aucs(self) -> list[float | None]:
        """Held-out AUC that is left without each dimension."""
        return [self.auc((k,)) for k in range(self.record.dimensions)]

    @locked_cached_property
    def _prototype_items(self) -> list[dict[str, Any]]:
        """The prototypes as they were found, as JSON objects."""
        found = self.prototypes_found
        return [] if found is None else list(map(finite, found.table.to_pylist()))

    def prototypes(self, selection: Selection | None = None) -> list[dict[str, Any]]:
        """The pattern view: prototypes with people's edits, and how many selected images carry each."""
        found = self._prototype_items
        edits, names = self.edits.read()["prototypes"], self.dimension_names()
        return prototype_views(self.collection, found, selection, edits, names)

    def pattern_page(self, number: int) -> dict[str, Any]:
        """One prototype with its images, and what their scores would be without it; see `pattern_page`."""
        rows = np.flatnonzero(self._with_prototype(number))
        return pattern_page(self.collection, self.prototypes()[number], rows, self.prototypes_found)

    def rows(
        self,
        selection: Selection | None = None,
        *,
        sort: str = "row",
        descending: bool = False,
        offset: int = 0,
        limit: int = 100,
        off: Sequence[int] = (),
    ) -> list[dict[str, Any]]:
        """A page of the selected images in an order, as JSON objects; see `order_rows` for the orders.

        With dimensions switched off, scores, verdicts and errors are those of what is left.
        """
        if offset < 0 or not 0 < limit <= LARGEST_PAGE:
            raise UsageError(f"A page starts at 0 or later and holds 1 to {LARGEST_PAGE} images.")
        off = self.check_off(off)
        order = self._order(selection, sort, descending, off)
        logits = self.logits(off) if off else None
        return self._tagged(row_records(self.collection, order[offset : offset + limit], logits))

    def _order(
        self, selection: Selection | None, sort: str, descending: bool, off: tuple[int, ...]
    ) -> NDArray[np.int64]:
        key = ("" if selection is None else selection.key, sort, descending, off)
        if sort.startswith("near:"):
            search = sort.removeprefix("near:")
            return self._orders.get(key, lambda: self.by_nearness(search, selection, descending=descending))
        logits = self.logits(off) if off else None
        return self._orders.get(
            key, lambda: order_rows(self.collection, selection, sort, descending, logits=logits)
        )

    def image(self, row: int) -> dict[str, Any]:
        """Everything known of one image: file facts, held-out logit and its exact parts, place, patterns."""
        self._check_row(row)
        found = self._tagged(row_records(self.collection, np.array([row])))[0]
        facts = self.collection.records([row]).to_pylist()[0]
        found |= {name: facts[name] for name in facts if name not in found and name != "phash"}
        found |= {
            "impacts": [float(v) for v in self.collection.impacts[row]],
            "values": [float(v) for v in self.collection.values[row]],
            "bias": float(self.collection.held_bias[row]),
            "logit": float(self.collection.held_logits[row]),
            "xy": [float(v) for v in self.collection.xy[row]],
            "available": self.original(row) is not None,
        }
        return found

    def thumbnail(self, row: int) -> bytes | None:
        """JPEG of what the encoder saw of an image; None where it could not be read."""
        self._check_row(row)
        return None if self.pixels is None else self.pixels.thumbnails([row])[0]

    def thumbnails(self, rows: Sequence[int]) -> list[bytes | None]:
        """The same of several images, read at once."""
        for row in rows:
            self._check_row(row)
        return [None] * len(rows) if self.pixels is None else self.pixels.thumbnails(list(rows))

    def relevance(self, row: int, dimension: int | None = None) -> NDArray[np.float32]:
        """Relevance map (g, g) of one dimension, or of the logit for None.

        Raises:
            UsageError: no such row, or an atlas without maps.
            UnknownDimensionError: no such dimension.
        """
        self._check_row(row)
        if self.pixels is None:
            raise UsageError("This atlas has no maps: build it from a table with tokens, or with its images.")
        # The logit's map stands behind those of the dimensions, and has no number of its own.
        k = self.record.dimensions if dimension is None else dimension
        if dimension is not None and not 0 <= dimension < self.record.dimensions:
            raise UnknownDimensionError(f"Dimensions are 0 to {self.record.dimensions - 1}, not {dimension}.")
        side = round(self.record.patches**0.5)
        return np.asarray(self.pixels.maps([row])[0, k].reshape(side, side))

    def original(self, row: int) -> Path | None:
        """The image's own file, if it is still where it was or in one of the folders named at opening."""
        self._check_row(row)
        return self.pictures.path(str(self.collection.records([row], ["uri"]).column("uri")[0].as_py()))

    def _check_row(self, row: int) -> None:
        if not 0 <= row < len(self):
            raise UsageError(f"The atlas has images 0 to {len(self) - 1}; there is no {row}.")

    # Scores

    def check_off(self, off: Sequence[int]) -> tuple[int, ...]:
        """Dimensions to switch off, each once and in order.

        Raises:
            UnknownDimensionError: one of them does not exist.
        """
        found = tuple(sorted(set(off)))
        if found and not (found[0] >= 0 and found[-1] < self.record.dimensions):
            raise UnknownDimensionError(f"Dimensions are 0 to {self.record.dimensions - 1}; got {list(off)}.")
        return found

    def logits(self, off: Sequence[int] = ()) -> NDArray[np.float32]:
        """(n,) held-out logits without the dimensions in `off`."""
        if not off:
            return self.collection.held_logits
        gone = self.collection.impact_columns[list(off)].sum(axis=0)
        return np.asarray(self.collection.held_logits - gone, dtype=np.float32)

    def probabilities(self, off: Sequence[int] = ()) -> NDArray[np.float32]:
        """(n,) calibrated held-out probabilities without the dimensions in `off`."""

        def work() -> NDArray[np.float32]:
            return np.asarray(self.distilled.calibration.probability(self.logits(off)), dtype=np.float32)

        return self._off.get(tuple(off), work)

    def auc(self, off: Sequence[int] = ()) -> float | None:
        """Held-out AUC over all labelled images; None unless both classes are there."""
        logits = self.logits(self.check_off(off))
        real, fake = self.collection.by_class
        found = two_sample_auc(logits[fake], logits[real])
        return None if math.isnan(found) else found

    def rescore(self, off: Sequence[int]) -> dict[str, Any]:
        """What switching dimensions off costs: AUC before and after, and whose verdict changes."""
        off = self.check_off(off)
        after = verdict_of(self.probabilities(off), self.collection.base_thresholds)
        changed = np.flatnonzero(after != self.collection.verdicts)
        errors = error_types(self.collection.labels, after)
        return {
            "off": list(off),
            "auc_before": self._auc_of_all,
            "auc_after": self.auc(off),
            "changed": len(changed),
            "errors_before": _counted(self.collection.errors),
            "errors_after": _counted(errors),
            "selection": {"rows": changed[:10_000].tolist()},
        }

    def evaluation(
        self,
        selection: Selection | None = None,
        off: Sequence[int] = (),
        *,
        threshold: float = 0.5,
        base_rate: float = 0.5,
    ) -> dict[str, Any]:
        """Held-out figures of a selection, see `live_evaluation`, and what file facts alone would score."""
        off = self.check_off(off)
        mask = None if selection is None else selection.mask
        found = live_evaluation(
            self.collection, mask, logits=self.logits(off), threshold=threshold, base_rate=base_rate
        )
        return found | {"off": list(off), "audit": dict(self.record.audit), "held_out": self.record.held_out}

    # What people add; tags, feedback and exports are in `CollectionWork`, the map is in `MapView`

    def edit_prototype(
        self, number: int, fields: Mapping[str, Any], was: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """Name, note, hide or merge a prototype; a circle of merges is refused, and so is a change of what
        differs by now from `was`, the fields as the caller saw them."""
        self._with_prototype(number)
        into = fields.get("merged_into")
        if into is not None:
            self._with_prototype(into)
            if into in self._merged(number):
                raise UsageError(f"Prototype {into} is merged into {number} already; take that back first.")
        return self._edited("prototypes", number, fields, was)

    def edit_dimension(
        self, k: int, fields: Mapping[str, Any], was: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """Name or note a dimension; refused where it differs by now from `was`."""
        self.check_off([k])
        return self._edited("dimensions", k, fields, was)

    def _edited(
        self, what: str, number: int, fields: Mapping[str, Any], was: Mapping[str, Any] | None
    ) -> Mapping[str, Any]:
        entry = self.edits.change(what, number, fields, was)
        self._follow_edits()
        return entry

    def _follow_edits(self) -> None:
        """Forget answers that edits of this or another process changed: a merge changes who is selected."""
        stamp = (self.edits.stamp(), self.tags.stamp())
        if stamp != self._edits_seen:
            self._edits_seen = stamp
            for kept in (self._selections, self._orders, self._levels, self._tiles):
                kept.clear()


def _counted(errors: NDArray[np.int8]) -> dict[str, int]:
    return {name: int((errors == code).sum()) for code, name in enumerate(ERRORS)}
