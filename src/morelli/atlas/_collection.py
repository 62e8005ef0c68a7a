"""What an atlas knows of every image: a Lance table on disk, and the columns that all views share in memory.

Vectors that only one image at a time needs (relevance maps, thumbnails) stay on disk in a table of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._integrity import GuardedTable
from morelli.atlas._joint_counts import JointCounts
from morelli.atlas._locked_cached_property import locked_cached_property
from morelli.errors import ArtifactError, UsageError
from morelli.features import metadata_schema, open_dataset

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.atlas._manifest_columns import ManifestKind
    from morelli.atlas.distiller import DistilledMap

Floats = NDArray[np.float32]

UNKNOWN = -1
"""Label of an image whose label nobody knows, and code of a category's missing value."""

ERRORS = ("tn", "fp", "fn", "tp", "unanswered")
"""Outcomes of labelled images: by 2·label + (verdict AI-generated); without an answer there is no error."""

UNANSWERED = ERRORS.index("unanswered")

VERDICTS = ("real", "inconclusive", "ai")

CATEGORIES = ("generator", "source", "lineage", "era", "format")

FILE_NUMBERS = ("probability", "logit", "uncertainty", "width", "height", "bytes", "jpeg_quality")
"""Columns of numbers that every collection has."""

LABELS = {"real": 0, "fake": 1, "unknown": UNKNOWN}


def image_schema(dimensions: int) -> pa.Schema:
    """Columns of `images.lance`: the feature table's metadata, then what the atlas adds.

    `values` (K,) distilled values; `held_impacts` (K,) and `held_bias` from a fit that did not see the
    image's group, equal to the full fit's for images that no fit saw; `xy` (2,) in [0, 1]; `code` the Morton
    code of the finest cell; `prototypes` (K,) number of the prototype that each dimension's pattern belongs
    to, or −1.
    """
    import pyarrow as pa

    real = pa.field("item", pa.float32(), nullable=False)
    short = pa.field("item", pa.int16(), nullable=False)
    return pa.schema(
        [
            *metadata_schema(),
            pa.field("values", pa.list_(real, dimensions), nullable=False),
            pa.field("held_impacts", pa.list_(real, dimensions), nullable=False),
            pa.field("held_bias", pa.float32(), nullable=False),
            pa.field("xy", pa.list_(real, 2), nullable=False),
            pa.field("code", pa.uint64(), nullable=False),
            pa.field("prototypes", pa.list_(short, dimensions), nullable=False),
        ]
    )


