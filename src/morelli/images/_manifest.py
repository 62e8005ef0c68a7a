"""CSV and Parquet manifests: one row per image, with its label and whatever else is known."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from morelli.errors import UsageError
from morelli.images._files import file_item
from morelli.images._item import ImageItem
from morelli.images._labels import UNKNOWN, label_of
from morelli.images._limits import Limits

SUFFIXES = frozenset({".csv", ".tsv", ".parquet"})
_PATH_COLUMNS = ("path", "image", "file", "filename", "image_path", "file_name")
_BATCH = 4096


def iter_manifest(
    manifest: str, limits: Limits, root: str | None, claim: Callable[[str], bool]
) -> Iterator[ImageItem]:
    """The images of a manifest in the order of its rows.

    A manifest has a column ``path`` (or image, file, filename), relative to `root` or else to the
    manifest's own folder; absolute paths and ``..`` are taken as they are, because a manifest is
    the user's own. ``label`` (real, fake, 0, 1, ai, generated, …; empty for unknown) and
    ``generator`` are understood; every other column goes into the metadata as text.

    Raises:
        UsageError: the file cannot be parsed, has no such column, or has a label of another kind.
    """
    name = Path(manifest).name
    base = Path(root) if root is not None else Path(manifest).parent
    column = None
    for number, row in _rows(manifest):
        if column is None:
            column = _path_column(row, name)
        where = row[column].strip()
        if not where:
            raise UsageError(
                f"{name}, row {number}: column {column!r} is empty; every row must name an image"
            )
        if "\x00" in where:
            raise UsageError(f"{name}, row {number}: column {column!r} holds a NUL character")
        path = str(base / where)
        if not claim(path):
            continue
        item = file_item(path, path, limits)
        metadata = {k: v for k, v in row.items() if k not in (column, "label", "generator") and v != ""}
        yield ImageItem(
            item.uri, item.read, _label(row, number, name), row.get("generator") or None, metadata
        )


def _path_column(row: Mapping[str, str], name: str) -> str:
    for column in _PATH_COLUMNS:
        if column in row:
            return column
    raise UsageError(
        f"{name} has no column 'path' (nor image, file, filename); its columns are {', '.join(row) or 'none'}"
    )


def _label(row: Mapping[str, str], number: int, name: str) -> int | None:
    text = row.get("label", "")
    if text.strip().lower() in UNKNOWN:
        return None
    label = label_of(text)
    if label is None:
        raise UsageError(
            f"{name}, row {number}: label {text!r} is not understood; use real/0 or fake/1, or leave it empty"
        )
    return label


def _rows(manifest: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(number, row) with every value as text; rows are numbered from 1, the header not counted."""
    if manifest.lower().endswith(".parquet"):
        yield from _parquet_rows(manifest)
    else:
        yield from _csv_rows(manifest)


def _csv_rows(manifest: str) -> Iterator[tuple[int, dict[str, str]]]:
    name = Path(manifest).name
    delimiter = "\t" if manifest.lower().endswith(".tsv") else ","
    try:
        # utf-8-sig: spreadsheets write a byte order mark, which would become part of the first column.
        with Path(manifest).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = [column.strip() for column in next(reader, [])]
            if not header:
                raise UsageError(f"{name} is empty; a manifest needs a header with a column 'path'")
            _path_column(dict.fromkeys(header, ""), name)
            number = 0
            for values in reader:
                if not values:
                    continue
                number += 1
                if len(values) > len(header):
                    counts = f"{len(values)} values for {len(header)} columns"
                    raise UsageError(f"{name}, row {number}: {counts}; quote values with commas")
                yield number, dict(zip_longest(header, values, fillvalue=""))
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text ({error.reason}); save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise UsageError(f"{name} is not a readable CSV file: {error}") from error
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from error


def _parquet_rows(manifest: str) -> Iterator[tuple[int, dict[str, str]]]:
    import pyarrow
    import pyarrow.parquet

    name = Path(manifest).name
    try:
        with pyarrow.parquet.ParquetFile(manifest) as file:
            _path_column(dict.fromkeys(file.schema_arrow.names, ""), name)
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, {key: _text(value) for key, value in row.items()}
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise UsageError(f"{name} is not a readable Parquet file: {error}") from error


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
