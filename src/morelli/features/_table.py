"""The feature table on disk: a Lance dataset with one row per image and perturbation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from morelli.artefacts.targets import check_inside
from morelli.errors import ArtifactError, BuildMismatchError, MorelliError, UsageError
from morelli.features._failures import Failure, read_failures, write_failures
from morelli.features._features import Features, Floats
from morelli.features._lance import open_dataset, reason
from morelli.features._lease import Lease
from morelli.features._metadata import select_columns, stored_columns, with_entries
from morelli.features._one_perturbation import one_perturbation
from morelli.features._rows import arrow_rows
from morelli.features._schema import Dtype, LabelAndGenerator, TableSpec, column_of
from morelli.features._table_folder import SIDE_FOLDER, is_table, refuse_foreign, write_lock

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.encoders import Build

EVERY_AGE = timedelta(days=-3650)
"""Older than ten years from now: also a version from a machine whose clock is ahead of this one's."""
COMPACT_BYTES = 256 * 1024 * 1024
"""Fragments of a finished table hold about this much, so that growing a large table rewrites little of it."""


class FeatureTable:
    """A feature table: `create` a new one, `open` one that is there, read it whole or as a stream.

    One row is one image under one perturbation, identified by (`sha256`, `perturbation`). Every append
    is one atomic version of the dataset: a reader, or a run after a kill, sees whole appends only.

    Example:
        >>> import tempfile
        >>> from morelli.encoders import Build
        >>> build = Build(encoder="clip-vit-b16", weights="ab", transform="clip-224-v1", dtype="float32")
        >>> rows = Features.from_arrays(np.eye(3), labels=[0, 1, 1], build=build)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = FeatureTable.create(Path(folder) / "F.lance", build, {"final": 3})
        ...     table.append(rows)
        ...     len(table), table.vectors("final").shape, table.load(where="label = 1").labels.tolist()
        (3, (3, 3), [1, 1])
    """

    def __init__(self, path: Path, dataset: Any, spec: TableSpec, lease: Lease) -> None:
        self.path = path
        self._lease = lease
        self._dataset = dataset
        self.spec = spec

    @classmethod
    def create(
        cls,
        path: Path | str,
        build: Build,
        kinds: Mapping[str, int | tuple[int, ...]],
        dtype: Dtype = "float32",
    ) -> FeatureTable:
        """Make an empty table.

        Args:
            path: folder to make, by custom `NAME.lance`.
            build: what will make the vectors.
            kinds: feature kind → its length, or its shape where it has several axes.
            dtype: precision in which vectors are stored. They are read as float32 either way; float16
                halves the table and changes a vector by about 2e-4 of its length.

        Raises:
            UsageError: there is a table already, or something else.
        """
        import lance

        path = Path(path)
        shapes = {kind: (shape,) if isinstance(shape, int) else tuple(shape) for kind, shape in kinds.items()}
        spec = TableSpec(build, shapes, dtype)
        if is_table(path):
            raise UsageError(f"{path} exists already; open it, or choose another name")
        refuse_foreign(path)
        path.mkdir(parents=True, exist_ok=True)
        schema = spec.schema()
        dataset = lance.write_dataset(schema.empty_table(), path, schema=schema, mode="create")
        (path / SIDE_FOLDER).mkdir(exist_ok=True)
        return cls(path, dataset, spec, Lease(path / SIDE_FOLDER))

    @staticmethod
    def check_target(path: Path | str) -> None:
        """Raise where no table can be made or added to at `path`: ask before images are read, not after it.

        Raises:
            UsageError: something else than a table is there, or nothing can be written there.
        """
        refuse_foreign(Path(path))
        check_inside(path)

    @classmethod
    def open(cls, path: Path | str) -> FeatureTable:
        """Open a table at its newest version, which stays readable while others extract into the table.

        Raises:
            ArtifactError: there is none, it is damaged, or it is a Lance dataset of another make.
        """
        path = Path(path)
        if not is_table(path):
            raise ArtifactError(f"there is no feature table at {path}; make one with `morelli extract`")
        lease = Lease(path / SIDE_FOLDER)  # first, or a writer could remove the version in between
        dataset = open_dataset(path)
        try:
            spec = TableSpec.from_schema(dataset.schema)
        except MorelliError as error:
            raise type(error)(f"{path}: {error}") from error
        except (ValueError, OSError, KeyError) as error:
            raise ArtifactError(f"the feature table {path} is damaged ({error}); extract again") from error
        return cls(path, dataset, spec, lease)

    @property
    def build(self) -> Build:
        """What made the vectors."""
        return self.spec.build

    @property
    def kinds(self) -> tuple[str, ...]:
        """The feature kinds that every row has."""
        return tuple(self.spec.kinds)

    @property
    def version(self) -> int:
        """Number of the version that is read; grows with every append."""
        return int(self._dataset.version)

    def __len__(self) -> int:
        return int(self._dataset.count_rows())

    def __repr__(self) -> str:
        kinds = ", ".join(self.kinds)
        return f"FeatureTable({str(self.path)!r}, {len(self)} rows, {kinds}, {self.build.encoder})"

    def failures(self) -> list[Failure]:
        """Images that the last finished extraction into this table could not use."""
        return read_failures(self.path / SIDE_FOLDER / "failures.jsonl")

    def check(self, spec: TableSpec) -> None:
        """Raise `BuildMismatchError`, naming each field that differs, unless rows of `spec` belong here."""
        lines = self.spec.differences(spec)
        if lines:
            raise BuildMismatchError(
                f"{self.path} holds other features and one table holds one build only:\n  "
                + "\n  ".join(lines)
                + "\nWrite to another table, or load the encoder and ask for the kinds that this one holds."
                + self.build.renaming(spec.build)
            )

    # Reading

    def vectors(self, kind: str, rows: Sequence[int] | npt.NDArray[np.integer] | None = None) -> Floats:
        """Vectors of one kind, (n, d) float32, in the table's order or of the numbered rows."""
        self._require([kind])
        column = column_of(kind)
        if rows is not None:
            index = np.asarray(rows, dtype=np.int64)
            with _reading(self.path, None):
                found = self._dataset.take(index.tolist(), columns=[column])
            return _as_float32(found.column(column), self.spec.kinds[kind])
        return self._load([kind], [], None)[0][kind]

    def metadata(self, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
        """The columns beside the vectors; by default all, else those named.

        A manifest's own columns can be named like any other. `where` is a Lance (SQL) filter over the
        table's columns, such as ``label = 1 AND width >= 512``.
        """
        meta = self._scan(stored_columns(columns), where)
        return select_columns(meta, columns)

    def one_perturbation(self, wanted: str | None = None, where: str | None = None) -> str | None:
        """A filter for `where` under which no image counts twice: rows of one perturbation alone.

        Args:
            wanted: its id; ``clean``, or an empty text, for images as they are; None: the only one there is.
            where: a further filter, such as ``label IS NOT NULL``.

        Raises:
            UsageError: the table holds several and none is wanted, or it does not hold that one.
        """
        return one_perturbation(self.path, self.perturbations, wanted, where)

    @property
    def perturbations(self) -> list[str]:
        """Ids of the perturbations of its images, sorted; an empty text: images as they are."""
        return sorted({p or "" for p in self.metadata(["perturbation"]).column("perturbation").to_pylist()})

    def load(
        self,
        kinds: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        where: str | None = None,
    ) -> Features:
        """The table, or the rows that `where` selects, in memory.

        Args:
            kinds: feature kinds to read; None for all, an empty list for none.
            columns: metadata columns; None for all, which everything that takes `Features` may rely on.
            where: a Lance (SQL) filter, such as ``perturbation = '' AND era = '2023-2024'``.
        """
        wanted = list(self.kinds if kinds is None else kinds)
        self._require(wanted)
        vectors, meta = self._load(wanted, stored_columns(columns), where)
        self._require_finite(vectors)
        return Features(vectors, select_columns(meta, columns), self.build)

    def batches(
        self,
        kinds: Sequence[str] | None = None,
        batch_size: int = 1024,
        columns: Sequence[str] | None = None,
        where: str | None = None,
    ) -> Iterator[Features]:
        """The same in order and in pieces of `batch_size` rows, a few of them in memory at a time.

        Vectors of a float32 table are views of Lance's buffers, without a copy (and not writable).
        """
        import pyarrow as pa

        wanted = list(self.kinds if kinds is None else kinds)
        self._require(wanted)
        stored = stored_columns(columns)
        reader = self._dataset.to_batches(
            columns=[*stored, *map(column_of, wanted)],
            filter=where,
            batch_size=batch_size,
            strict_batch_size=True,
            batch_readahead=2,
            fragment_readahead=1,
        )
        for batch in _plain_errors(reader, self.path, where):
            part = pa.Table.from_batches([batch])
            vectors = {k: _as_float32(part.column(column_of(k)), self.spec.kinds[k]) for k in wanted}
            self._require_finite(vectors)
            yield Features(vectors, select_columns(part.select(stored), columns), self.build)

    def _require(self, kinds: Sequence[str]) -> None:
        missing = [kind for kind in kinds if kind not in self.spec.kinds]
        if missing:
            from morelli.encoders import kind_ranges

            lacks, has = kind_ranges(missing), kind_ranges(self.kinds)
            raise UsageError(
                f"{self.path} has no features of kind {lacks}; it has {has}. Extract a table with "
                f"--kinds {has},{lacks}."
            )

    def _require_finite(self, vectors: Mapping[str, Floats]) -> None:
        """`morelli extract` writes none: such a table was made elsewhere, or is damaged."""
        for kind, array in vectors.items():
            finite = np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
            wrong = int((~finite).sum())
            if wrong:
                raise ArtifactError(
                    f"{self.path} holds {wrong:,} rows of {kind} with NaN or infinity; extract them again"
                )

    def _scan(self, columns: Sequence[str], where: str | None) -> pa.Table:
        with _reading(self.path, where):
            return self._dataset.to_table(columns=list(columns), filter=where).replace_schema_metadata()

    def _load(
        self, kinds: Sequence[str], columns: Sequence[str], where: str | None
    ) -> tuple[dict[str, Floats], pa.Table]:
        """Vectors into arrays that are allocated once, so that memory peaks at the result plus a batch."""
        meta = self._scan(columns or ["sha256"], where)
        vectors = {
            kind: np.empty((meta.num_rows, *self.spec.kinds[kind]), dtype=np.float32) for kind in kinds
        }
        if kinds:
            at = 0
            names = [column_of(kind) for kind in kinds]
            rows = max(1, 32 * 1024 * 1024 // self.spec.row_bytes)
            reader = self._dataset.to_batches(columns=names, filter=where, batch_size=rows, batch_readahead=2)
            for batch in _plain_errors(reader, self.path, where):
                for kind, name in zip(kinds, names, strict=True):
                    flat = batch.column(name).flatten().to_numpy(zero_copy_only=True)
                    vectors[kind][at : at + len(batch)] = flat.reshape(len(batch), *self.spec.kinds[kind])
                at += len(batch)
        return vectors, meta

    # Writing

    @contextmanager
    def writing(self) -> Iterator[FeatureTable]:
        """Hold the table's lock, and first remove what a killed writer left behind.

        Raises:
            ArtifactError: another process is writing.
        """
        with write_lock(self.path):
            self.refresh()
            self.clean()
            yield self

    def append(self, rows: Features) -> None:
        """Add rows as one atomic version.

        Raises:
            BuildMismatchError: they were made by another build, or have other kinds.
            UsageError: a row is there already, or twice among `rows`.
        """
        self.check(TableSpec(rows.build, {k: v.shape[1:] for k, v in rows.vectors.items()}, self.spec.dtype))
        with self.writing():
            new = list(_identities(rows.meta))
            present = self.identities()
            repeated = len(new) - len(set(new) - present)
            if repeated:
                raise UsageError(
                    f"{repeated} of {len(new)} rows are in {self.path} already, or twice among these"
                )
            self.append_batch(rows.meta, rows.vectors)

    def relabel(self, sha256: str, label: int | None, more: Mapping[str, str] | None = None) -> None:
        """Give all rows of one image (SHA-256, hex) another label, as one atomic version; none is no error.

        Args:
            sha256: the image, 64 hexadecimal digits.
            label: real 0, fake 1, None unknown.
            more: entries of the JSON column `metadata` to set as well; those of other names stay.

        Raises:
            UsageError: no SHA-256, or a label other than 0, 1 and None.
            ArtifactError: the stored metadata is no JSON object.
        """
        if not re.fullmatch("[0-9a-f]{64}", sha256) or label not in (0, 1, None):
            raise UsageError(f"an image has a SHA-256 and the label 0, 1 or None, not {sha256!r}, {label!r}")
        import pyarrow as pa

        with self.writing():
            rows = self.metadata(
                ["sha256", "perturbation", "label", "metadata"], f"sha256 = '{sha256}'"
            ).to_pylist()
            for row in rows:
                row["label"] = label
                if more:
                    row["metadata"] = with_entries(row["metadata"], more)
            if rows:
                schema = pa.schema([self.arrow_schema.field(name) for name in rows[0]])
                merge = self._dataset.merge_insert(["sha256", "perturbation"]).when_matched_update_all()
                merge.execute(pa.Table.from_pylist(rows, schema=schema))

    def append_batch(self, meta: pa.Table, vectors: Mapping[str, Floats]) -> None:
        """Add rows without looking for duplicates; the caller holds `writing` and knows `identities`."""
        import lance

        rows = arrow_rows(meta, vectors, self.kinds, self.spec.dtype, self.arrow_schema)
        self._dataset = lance.write_dataset(rows, self._dataset, mode="append")

    @property
    def arrow_schema(self) -> pa.Schema:
        """Schema that rows of the table are written in."""
        return self._dataset.schema

    def commit(self, fragments: Sequence[Any]) -> None:
        """Add fragments that were written into the table's folder, in their order, as one version.

        The caller holds `writing`, and knows that none of their rows is there.
        """
        import lance

        change = lance.LanceOperation.Append(list(fragments))
        self._dataset = lance.LanceDataset.commit(self._dataset, change, read_version=self._dataset.version)

    def refresh(self) -> None:
        """Read the newest version from here on."""
        self._dataset.checkout_latest()

    def identities(self) -> set[tuple[bytes, str]]:
        """(SHA-256 of the bytes, perturbation id) of every row."""
        return set(_identities(self._dataset.to_table(columns=["sha256", "perturbation"])))

    def labels(self) -> dict[tuple[bytes, str], int | None]:
        """The label (0 real, 1 fake, None unknown) of every row, by what `identities` gives."""
        meta = self._dataset.to_table(columns=["sha256", "perturbation", "label"])
        return dict(zip(_identities(meta), meta.column("label").to_pylist(), strict=True))

    def labels_and_generators(self) -> dict[tuple[bytes, str], LabelAndGenerator]:
        """Label and generator of every row, by what `identities` gives."""
        meta = self._dataset.to_table(columns=["sha256", "perturbation", "label", "generator"])
        # A table has few different ones: rows share them.
        shared: dict[LabelAndGenerator, LabelAndGenerator] = {}
        pairs = zip(meta.column("label").to_pylist(), meta.column("generator").to_pylist(), strict=True)
        return dict(zip(_identities(meta), (shared.setdefault(p, p) for p in pairs), strict=True))

    def digests(self, perturbation: str) -> Iterator[tuple[list[bytes], list[int | None]]]:
        """SHA-256 and label of the rows of one perturbation ("" for none), a few thousand at a time."""
        reader = self._dataset.to_batches(
            columns=["sha256", "label"],
            filter=f"perturbation = '{perturbation.replace(chr(39), 2 * chr(39))}'",
        )
        for batch in reader:
            texts = batch.column("sha256").to_pylist()
            yield [bytes.fromhex(text) for text in texts], batch.column("label").to_pylist()

    def compact(self) -> None:
        """Join the small fragments of many appends into large ones; the rows' order stays."""
        rows = max(1024, COMPACT_BYTES // self.spec.row_bytes)
        if sum(f.physical_rows < rows for f in self._dataset.get_fragments()) > 1:
            batch = min(rows, max(1, 1024 * 1024 // self.spec.row_bytes))
            self._dataset.optimize.compact_files(
                target_rows_per_fragment=rows, batch_size=batch, num_threads=1
            )
            self.refresh()

    def clean(self) -> None:
        """Remove older versions and files that no version refers to, as a kill leaves them.

        Safe because the caller holds the lock: no append can be under way. While others have the table open,
        nothing is removed; the next writer does.
        """
        with self._lease.alone() as alone:
            if alone:
                self._dataset.cleanup_old_versions(older_than=EVERY_AGE, delete_unverified=True)
                # Lance writes these files under another name first, and does not look for such names again.
                for folder in ("_transactions", "_versions"):
                    for unfinished in (self.path / folder).glob(".tmp*"):
                        unfinished.unlink(missing_ok=True)

    def record_failures(self, failures: Sequence[Failure]) -> None:
        """Replace the record that `failures` reads."""
        (self.path / SIDE_FOLDER).mkdir(exist_ok=True)
        write_failures(self.path / SIDE_FOLDER / "failures.jsonl", failures)


def _identities(meta: pa.Table) -> Iterator[tuple[bytes, str]]:
    shas, perturbations = meta.column("sha256"), meta.column("perturbation")
    for sha, perturbation in zip(shas.to_pylist(), perturbations.to_pylist(), strict=True):
        yield bytes.fromhex(sha), perturbation


def _as_float32(column: pa.ChunkedArray, shape: tuple[int, ...]) -> Floats:
    """(n, *shape) of a fixed-size-list column; a view where it is one chunk of float32."""
    parts = [chunk.flatten().to_numpy(zero_copy_only=True).reshape(-1, *shape) for chunk in column.chunks]
    if not parts:
        return np.empty((0, *shape), dtype=np.float32)
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return whole.astype(np.float32, copy=False)


def _plain_errors(reader: Iterator[Any], path: Path, where: str | None) -> Iterator[Any]:
    with _reading(path, where):
        yield from reader


@contextmanager
def _reading(path: Path, where: str | None) -> Iterator[None]:
    """What Lance says of a table that changed, or of a filter, as an error that says the next step."""
    try:
        yield
    except (ValueError, OSError) as error:
        if "Not found" in str(error):
            raise ArtifactError(
                f"{path} was written again while it was open here, and the version that was open is gone; "
                "open it again"
            ) from error
        if isinstance(error, ValueError) and where is not None:
            raise UsageError(f"the filter {where!r} cannot be used: {error}") from error
        raise ArtifactError(f"{path} cannot be read ({reason(error)}); extract again") from error


def open_or_create(path: Path, spec: TableSpec) -> FeatureTable:
    """The table at `path`, which takes rows of `spec`; an empty one where there is none.

    Raises:
        BuildMismatchError: there is one that does not take them.
    """
    if not is_table(path):
        return FeatureTable.create(path, spec.build, spec.kinds, spec.dtype)
    table = FeatureTable.open(path)
    table.check(spec)
    return table
