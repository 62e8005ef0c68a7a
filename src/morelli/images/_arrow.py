"""Tables of pictures in Arrow's own format, as Hugging Face's `datasets` saves them to a disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SUFFIX = ".arrow"
_INFO = "dataset_info.json"
_MOST_INFO = 16 << 20


def open_table(path: str) -> pq.ParquetFile | ArrowFile:
    """A Parquet or an Arrow file, by its name; raises what pyarrow raises."""
    import pyarrow.parquet

    return ArrowFile(path) if path.lower().endswith(SUFFIX) else pyarrow.parquet.ParquetFile(path)


class ArrowFile:
    """An Arrow file (stream or random access) with the part of `ParquetFile` that is needed here.

    A record batch stands for a row group. The file is mapped into memory, and what is read of a batch is
    checked first: offsets in a damaged file would lead outside it.
    """

    def __init__(self, path: str) -> None:
        import pyarrow

        self._file = pyarrow.memory_map(path)
        try:
            try:
                reader = pyarrow.ipc.open_stream(self._file)
                self._batches = list(reader)
            except pyarrow.ArrowInvalid:
                self._file.seek(0)
                reader = pyarrow.ipc.open_file(self._file)
                self._batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
        except BaseException:
            self._file.close()
            raise
        self.schema_arrow: pa.Schema = _with_features(reader.schema, Path(path).parent / _INFO)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._batches = []
        self._file.close()

    @property
    def metadata(self) -> _Groups:
        """Rows and batches of the file."""
        return _Groups([batch.num_rows for batch in self._batches])

    def iter_batches(
        self, *, batch_size: int, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Batches of at most `batch_size` rows; a column ``image.path`` is that field of a struct alone."""
        import pyarrow

        for index in range(len(self._batches)):
            batch = _plausible(self._batches[index])
            names = batch.schema.names if columns is None else columns
            arrays = {}
            for name in names:
                if name in batch.schema.names:
                    arrays[name] = batch.column(name)
                else:
                    outer, _, inner = name.rpartition(".")
                    arrays[outer] = pyarrow.StructArray.from_arrays(
                        [batch.column(outer).field(inner)], [inner]
                    )
            taken = pyarrow.RecordBatch.from_arrays(list(arrays.values()), list(arrays))
            taken.validate(full=True)
            for start in range(0, taken.num_rows, batch_size):
                yield taken.slice(start, batch_size)

    def read_row_group(self, index: int, *, columns: Sequence[str]) -> pa.Table:
        """One batch as a table of these columns."""
        import pyarrow

        table = pyarrow.Table.from_batches([_plausible(self._batches[index])]).select(list(columns))
        table.validate(full=True)
        return table


def _plausible(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, if its lengths fit; to take a field of one that has not as many rows ends the process.

    Raises:
        ValueError: they do not.
    """
    if batch.num_rows < 0:
        raise ValueError("a record batch says that it has fewer than no rows")
    batch.validate()
    return batch


class _Groups:
    """What `ParquetFile.metadata` says of rows and groups; no sizes, as nothing is decompressed."""

    total_byte_size = 0

    def __init__(self, rows: list[int]) -> None:
        self._rows = rows
        self.num_rows = sum(rows)
        self.num_row_groups = len(rows)

    def row_group(self, index: int) -> _Groups:
        """The part of one group."""
        return _Groups([self._rows[index]])


def _with_features(schema: pa.Schema, info: Path) -> pa.Schema:
    """The schema, with the class names of ``dataset_info.json`` beside it where it has none itself."""
    if b"huggingface" in (schema.metadata or {}):
        return schema
    try:
        with info.open("rb") as file:
            features = json.loads(file.read(_MOST_INFO))["features"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return schema
    declared = json.dumps({"info": {"features": features}})
    return schema.with_metadata({**(schema.metadata or {}), b"huggingface": declared.encode()})