def image_rows(
    meta: pa.Table,
    *,
    values: Floats,
    held_impacts: Floats,
    held_bias: Floats,
    xy: Floats,
    code: NDArray[np.uint64],
    prototypes: NDArray[np.int16],
) -> pa.Table:
    """Rows of `images.lance` for the images of `meta`, arrays as `image_schema` says."""
    import pyarrow as pa

    schema = image_schema(values.shape[1])

    def listed(name: str, array: NDArray[Any]) -> pa.Array:
        kind = schema.field(name).type
        item = np.ascontiguousarray(array, dtype=kind.value_type.to_pandas_dtype())
        return pa.FixedSizeListArray.from_arrays(pa.array(item.reshape(-1)), type=kind)

    arrays = [
        meta.column(name).cast(schema.field(name).type).combine_chunks() for name in metadata_schema().names
    ]
    arrays += [
        listed("values", values),
        listed("held_impacts", held_impacts),
        pa.array(np.asarray(held_bias, dtype=np.float32)),
        listed("xy", xy),
        pa.array(np.asarray(code, dtype=np.uint64)),
        listed("prototypes", prototypes),
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


@dataclass(frozen=True, eq=False)
class Category:
    """A column of names as numbers: `codes` (n,) into `names`, −1 where the value is missing."""

    names: tuple[str, ...]
    codes: NDArray[np.int32]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Category:
        """Number the values of a column of strings in alphabetical order."""
        encoded = column.combine_chunks().dictionary_encode()
        found = np.asarray(encoded.dictionary.to_pylist(), dtype=object)
        order = np.argsort(found.astype(str), kind="stable")
        rank = np.empty(len(order) + 1, dtype=np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        rank[-1] = UNKNOWN
        indices = np.asarray(encoded.indices.fill_null(len(order)).to_numpy(zero_copy_only=False))
        return cls(tuple(str(name) for name in found[order]), rank[indices])

    def code(self, name: str) -> int:
        """Number of a name, −2 (which no row has) where it does not occur."""
        try:
            return self.names.index(name)
        except ValueError:
            return -2


@dataclass(eq=False)
class Collection:
    """All images of an atlas, row by row in the order in which they came.

    Attributes:
        dataset: the Lance dataset `images.lance`.
        distilled: the map behind `values`.
        base_thresholds: probabilities (real, ai) beyond which a verdict is not inconclusive.
    """

    dataset: Any
    distilled: DistilledMap
    base_thresholds: tuple[float, float]
    _categories: dict[str, Category] = field(default_factory=dict)
    _main_generators: dict[int, tuple[list[str], NDArray[np.int8]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.dataset.count_rows())

    def _column(self, name: str) -> pa.ChunkedArray:
        return self.dataset.to_table(columns=[name]).column(name)

    def _vectors(self, name: str, kind: Any, length: int) -> NDArray[Any]:
        """(n, length), each of the columns in one piece: views ask for whole ones and for few rows."""
        columns = np.empty((length, len(self)), kind)
        start = 0
        for batch in self.dataset.to_batches(columns=[name]):
            rows = batch.column(0).flatten().to_numpy(zero_copy_only=False).reshape(-1, length)
            columns[:, start : start + len(rows)] = rows.T
            start += len(rows)
        return self._finite(name, columns).T

    def _finite(self, name: str, numbers: NDArray[Any]) -> NDArray[Any]:
        """The numbers of a column; damage that no reader noticed may have made some infinite or NaN."""
        if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
            raise ArtifactError(
                f"{self.dataset.uri} is damaged: its column {name} holds numbers that are not finite; "
                "restore the atlas from a copy, or build it again"
            )
        return numbers

    @property
    def dimensions(self) -> int:
        """Number K of distilled dimensions."""
        return len(self.distilled.w)

    @locked_cached_property
    def labels(self) -> NDArray[np.int8]:
        """(n,) real 0, fake 1, unknown −1."""
        return np.asarray(self._column("label").fill_null(UNKNOWN).to_numpy(), dtype=np.int8)

    @locked_cached_property
    def by_class(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row numbers of the real and of the generated images."""
        return np.flatnonzero(self.labels == 0), np.flatnonzero(self.labels == 1)

    @locked_cached_property
    def values(self) -> Floats:
        """(n, K) distilled values."""
        return self._vectors("values", np.float32, self.dimensions)

    @property
    def impacts(self) -> Floats:
        """(n, K) signed shares of the held-out logit; with `held_bias` they sum to it. What views show.

        Impacts of the full fit would tell the classes apart too well: it has seen these very images.
        """
        return self.held_impacts

    @locked_cached_property
    def held_impacts(self) -> Floats:
        """(n, K) the same of a fit that did not see the image's group."""
        return self._vectors("held_impacts", np.float32, self.dimensions)

    @property
    def impact_columns(self) -> Floats:
        """(K, n) the impacts dimension by dimension, each in one piece."""
        return self.impacts.T

    @locked_cached_property
    def held_bias(self) -> Floats:
        """(n,) the bias that goes with `held_impacts`."""
        found = np.asarray(self._column("held_bias").to_numpy(), dtype=np.float32)
        return self._finite("held_bias", found)

    @locked_cached_property
    def held_logits(self) -> Floats:
        """(n,) held-out logits."""
        return np.asarray(self.held_impacts.sum(axis=1) + self.held_bias, dtype=np.float32)

    @locked_cached_property
    def probabilities(self) -> Floats:
        """(n,) calibrated probability of "generated" by the fit that did not see the image's group."""
        return np.asarray(self.distilled.calibration.probability(self.held_logits), dtype=np.float32)

    @locked_cached_property
    def xy(self) -> Floats:
        """(n, 2) place on the map."""
        return self._vectors("xy", np.float32, 2)

    @locked_cached_property
    def codes(self) -> NDArray[np.uint64]:
        """(n,) Morton code of the finest cell."""
        return np.asarray(self._column("code").to_numpy(), dtype=np.uint64)

    @locked_cached_property
    def prototypes(self) -> NDArray[np.int16]:
        """(n, K) prototype of each dimension's pattern, −1 for none."""
        return self._vectors("prototypes", np.int16, self.dimensions)

    @locked_cached_property
    def images_by_prototype(self) -> NDArray[np.int64]:
        """Images whose pattern belongs to each prototype, up to the last that any belongs to."""
        return self.count_by_prototype()

    def count_by_prototype(self, rows: NDArray[np.integer] | None = None) -> NDArray[np.int64]:
        """How many of some rows belong to each prototype, up to the last that any image belongs to."""
        numbers, joint = self._prototype_codes
        found = np.zeros(max((int(one[-1]) for one in numbers), default=-1) + 2, np.int64)
        for known, counts in zip(numbers, joint.count(rows), strict=True):
            found[known + 1] += counts
        return found[1:]  # the first is for none

    @locked_cached_property
    def _prototype_codes(self) -> tuple[list[NDArray[np.int64]], JointCounts]:
        """Prototypes, −1 included, that occur in each dimension, rising; and the table as places among them.

        A dimension has a dozen of them, so that several dimensions' are counted at once.
        """
        columns = self.prototypes.T
        numbers = [np.flatnonzero(np.bincount(column + np.int16(1))) - 1 for column in columns]
        places = (
            np.searchsorted(known, np.arange(-1, known[-1] + 1))[column + np.int16(1)]
            for known, column in zip(numbers, columns, strict=True)
        )
        return numbers, JointCounts.of(places, [len(known) for known in numbers])

    @locked_cached_property
    def errors(self) -> NDArray[np.int8]:
        """(n,) index into `ERRORS`, −1 without a label."""
        return error_types(self.labels, self.verdicts)

    @locked_cached_property
    def verdicts(self) -> NDArray[np.int8]:
        """(n,) index into `VERDICTS`."""
        return verdict_of(self.probabilities, self.base_thresholds)

    @locked_cached_property
    def uncertainties(self) -> Floats:
        """(n,) 1 at even odds, 0 at certainty."""
        return np.asarray(1 - np.abs(2 * self.probabilities - 1), dtype=np.float32)

    def metadata_sample(self, rows: int = 20_000) -> pa.ChunkedArray:
        """The manifest's own columns of the first rows, a JSON text each."""
        return self.dataset.to_table(columns=["metadata"], limit=rows).column("metadata")

    @locked_cached_property
    def manifest_kinds(self) -> dict[str, ManifestKind]:
        """The manifest's own columns that can be filtered by, and what each holds."""
        from morelli.atlas._manifest_columns import manifest_kinds

        return manifest_kinds(self.metadata_sample())

    @locked_cached_property
    def _manifest_numbers(self) -> dict[str, NDArray[np.float64]]:
        from morelli.atlas._manifest_columns import manifest_numbers

        numbers, dates = (
            [name for name, kind in self.manifest_kinds.items() if kind == wanted]
            for wanted in ("number", "date")
        )
        if not numbers and not dates:
            return {}
        return manifest_numbers(self._column("metadata"), numbers, dates)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """(n,) a column of numbers, NaN where unknown; dates of the manifest are seconds since 1970.

        Raises:
            UsageError: no column of that name holds numbers or dates.
        """
        if name not in metadata_schema().names:
            if name not in self._manifest_numbers:
                known = (*FILE_NUMBERS, *self._manifest_numbers)
                raise UsageError(f"No column {name!r} of numbers; there are {', '.join(known)}.")
            return self._manifest_numbers[name]
        column = self._column(name)
        return np.asarray(column.cast("float64").to_numpy(), dtype=np.float64)

    def category(self, name: str) -> Category:
        """A column of names, of the table or of the manifest.

        Raises:
            UsageError: no row knows such a column.
        """
        if name not in self._categories:
            if name in metadata_schema().names:
                column = self._column(name).cast("string")
            else:
                from morelli.atlas._manifest_columns import manifest_column

                column = manifest_column(self._column("metadata"), name)
            self._categories[name] = Category.of(column)
        return self._categories[name]

    def main_generators(self, most: int) -> tuple[list[str], NDArray[np.int8]]:
        """Names of the generators that most generated images come from, and whose (n,) each image is.

        Numbers are places among the names, at most 127; −1 for images that are not generated, unlabelled, or
        of another generator.
        """
        if most not in self._main_generators:
            category = self.category("generator")
            fake = self.labels == 1
            chosen = most_frequent(np.where(fake, category.codes, UNKNOWN), len(category.names), most)
            rank = np.full(len(category.names) + 1, UNKNOWN, dtype=np.int8)
            rank[chosen] = np.arange(len(chosen))
            groups = np.where(fake, rank[category.codes], np.int8(UNKNOWN))
            self._main_generators[most] = [category.names[code] for code in chosen], groups
        return self._main_generators[most]

    @locked_cached_property
    def sums(self) -> pa.Array:
        """(n,) SHA-256 of each image's file."""
        return self._column("sha256").combine_chunks()

    @locked_cached_property
    def search_texts(self) -> pa.Array:
        """(n,) lower-case text of each image that a search looks into, manifest's fields included."""
        import pyarrow.compute as pc

        names = ["uri", "generator", "source", "notes", "metadata"]
        table = self.dataset.to_table(columns=names)
        columns = [table.column(name).combine_chunks().fill_null("") for name in names]
        return pc.utf8_lower(pc.binary_join_element_wise(*columns, "\n"))

    def records(self, rows: Sequence[int] | NDArray[Any], columns: Sequence[str] | None = None) -> pa.Table:
        """Metadata of some rows, read from disk: some columns, or all that a feature table has."""
        index = np.asarray(rows, dtype=np.int64)
        if len(index) and (index.min() < 0 or index.max() >= len(self)):
            raise UsageError(f"The atlas has rows 0 to {len(self) - 1}; row {int(index.max())} is not there.")
        return self.dataset.take(index.tolist(), columns=list(columns or metadata_schema().names))


def most_frequent(codes: NDArray[np.integer], names: int, most: int) -> list[int]:
    """The codes (n,) below `names` that occur most, most first, equal ones rising; negative ones are none.

    >>> most_frequent(np.array([1, 1, 0, -1]), 3, 2)
    [1, 0]
    """
    counts = np.bincount(codes[codes >= 0], minlength=names)
    return [int(code) for code in np.argsort(-counts, kind="stable")[:most] if counts[code]]


def error_types(labels: NDArray[np.int8], verdicts: NDArray[np.int8]) -> NDArray[np.int8]:
    """(n,) index into `ERRORS` of labels and of indices into `VERDICTS`; −1 for images without a label.

    >>> error_types(np.array([0, 1, 1, -1], dtype=np.int8), np.array([2, 2, 1, 2], dtype=np.int8)).tolist()
    [1, 3, 4, -1]
    """
    found = np.where(verdicts == VERDICTS.index("inconclusive"), UNANSWERED, 2 * labels + verdicts // 2)
    return np.where(labels == UNKNOWN, UNKNOWN, found).astype(np.int8)


def verdict_of(probabilities: NDArray[Any], thresholds: tuple[float, float]) -> NDArray[np.int8]:
    """(n,) index into `VERDICTS` for thresholds (real, ai) on the probability.

    A threshold is the score of an image, which must lie on its harmless side: a generated image's, less the
    smallest step of float64, or a real one's. In float32 both are that image's probability itself.
    """
    real, ai = (np.float32(one) for one in thresholds)
    score = np.asarray(probabilities, np.float32)
    return (1 + (score > ai).astype(np.int8) - (score < real)).astype(np.int8)


def open_images(path: Any, dimensions: int, version: int | None = None) -> Any:
    """The Lance dataset of an atlas's images, at one of its versions.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    dataset = open_dataset(path, version)
    if dataset.schema.names != image_schema(dimensions).names:
        raise ArtifactError(f"{path} does not hold an atlas's images of {dimensions} dimensions")
    return GuardedTable(dataset, Path(path))
