"""CSV, JSON Lines, Parquet and Arrow manifests: one row per image, with its label and what else is known."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath
from urllib.parse import unquote

from morelli.errors import UsageError
from morelli.images._csv import csv_rows
from morelli.images._files import file_item
from morelli.images._item import ImageItem, printable, problem_item
from morelli.images._jsonl import SUFFIXES as JSONL
from morelli.images._jsonl import jsonl_rows
from morelli.images._labels import FAKE, REAL, UNKNOWN, contradiction, label_in_column, label_of
from morelli.images._limits import Limits
from morelli.images._parquet import ParquetPictures, ParquetTable, open_parquet
from morelli.images._remote import remote_item
from morelli.images.layouts import split_of_folders, table_layout

SUFFIXES = frozenset({".csv", ".tsv", ".parquet", ".arrow", ".jsonl", ".ndjson"})
_PATH_COLUMNS = ("path", "image", "file", "filename", "image_path", "file_name")
_KNOWN_COLUMNS = frozenset({*_PATH_COLUMNS, "label", "generator"})
# Read by evaluation, in any case too; of two of these the first counts.
_FURTHER_COLUMNS = frozenset({"lineage", "source", "era", "family", "split"})
# "train-00000-of-00012.parquet" and "test-00000-of-00001-0f3a….parquet", as data sets are split over files;
# "train/0000.parquet", as the hub converts them.
_SHARD = re.compile(
    r"(train|training|val|valid|validation|dev|test|testing|eval)"
    r"[-_.]\d+[-_]of[-_]\d+(?:-[0-9a-f]+)?\.(?:parquet|arrow)"
)
_NUMBERED = re.compile(r"(?:data-)?\d+(?:-of-\d+)?\.(?:parquet|arrow)")
_PARTITION = re.compile(r"([A-Za-z_][\w%-]*)=(.+)")
_LONGEST_PATH = 32_768
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
# A picture as base64 text: so much of its 64 letters that it is no path.
_INLINE = re.compile(r"[A-Za-z0-9+/\s]{1000,}={0,2}$")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://|data:[a-z]+/", re.IGNORECASE)

_LabelAndGenerator = tuple[int | None, str | None]
"""Label and generator of a row."""


class NoImagesError(UsageError):
    """A table that has no column of images."""


@dataclass(frozen=True)
class Columns:
    """What the caller says of a manifest's columns: those of images and labels, and the layout by name."""

    image: str | None = None
    label: str | None = None
    layout: str | None = None


@dataclass(frozen=True)
class _Roles:
    """Which column of a manifest is what; None where there is none."""

    image: str
    label: str | None
    generator: str | None
    source: str | None = None
    title: str | None = None


def iter_manifest(
    manifest: str,
    limits: Limits,
    root: str | None,
    claim: Callable[[str], bool],
    columns: Columns,
    *,
    remote: bool = False,
    listed: Callable[[str], Iterator[ImageItem]] = lambda _: iter(()),
) -> Iterator[ImageItem]:
    """The images of a manifest in the order of its rows.

    A manifest has a column ``path`` (or image, file, filename), relative to `root` or else to the
    manifest's own folder; absolute paths and ``..`` are taken as they are, because a manifest is
    the user's own. ``label`` (real, fake, 0, 1, ai, generated, …; empty for unknown) and
    ``generator`` are understood; every other column goes into the metadata as text. Upper and lower
    case of these names count alike. A Parquet file may hold the pictures themselves in that column,
    or in its only column of pictures. `columns` names others, and a table with the columns of a known
    layout is read as that. Addresses are problems unless `remote`.
    A row may name a member as outputs do, ``set.zip::a.png``: `listed` gives the items of an archive.

    Raises:
        UsageError: the file cannot be parsed, has no such column, has a label of another kind, or gives one
            image both labels.
    """
    name = Path(manifest).name
    base = Path(root) if root is not None else Path(manifest).parent
    if manifest.lower().endswith((".parquet", ".arrow")):
        table = open_parquet(manifest, lambda header: _path_columns(header, columns, name))
        given = {k: v for k, v in _partition(Path(manifest)).items() if k not in table.columns}
        split = _split_of(Path(manifest)) or split_of_folders((given.pop("split", ""),))
        roles = _roles((*table.columns, *given), columns, name, table.pictures)
        other_task = _is_other_task(table, roles.label)
        reader = _Rows(name, roles, other_task, split, given, columns.label is not None)
        if table.pictures is not None:
            yield from _iter_pictures(table, base, limits, claim, reader)
            return
        read_rows = table.rows
    else:
        rows_of = jsonl_rows if manifest.lower().endswith(JSONL) else csv_rows
        read_rows = partial(rows_of, manifest, lambda header: _check_header(header, columns, name))
        reader = None
    recorded: dict[str, _LabelAndGenerator] = {}
    members = _Members(listed)
    others = _OtherRows(read_rows, base)
    for number, row in read_rows():
        if reader is None:
            roles = _roles(list(row), columns, name, None)
            reader = _Rows(name, roles, other_task=False, split=None, chosen=columns.label is not None)
        where = _path_in(row[reader.roles.image].strip())
        if not where:
            raise UsageError(
                f"{name}, row {number}: column {reader.roles.image!r} is empty; every row must name an image"
            )
        if len(where) > _LONGEST_PATH:
            raise UsageError(
                f"{name} is not a readable CSV file or table of images: row {number} has a path of "
                f"{len(where):,} characters in column {reader.roles.image!r}"
            )
        if "\x00" in where:
            raise UsageError(f"{name}, row {number}: column {reader.roles.image!r} holds a NUL character")
        if _INLINE.match(where) or (where[:5].lower() == "data:" and not os.path.lexists(base / where)):
            if claim(f"{manifest}::{number}"):
                yield reader.described(_inline(manifest, number), row, number)
            continue
        path = _local_path(base, where)
        row = others.filled(row, reader.roles)  # noqa: PLW2901
        if path is None:
            if claim(where):
                yield reader.described(_remote(where, limits, remote), row, number)
        else:
            item = reader.described(members.item(path) or file_item(path, path, limits), row, number)
            same = os.path.abspath(path)  # noqa: PTH100 - resolve follows links
            earlier = recorded.setdefault(same, (item.label, item.generator))
            if (found := _difference(earlier, (item.label, item.generator))) is not None:
                raise UsageError(
                    f"{name}, row {number}: {printable(where)} has {found} in an earlier row; "
                    "keep the row that is right"
                )
            if claim(path):
                yield item


