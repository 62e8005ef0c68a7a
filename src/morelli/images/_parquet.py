"""Parquet and Arrow files: rows as text, and columns that hold the pictures themselves."""

from __future__ import annotations

import json
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from morelli.errors import ImageError, UsageError
from morelli.images._arrow import SUFFIX as ARROW
from morelli.images._arrow import ArrowFile, open_table
from morelli.images._declared import declared_classes, names_of
from morelli.images._files import read_file, too_many_bytes
from morelli.images._instead import UnreadableTableError, check_table
from morelli.images._item import ImageItem, printable
from morelli.images._limits import Limits
from morelli.images._sniff import HEAD_BYTES, other_format, sniff

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_BATCH = 4096
_KEPT_GROUPS = 2
_MOST_GROUP = 4 << 30
_LONGEST_PATH = 4096


@dataclass(frozen=True)
class ParquetTable:
    """What a Parquet file's schema says: its columns, class names, and which column holds pictures."""

    path: str
    columns: tuple[str, ...]
    classes: Mapping[str, tuple[str, ...]]
    pictures: str | None

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """(number, row) from 1, values as text; of a column of pictures the path that stands beside each.

        A number that the file declares as a class (Hugging Face's ClassLabel) becomes the class's name:
        there 0 may well be FAKE.
        """
        import pyarrow

        name = Path(self.path).name
        try:
            with open_table(self.path) as file:
                columns = self._readable(file.schema_arrow)
                if columns == []:  # nothing but pictures
                    yield from ((number, {}) for number in range(1, file.metadata.num_rows + 1))
                    return
                number = 0
                for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
                    for row in batch.to_pylist():
                        number += 1
                        yield number, {key: self._text(key, value) for key, value in row.items()}
        except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
            raise UnreadableTableError(f"{name} is not a readable {_format(name)} file: {error}") from error

    def _readable(self, schema: pa.Schema) -> list[str] | None:
        """The columns that are read while listing, None for all: pictures' bytes are left where they are."""
        found = []
        for field in schema:
            if _holds_bytes(field.type):
                if field.type.get_field_index("path") >= 0:
                    found.append(f"{field.name}.path")
            elif field.name != self.pictures:
                found.append(field.name)
        return None if found == schema.names else found

    def _text(self, column: str, value: Any) -> str:
        if value is None:
            return ""
        if column == self.pictures:
            return _plain(value.get("path")) if isinstance(value, dict) else ""
        names = self.classes.get(column)
        if names is not None and isinstance(value, int):
            return names[value] if 0 <= value < len(names) else ""  # -1: the class is not known
        if isinstance(value, dict) and value.keys() <= {"bytes", "path"}:
            return _plain(value.get("path"))  # another picture
        return _plain(value)


def open_parquet(path: str, columns_of: Callable[[Sequence[str]], tuple[str, ...]]) -> ParquetTable:
    """Read a Parquet file's schema; `columns_of` gives, for its columns, the names of a column of images.

    A column holds pictures where it is a struct with ``bytes`` (and ``path``), as Hugging Face writes it,
    or of binary values that are no paths.

    Raises:
        UsageError: no readable Parquet file, or a column of images that is neither paths nor pictures.
    """
    import pyarrow

    name = Path(path).name
    check_table(path, text=False)
    try:
        with open_table(path) as file:
            schema = file.schema_arrow
            if twice := sorted({column for column in schema.names if schema.names.count(column) > 1}):
                raise UsageError(f"{name} has several columns called {twice[0]!r}; keep the one that counts")
            features = _features(schema)
            path_columns = columns_of(schema.names)
            pictures = _picture_column(file, schema, features, path_columns, name)
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
        raise UnreadableTableError(f"{name} is not a readable {_format(name)} file: {error}") from error
    classes = {}
    for column, feature in features.items():
        names = names_of(feature.get("names"))
        if feature.get("_type") == "ClassLabel" and names is not None:
            classes[column] = names
    if any(pyarrow.types.is_integer(f.type) and f.name not in features for f in schema):
        for column, names in declared_classes(Path(path)).items():
            if column not in features:
                classes[column] = names
    if pictures is None:
        for column in path_columns:
            if column in schema.names:
                _check_paths(schema.field(column).type, column, name)
                break
    return ParquetTable(path, tuple(schema.names), classes, pictures)


