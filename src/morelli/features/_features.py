"""Features in memory: the one type that detectors, evaluation and explanation take."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from morelli.errors import BuildMismatchError, UsageError
from morelli.features._groups import RealGroups, group_names
from morelli.features._schema import COLUMNS, metadata_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.encoders import Build

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Features:
    """Vectors of n images by feature kind, what is known about each image, and the build behind them.

    `vectors` maps a kind to an (n, d) float32 array (tokens and attention have more axes); `meta` is an
    Arrow table of n rows with the columns of the feature table, unknown values null.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> features = Features.from_arrays(
        ...     rng.normal(size=(4, 8)), labels=[0, 0, 1, 1], generator=[None, None, "adm", "sdxl"]
        ... )
        >>> len(features), features.labels.tolist(), features.groups()[2:].tolist()
        (4, [0, 0, 1, 1], ['fake/adm', 'fake/sdxl'])
    """

    vectors: Mapping[str, Floats]
    meta: pa.Table
    build: Build

    def __post_init__(self) -> None:
        for kind, array in self.vectors.items():
            if len(array) != self.meta.num_rows:
                raise UsageError(
                    f"{kind} has {len(array)} vectors, but there are {self.meta.num_rows} rows of metadata"
                )

    def __len__(self) -> int:
        return int(self.meta.num_rows)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{kind} {array.shape}" for kind, array in self.vectors.items())
        return f"Features({len(self)} images; {shapes}; {self.build.encoder})"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The feature kinds that are loaded."""
        return tuple(self.vectors)

    @property
    def labels(self) -> npt.NDArray[np.int8]:
        """Labels (n,), real 0 and fake 1.

        Raises:
            UsageError: some images have no label.
        """
        column = self.meta.column("label")
        if column.null_count:
            raise UsageError(
                f"{column.null_count} of {len(self)} images have no label; extract from a manifest with a "
                "label column, or give the label of the folder"
            )
        return np.asarray(column.to_numpy(), dtype=np.int8)

    def column(self, name: str) -> npt.NDArray[np.object_]:
        """One column (n,) as Python values, None where unknown; a manifest's own columns by their name.

        Raises:
            UsageError: there is no such column.
        """
        from morelli.features._metadata import expand_column

        return np.array([*expand_column(self.meta, name).to_pylist(), None], dtype=object)[:-1]

    def groups(
        self, *, real_groups: RealGroups = "source", near_duplicate_distance: int | None = 4
    ) -> npt.NDArray[np.object_]:
        """Name of the group (n,) that each image must stay in when the images are split.

        Fakes stay with their `lineage` (with their `generator` where no lineage is known). Reals stay
        with their `source`, or each for itself with ``real_groups="image"``. Images of unknown label,
        lineage or source stand alone. Groups that share an image (same SHA-256) or hold near-duplicates
        of each other (perceptual hashes at most `near_duplicate_distance` of 64 bits apart; None: not
        looked at) become one, named after the first of them.

        Example:
            >>> features = Features.from_arrays(
            ...     np.eye(3), labels=[1, 1, 0], lineage=["gan", "adm", None],
            ...     source=[None, None, "coco"], phash=[0x0F0F0F0F, 0x0F0F0F0E, 0x77777777],
            ... )
            >>> features.groups().tolist()
            ['fake/adm', 'fake/adm', 'real/coco']
        """
        if real_groups not in ("source", "image"):
            raise UsageError(f"real_groups is 'source' or 'image', not {real_groups!r}")
        columns = {name: self.column(name) for name in ("sha256", "label", "generator", "lineage", "source")}
        return group_names(
            **columns, phash=self.column("phash"), real_groups=real_groups, distance=near_duplicate_distance
        )

    def matrix(self, kinds: Sequence[str] | str | None = None) -> Floats:
        """The kinds side by side as one (n, sum of d) matrix; a view where it is one kind.

        Raises:
            UsageError: a kind is not loaded.
        """
        names = self.kinds if kinds is None else (kinds,) if isinstance(kinds, str) else tuple(kinds)
        missing = [kind for kind in names if kind not in self.vectors]
        if missing or not names:
            from morelli.encoders import kind_ranges

            raise UsageError(
                f"no features of kind {kind_ranges(missing) or '(none named)'}; "
                f"loaded are {kind_ranges(self.kinds)}"
            )
        flat = [self.vectors[kind].reshape(len(self), -1) for kind in names]
        return flat[0] if len(flat) == 1 else np.concatenate(flat, axis=1)

    def take(self, rows: Sequence[int] | npt.NDArray[Any]) -> Features:
        """The images at `rows` (numbers, or a mask of n booleans), in that order."""
        index = np.asarray(rows)
        if index.dtype == bool:
            if len(index) != len(self):
                raise UsageError(f"the mask has {len(index)} values for {len(self)} images")
            index = np.flatnonzero(index)
        index = index.astype(np.int64)
        index = np.where(index < 0, index + len(self), index)
        return Features(
            {kind: array[index] for kind, array in self.vectors.items()}, self.meta.take(index), self.build
        )

    @classmethod
    def concat(cls, parts: Sequence[Features]) -> Features:
        """Put several together; they must have the same build and kinds.

        Raises:
            UsageError: nothing to put together, or the kinds differ.
            BuildMismatchError: the parts were made by different builds.
        """
        import pyarrow as pa

        if not parts:
            raise UsageError("concat needs at least one Features")
        first = parts[0]
        for part in parts[1:]:
            if not part.build.matches(first.build):
                raise BuildMismatchError(
                    f"features of {first.build.encoder} (build {first.build.fingerprint}) and of "
                    f"{part.build.encoder} (build {part.build.fingerprint}) cannot be mixed; "
                    "extract both with one build." + first.build.renaming(part.build)
                )
            if set(part.kinds) != set(first.kinds):
                from morelli.encoders import kind_ranges

                raise UsageError(f"kinds differ: {kind_ranges(first.kinds)} and {kind_ranges(part.kinds)}")
        vectors = {kind: np.concatenate([part.vectors[kind] for part in parts]) for kind in first.kinds}
        return cls(
            vectors, pa.concat_tables([part.meta for part in parts], promote_options="default"), first.build
        )

    @classmethod
    def from_arrays(
        cls,
        vectors: Mapping[str, npt.ArrayLike] | npt.ArrayLike,
        labels: Sequence[int | None] | npt.NDArray[Any] | None = None,
        build: Build | None = None,
        **columns: Sequence[Any] | npt.NDArray[Any],
    ) -> Features:
        """Features that did not come out of a table: for tests, and for vectors computed elsewhere.

        Args:
            vectors: kind → (n, d), or one (n, d) array, which is then of kind `final`.
            labels: (n,) real 0, fake 1, None unknown.
            build: what made the vectors; by default a build named `external`, equal for equal dimensions.
            columns: (n,) values of metadata columns; names that the table does not have go to `metadata`.

        An image without `sha256` is identified by the hash of its vectors.

        Raises:
            UsageError: unequal lengths, or a label that is none.
        """
        import pyarrow as pa

        given = vectors if isinstance(vectors, Mapping) else {"final": vectors}
        arrays = {kind: np.ascontiguousarray(array, dtype=np.float32) for kind, array in given.items()}
        if not arrays or len({len(array) for array in arrays.values()}) != 1:
            raise UsageError("from_arrays needs one array per kind, all with the same number of rows")
        n = len(next(iter(arrays.values())))
        values = {name: _listed(name, column, n) for name, column in columns.items()}
        if labels is not None:
            values["label"] = _checked_labels(_listed("labels", labels, n))
        if "sha256" not in values:
            values["sha256"] = [
                hashlib.sha256(b"".join(array[row].tobytes() for array in arrays.values())).hexdigest()
                for row in range(n)
            ]
        values.setdefault("uri", [f"row {row}" for row in range(n)])
        values.setdefault("perturbation", [""] * n)
        extra = [name for name in values if name not in COLUMNS]
        if extra and "metadata" not in values:
            values["metadata"] = [
                json.dumps({name: str(values[name][row]) for name in extra if values[name][row] is not None})
                for row in range(n)
            ]
        schema = metadata_schema()
        meta = pa.table(
            {name: _arrow_column(values.get(name), n, schema.field(name).type) for name in COLUMNS},
            schema=schema,
        )
        return cls(arrays, meta, build or _external_build({k: a.shape[1:] for k, a in arrays.items()}))