def _difference(earlier: _LabelAndGenerator, now: _LabelAndGenerator) -> str | None:
    """What an earlier row has where a later one of the same image says something else, or None."""
    if now[0] is not None and earlier[0] != now[0]:
        return "no label" if earlier[0] is None else "the opposite label"
    if now[0] == REAL:  # lists of pairs name there the generator that a photograph is compared with
        return None
    if now[1] is not None and _folded(earlier[1]) != _folded(now[1]):
        return "no generator" if earlier[1] is None else "another generator"
    return None


def _folded(name: str | None) -> str | None:
    return None if name is None else name.strip().lower()


def _path_in(cell: str) -> str:
    """The path that a cell holds, also as ``{"path": "a.png", "bytes": null}``, as `datasets` writes it."""
    if not cell.startswith("{"):
        return cell
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    path = found.get("path") if isinstance(found, dict) and not found.get("bytes") else None
    return path.strip() if isinstance(path, str) else cell


class _OtherRows:
    """What other rows of an image say, for one that lacks its label or its generator.

    They are read once, when the first such row is met: a table joined of two lists has them in any order.
    """

    def __init__(self, rows: Callable[[], Iterator[tuple[int, dict[str, str]]]], base: Path) -> None:
        self._rows, self._base = rows, base
        self._stated: dict[str, dict[str, str]] | None = None

    def filled(self, row: dict[str, str], roles: _Roles) -> dict[str, str]:
        """The row with the label and the generator that others give, where it has none."""
        lacking = self._lacking(row, roles)
        if not lacking or _is_real(row, roles):
            return row
        if self._stated is None:
            self._stated = self._read(roles)
        found = self._stated.get(self._place(row, roles), {})
        return row | {column: found[column] for column in lacking if column in found}

    def _read(self, roles: _Roles) -> dict[str, dict[str, str]]:
        """Label and generator by the place of the image, each as the first row that has it states it."""
        stated: dict[str, dict[str, str]] = {}
        for _, row in self._rows():
            lacking = self._lacking(row, roles)
            for column in (roles.label, roles.generator):
                if column in row and column not in lacking:
                    stated.setdefault(self._place(row, roles), {}).setdefault(column, row[column])
        return stated

    @staticmethod
    def _lacking(row: Mapping[str, str], roles: _Roles) -> list[str]:
        columns = [column for column in (roles.label, roles.generator) if column is not None]
        return [column for column in columns if row.get(column, "").strip().lower() in UNKNOWN]

    def _place(self, row: Mapping[str, str], roles: _Roles) -> str:
        where = _path_in(row.get(roles.image, "").strip())
        return os.path.abspath(_local_path(self._base, where) or where)  # noqa: PTH100


def _is_real(row: Mapping[str, str], roles: _Roles) -> bool:
    """Whether a row is of a real image, which needs no generator."""
    return roles.label is not None and label_in_column(row.get(roles.label, ""), roles.label) == REAL


