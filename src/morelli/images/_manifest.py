"""CSV and Parquet manifests: one row per image, with its label and whatever else is known."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from morelli.errors import UsageError
from morelli.images._csv import csv_rows
from morelli.images._files import file_item
from morelli.images._item import ImageItem, printable, problem_item
from morelli.images._labels import UNKNOWN, label_of
from morelli.images._limits import Limits
from morelli.images._parquet import ParquetPictures, ParquetTable, open_parquet

SUFFIXES = frozenset({".csv", ".tsv", ".parquet"})
_PATH_COLUMNS = ("path", "image", "file", "filename", "image_path", "file_name")
_KNOWN_COLUMNS = frozenset({*_PATH_COLUMNS, "label", "generator"})
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://|data:[a-z]+/", re.IGNORECASE)


def iter_manifest(
    manifest: str, limits: Limits, root: str | None, claim: Callable[[str], bool]
) -> Iterator[ImageItem]:
    """The images of a manifest in the order of its rows.

    A manifest has a column ``path`` (or image, file, filename), relative to `root` or else to the
    manifest's own folder; absolute paths and ``..`` are taken as they are, because a manifest is
    the user's own. ``label`` (real, fake, 0, 1, ai, generated, …; empty for unknown) and
    ``generator`` are understood; every other column goes into the metadata as text. Upper and lower
    case of these names count alike. A Parquet file may hold the pictures themselves in that column,
    or in its only column of pictures.

    Raises:
        UsageError: the file cannot be parsed, has no such column, or has a label of another kind.
    """
    name = Path(manifest).name
    base = Path(root) if root is not None else Path(manifest).parent
    if manifest.lower().endswith(".parquet"):
        table = open_parquet(manifest, _PATH_COLUMNS)
        if table.pictures is not None:
            yield from _iter_pictures(table, base, limits, claim)
            return
        _path_column([_plain_name(column, table.columns) for column in table.columns], name)
        rows, other_task = table.rows(), _is_other_task(table)
    else:
        rows, other_task = csv_rows(manifest, lambda header: _check_header(header, name)), False
    column = None
    for number, written in rows:
        row = _plain_names(written)
        if column is None:
            column = _path_column(list(row), name)
        where = row[column].strip()
        if not where:
            raise UsageError(
                f"{name}, row {number}: column {column!r} is empty; every row must name an image"
            )
        if "\x00" in where:
            raise UsageError(f"{name}, row {number}: column {column!r} holds a NUL character")
        label, metadata = _facts(row, number, name, other_task=other_task)
        metadata.pop(column, None)
        generator = row.get("generator") or None
        path = _local_path(base, where)
        if path is None:
            if claim(where):
                text = printable(where if len(where) <= 200 else where[:200] + "…")
                message = f"{text} is a remote address; download it first and give the local path"
                yield problem_item(text, "remote_address", message, label, generator)
            continue
        if not claim(path):
            continue
        item = file_item(path, path, limits)
        yield ImageItem(item.uri, item.read, label, generator, metadata)


def _iter_pictures(
    table: ParquetTable, base: Path, limits: Limits, claim: Callable[[str], bool]
) -> Iterator[ImageItem]:
    name = Path(table.path).name
    other_task = _is_other_task(table)
    pictures = ParquetPictures(table, base, limits)
    for number, written in table.rows():
        item = pictures.item(number, written.pop(str(table.pictures), ""))
        row = _plain_names(written)
        label, metadata = _facts(row, number, name, other_task=other_task)
        if claim(item.uri):
            yield ImageItem(item.uri, item.read, label, row.get("generator") or None, metadata)


def _local_path(base: Path, where: str) -> str | None:
    """The file that a row means; None for an address that is not in the file system."""
    path = str(base / where)
    if _ADDRESS.match(where) and not os.path.lexists(path):
        if not where.lower().startswith(("file:///", "file://localhost/")):
            return None
        return unquote(where[where.index("/", 7) :])
    if where.startswith("~") and not os.path.lexists(path):
        return os.path.expanduser(where) if where.startswith("~/") else path  # noqa: PTH111 - stays text
    if "\\" in where and os.sep == "/" and not os.path.lexists(path):
        turned = str(base / where.replace("\\", "/"))  # written on Windows
        return turned if os.path.lexists(turned) else path
    return path


def _check_header(header: Sequence[str], name: str) -> None:
    _path_column([_plain_name(column, header) for column in header], name)


def _path_column(columns: Sequence[str], name: str) -> str:
    for column in _PATH_COLUMNS:
        if column in columns:
            return column
    raise UsageError(
        f"{name} has no column 'path' (nor image, file, filename); "
        f"its columns are {', '.join(columns) or 'none'}"
    )


def _plain_names(row: Mapping[str, str]) -> dict[str, str]:
    """`row` with the names of the columns that are understood in lower case."""
    return {_plain_name(column, row): value for column, value in row.items()}


def _plain_name(column: str, columns: Sequence[str] | Mapping[str, str]) -> str:
    low = column.lower()
    return low if low in _KNOWN_COLUMNS and (low == column or low not in columns) else column


def _facts(
    row: Mapping[str, str], number: int, name: str, *, other_task: bool
) -> tuple[int | None, dict[str, str]]:
    """Label and metadata of a row; the class of another task is metadata."""
    metadata = {k: v for k, v in row.items() if k not in ("label", "generator") and v != ""}
    if not other_task:
        return _label(row, number, name), metadata
    if row.get("label"):
        metadata["label"] = row["label"]
    return None, metadata


def _is_other_task(table: ParquetTable) -> bool:
    """True where the file's own list of classes holds none that is named real or fake."""
    names = next((n for column, n in table.classes.items() if column.lower() == "label"), ())
    strange = [n for n in names if label_of(n) is None and n.strip().lower() not in UNKNOWN]
    # Among ten digits, 0 and 1 are digits.
    return bool(strange) and not any(label_of(n) is not None and not n.strip().isdigit() for n in names)


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