def _arrow_column(values: list[Any] | None, n: int, of: pa.DataType) -> pa.Array:
    """`pyarrow.array(values, of)`, all null where there are none.

    pyarrow imports pandas, where that is installed, before it looks at a list: longer than one photograph
    takes to be judged. Nulls and texts, which is all that the path of a verdict has, are put together here.
    """
    import pyarrow as pa

    if values is None:
        return pa.nulls(n, of)
    if of == pa.string() and all(type(value) is str for value in values):
        texts = [value.encode() for value in values]
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        if ends[-1] <= np.iinfo(np.int32).max:
            parts = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(texts))]
            return pa.Array.from_buffers(of, n, parts)
    return pa.array(values, of)


def _listed(name: str, column: Sequence[Any] | npt.NDArray[Any], n: int) -> list[Any]:
    values = column.tolist() if isinstance(column, np.ndarray) else list(column)
    if len(values) != n:
        raise UsageError(f"{name} has {len(values)} values for {n} rows")
    return values


def _checked_labels(labels: list[Any]) -> list[int | None]:
    strange = [one for one in labels if one is not None and (isinstance(one, str) or one not in (0, 1))]
    if strange:
        raise UsageError(f"labels are 0 (real), 1 (fake) or None (unknown), not {strange[0]!r}")
    return [None if one is None else int(one) for one in labels]


def _external_build(shapes: Mapping[str, tuple[int, ...]]) -> Build:
    from morelli.encoders import Build

    described = json.dumps({kind: list(shape) for kind, shape in sorted(shapes.items())})
    return Build(
        encoder="external",
        weights=hashlib.sha256(described.encode()).hexdigest(),
        transform="external",
        dtype="float32",
    )