class _Members:
    """Members that rows name as outputs do: ``set.zip::a.png``, ``set.parquet::1/0.jpg``."""

    def __init__(self, listed: Callable[[str], Iterator[ImageItem]]) -> None:
        self._listed = listed
        self._found: dict[str, dict[str, ImageItem]] = {}

    def item(self, path: str) -> ImageItem | None:
        """The item of such a member; None for the path of a file."""
        archive, mark, _ = path.partition("::")
        if not mark or os.path.lexists(path) or not os.path.isfile(archive):  # noqa: PTH113 - see _files
            return None
        if archive not in self._found:
            self._found[archive] = {item.uri: item for item in self._listed(archive)}
        name = printable(path)
        missing = problem_item(name, "missing", f"{name} is not in the archive")
        return self._found[archive].get(name, missing)


def _inline(manifest: str, number: int) -> ImageItem:
    uri = printable(f"{manifest}::{number}")
    message = f"{uri} holds a picture as base64 text, which is not read; write it to a file, or as bytes"
    return problem_item(uri, "unsupported_format", message)


def is_shard(path: str) -> bool:
    """True for a file of a data set that is split over files and read as a whole.

    It has one of Hugging Face's names, or a folder of a partitioned table, such as ``label=fake``.

    >>> is_shard("set/data/train-00000-of-00002.parquet"), is_shard("set/train/0000.parquet")
    (True, True)
    >>> is_shard("set/list.parquet")
    False
    """
    name = PurePath(path).name.lower()
    if name.endswith((".parquet", ".arrow")) and _PARTITION.fullmatch(PurePath(path).parent.name):
        return True
    return _SHARD.fullmatch(name) is not None or _NUMBERED.fullmatch(name) is not None


def _partition(path: Path) -> dict[str, str]:
    """What the folders of a partitioned table say, as Hive and Spark write them: ``label=fake/0.parquet``."""
    found: dict[str, str] = {}
    for folder in path.parents:
        if (match := _PARTITION.fullmatch(folder.name)) is None:
            break
        value = "" if match[2] == _NO_VALUE else unquote(match[2])
        found.setdefault(unquote(match[1]), value)
    return found


def _split_of(path: Path) -> str | None:
    """The split that the name of a shard or, where shards are only numbered, of its folder says."""
    if named := _SHARD.fullmatch(path.name.lower()):
        return split_of_folders((named[1],)) or named[1]
    return split_of_folders((path.parent.name,)) if _NUMBERED.fullmatch(path.name.lower()) else None


def _iter_pictures(
    table: ParquetTable, base: Path, limits: Limits, claim: Callable[[str], bool], reader: _Rows
) -> Iterator[ImageItem]:
    pictures = ParquetPictures(table, base, limits)
    name_column = "image_name" if reader.roles.title else ""
    for number, row in table.rows():
        beside = row.pop(str(table.pictures), "") or row.get(name_column, "")
        item = pictures.item(number, beside)
        if claim(item.uri):
            yield reader.described(item, row, number)


def _remote(where: str, limits: Limits, remote: bool) -> ImageItem:
    if remote and "://" in where:
        return remote_item(where, limits)
    # Signed addresses differ behind their first hundreds of characters.
    text = printable(where if len(where) <= 200 else where[:200] + "…")
    message = (
        f"{text} is a remote address; download it first and give the local path, or ask for addresses in "
        "manifests (--remote)"
    )
    return problem_item(printable(where), "remote_address", message)


@dataclass(frozen=True)
class _Rows:
    """Label, generator and metadata of a manifest's rows."""

    name: str
    roles: _Roles
    other_task: bool
    split: str | None
    given: Mapping[str, str] = field(default_factory=dict)
    """Columns that the folders of the file give, alike for all rows."""
    chosen: bool = False
    """The caller named the column of labels: others are not asked."""

    def described(self, item: ImageItem, row: Mapping[str, str], number: int) -> ImageItem:
        """`item` with what its row says."""
        roles = self.roles
        row = {**row, **self.given}
        own = {roles.image, roles.label, roles.generator}
        metadata = {_plain_name(k, row): v for k, v in row.items() if k not in own and v != ""}
        label = None
        text = row.get(roles.label, "") if roles.label is not None else ""
        if not self.other_task:
            label = _label(text, number, self.name, str(roles.label))
        elif text:
            metadata["label"] = text
        generator = (row.get(roles.generator) if roles.generator is not None else None) or None
        if not self.chosen and roles.title is None and (other := contradiction(label, metadata, generator)):
            raise UsageError(
                f"{self.name}, row {number}: label {text!r} means {'real' if label == REAL else 'generated'} "
                f"and {other} says the opposite; --label-column names the column that is right"
            )
        if roles.title is not None:
            # These tables name something for real images, too: their source, or the word real.
            if label != FAKE:
                if generator is not None and label_of(generator) is None:
                    metadata["source"] = generator
                generator = None
            if roles.source is not None and (source := metadata.pop(roles.source, "")):
                metadata["source"] = source
        if self.split is not None:
            metadata.setdefault("split", self.split)
        return replace(item, label=label, generator=generator, metadata=metadata, layout=roles.title)