class ParquetPictures:
    """The pictures in one column; a row group is read where one of its rows is asked for."""

    def __init__(self, table: ParquetTable, base: Path, limits: Limits) -> None:
        self._table = table
        self._base = base
        self._limits = limits
        self._lock = threading.Lock()
        self._groups: OrderedDict[int, pa.ChunkedArray] = OrderedDict()
        self._ends: list[int] = []

    def __reduce__(self) -> tuple[type[ParquetPictures], tuple[ParquetTable, Path, Limits]]:
        return type(self), (self._table, self._base, self._limits)  # another process reads for itself

    def item(self, number: int, path: str) -> ImageItem:
        """The item of row `number` (from 1), called ``FILE::NUMBER`` and the name that stands beside it."""
        beside = PurePath(path.replace("\\", "/")).name
        if beside in (".", ".."):
            beside = ""
        uri = printable(f"{self._table.path}::{number}" + (f"/{beside}" if beside else ""))
        return ImageItem(uri, partial(self._read, number - 1, uri, path))

    def _read(self, row: int, uri: str, path: str) -> bytes:
        import pyarrow

        try:
            with self._lock:
                value = self._value(row)
        except (pyarrow.ArrowException, OSError, ValueError, IndexError, KeyError) as error:
            raise ImageError("damaged", f"{uri} cannot be read: {error}") from error
        if value is None and path:
            return read_file(str(self._base / path), self._limits)
        if value is None:
            raise ImageError("empty", f"{uri} holds no picture")
        if value.size > self._limits.max_bytes:
            raise too_many_bytes(uri, value.size, self._limits)
        return bytes(value.to_pybytes())

    def _value(self, row: int) -> pa.Buffer | None:

        if not self._ends:
            with open_table(self._table.path) as file:
                self._ends = _ends(file)
        group = bisect_right(self._ends, row)
        if group == len(self._ends):
            raise ValueError("the file has fewer rows than when it was listed")
        if group not in self._groups:
            with open_table(self._table.path) as file:
                self._groups[group] = self._load(file, group)
            while len(self._groups) > _KEPT_GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end(group)
        scalar = self._groups[group][row - (self._ends[group - 1] if group else 0)]
        return scalar.as_buffer() if scalar.is_valid else None

    def _load(self, file: pq.ParquetFile | ArrowFile, group: int) -> pa.ChunkedArray:
        import pyarrow.compute

        column = str(self._table.pictures)
        # The whole group's size: to ask for that of one column ends the process where a file is damaged in
        # the right place (pyarrow 26.0.1), and nothing could catch that.
        size = file.metadata.row_group(group).total_byte_size
        if size > _MOST_GROUP:
            raise ValueError(f"a row group of {size:,} bytes is too large; write smaller row groups")
        values = file.read_row_group(group, columns=[column]).column(column)
        if _is_struct(values.type):
            values = pyarrow.compute.struct_field(values, "bytes")
        if pyarrow.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        return values.cast(pyarrow.large_binary()) if pyarrow.types.is_binary_view(values.type) else values


def _plain(value: Any) -> str:
    """A value as text; bytes of another thing than text are nothing to read."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return ""
    return "" if value is None else str(value)


def _format(name: str) -> str:
    return "Arrow" if name.lower().endswith(ARROW) else "Parquet"


def _ends(file: pq.ParquetFile | ArrowFile) -> list[int]:
    ends, total = [], 0
    for group in range(file.metadata.num_row_groups):
        total += file.metadata.row_group(group).num_rows
        ends.append(total)
    return ends


def _features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """What Hugging Face's `datasets` wrote about the columns, by name; empty where it wrote nothing."""
    try:
        found = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = found["info"]["features"]
        return {str(k): v for k, v in features.items() if isinstance(v, dict)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _picture_column(
    file: pq.ParquetFile | ArrowFile,
    schema: pa.Schema,
    features: dict[str, dict[str, Any]],
    path_columns: tuple[str, ...],
    name: str,
) -> str | None:
    """The column that holds pictures: the one with an image's name, else the only one of its kind."""
    named = [column for column in path_columns if column in schema.names]
    for column in named:
        if _holds_bytes(schema.field(column).type):
            return column
        if _is_binary(schema.field(column).type) and _begins_with_a_picture(file, column):
            return column
    others = [f.name for f in schema if _holds_bytes(f.type) and f.name not in named]
    declared = [each for each in others if features.get(each, {}).get("_type") == "Image"]
    if named:  # a column of paths comes first, unless the file declares where its pictures are
        return str(declared[0]) if len(declared) == 1 else None
    if not others:
        others = [f.name for f in schema if _is_binary(f.type) and _begins_with_a_picture(file, f.name)]
    for found in (declared, others):
        if len(found) == 1:
            return str(found[0])
    if others:
        raise UsageError(
            f"{name}: several columns hold pictures ({', '.join(others)}); name the one to read "
            "(--image-column), or rename it to 'image'"
        )
    return None


def _check_paths(kind: pa.DataType, column: str, name: str) -> None:
    from pyarrow import types

    if types.is_nested(kind):
        raise UsageError(
            f"{name}: column {column!r} holds {kind}, which is neither paths nor one picture a row; "
            "write one picture or one path a row"
        )


def _is_struct(kind: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_struct(kind))


def _is_binary(kind: pa.DataType) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _holds_bytes(kind: pa.DataType) -> bool:
    if not _is_struct(kind):
        return False
    at = kind.get_field_index("bytes")
    return at >= 0 and _is_binary(kind.field(at).type)


def _begins_with_a_picture(file: pq.ParquetFile | ArrowFile, column: str) -> bool:
    for batch in file.iter_batches(batch_size=16, columns=[column]):
        for value in batch.column(0).to_pylist():
            if value:
                head = value[:HEAD_BYTES]
                return sniff(head) is not None or other_format(head) is not None or _is_no_path(value)
    return False


def _is_no_path(value: bytes) -> bool:
    try:
        return len(value) > _LONGEST_PATH or "\x00" in value.decode("utf-8")
    except UnicodeDecodeError:
        return True