def _roles(header: Sequence[str], columns: Columns, name: str, pictures: str | None) -> _Roles:
    """What each column is: as the caller says, as a known layout has it, or by the usual names."""
    twice = {c for c in header if c and header.count(c) > 1}
    if read := sorted(c for c in twice if c in (columns.image, columns.label) or c.lower() in _KNOWN_COLUMNS):
        raise UsageError(f"{name} has several columns called {read[0]!r}; rename all but the one that counts")
    layout = None
    if columns.image is None and columns.label is None:
        layout = table_layout(header, columns.layout)
    for asked in (columns.image, columns.label):
        if asked is not None and asked not in header:
            raise UsageError(f"{name} has no column {asked!r}; its columns are {', '.join(header) or 'none'}")
    if layout is not None:
        known = {role: column for role, column in layout.columns.items() if column in header}
        image, label, generator = known["image"], known.get("label"), known.get("generator")
        return _Roles(pictures or image, label, generator, known.get("source"), layout.title)
    plain = {_plain_name(column, header): column for column in header}
    image = columns.image or pictures or _path_column(plain, name)
    return _Roles(image, columns.label or plain.get("label"), plain.get("generator"))


def _path_columns(header: Sequence[str], columns: Columns, name: str) -> tuple[str, ...]:
    """The columns that may hold paths or pictures, the likeliest first."""
    if columns.image is not None:
        if columns.image not in header:
            raise UsageError(
                f"{name} has no column {columns.image!r}; its columns are {', '.join(header) or 'none'}"
            )
        return (columns.image,)
    layout = table_layout(header, columns.layout)
    return _PATH_COLUMNS if layout is None else (layout.columns["image"],)


def _local_path(base: Path, where: str) -> str | None:
    """The file that a row means; None for an address that is not in the file system."""
    path = str(base / where)
    if _ADDRESS.match(where) and not os.path.lexists(path):
        if not where.lower().startswith(("file:///", "file://localhost/")):
            return None
        return unquote(where[where.index("/", 7) :])
    if where.lower().startswith("file:/") and not os.path.lexists(path):  # RFC 8089's short form
        return unquote(where[5:])
    if where.startswith("~") and not os.path.lexists(path):
        return os.path.expanduser(where) if where.startswith("~/") else path  # noqa: PTH111 - stays text
    if "\\" in where and os.sep == "/" and not os.path.lexists(path):
        turned = str(base / where.replace("\\", "/"))  # written on Windows
        return turned if os.path.lexists(turned) else path
    if "%" in where and not os.path.lexists(path):
        decoded = str(base / unquote(where))  # as addresses write it
        return decoded if "\x00" not in decoded and os.path.lexists(decoded) else path
    if not where.isascii() and not os.path.lexists(path):  # accents are one character on Linux, two on a Mac
        other_forms = (str(base / unicodedata.normalize(form, where)) for form in ("NFC", "NFD"))
        return next(filter(os.path.lexists, other_forms), path)
    return path


def _check_header(header: Sequence[str], columns: Columns, name: str) -> None:
    _roles(header, columns, name, None)


def _path_column(plain: Mapping[str, str], name: str) -> str:
    for column in _PATH_COLUMNS:
        if column in plain:
            return plain[column]
    raise NoImagesError(
        f"{name} has no column 'path' (nor image, file, filename); "
        f"its columns are {', '.join(plain) or 'none'}; --image-column names another"
    )


def _plain_name(column: str, columns: Sequence[str] | Mapping[str, str]) -> str:
    low = column.lower()
    known = low in _KNOWN_COLUMNS or low in _FURTHER_COLUMNS
    return low if known and (low == column or low not in columns) else column


def _is_other_task(table: ParquetTable, column: str | None) -> bool:
    """True where the file's own list of classes holds none that is named real or fake."""
    names = table.classes.get(column or "", ())
    strange = [n for n in names if label_of(n) is None and n.strip().lower() not in UNKNOWN]
    # Among ten digits, 0 and 1 are digits.
    return bool(strange) and not any(label_of(n) is not None and not n.strip().isdigit() for n in names)


def _label(text: str, number: int, name: str, column: str) -> int | None:
    if text.strip().lower() in UNKNOWN:
        return None
    label = label_in_column(text, column)
    if label is None:
        raise UsageError(
            f"{name}, row {number}: label {text!r} is not understood; use real/0 or fake/1, or leave it empty"
        )
    return label
