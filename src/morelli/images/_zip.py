"""Zip archives read in place: nothing is unpacked, every member is bounded."""

from __future__ import annotations

import os
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from morelli.errors import ImageError
from morelli.images._distinct_names import DistinctNames
from morelli.images._elsewhere import opened_elsewhere
from morelli.images._files import is_image_name, os_problem, read_part, too_many_bytes
from morelli.images._item import ImageItem, printable, problem_item
from morelli.images._leavings import is_left_member, may_be_apple_double
from morelli.images._limits import Limits
from morelli.images._skipped_files import SkippedFiles
from morelli.images._sniff import HEAD_BYTES, other_format, sniff, with_article
from morelli.images._webdataset import may_be_sidecar, states_label

TAR_SUFFIXES = (
    ".tar",
    ".tar.gz",
    ".tgz",
    ".tar.bz2",
    ".tbz2",
    ".tbz",
    ".tar.xz",
    ".txz",
    ".tar.zst",
    ".tzst",
)
ARCHIVE_SUFFIXES = (".zip", *TAR_SUFFIXES, ".tar.lz4", ".7z", ".rar", ".cbz", ".cbr")
"""Suffixes of archives: as members of an archive they are reported, since they are not entered."""
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow")
"""Suffixes of manifests: those in an archive are counted, since their labels are not read."""

_RATIO_FLOOR = 1 << 20
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2})


def iter_zip(path: str, uri: str, limits: Limits, passed: SkippedFiles) -> Iterator[tuple[ImageItem, str]]:
    """The images of a zip archive in the order of its directory, each with its member name.

    Members with absolute names or ``..`` (zip-slip), links, encrypted members, nested archives and
    members that would unpack to more than the limits are listed with their problem. What systems
    leave in archives (``__MACOSX/._a.jpg``, ``Thumbs.db``) is passed over and counted in `passed`.
    """
    try:
        _check_directory(path, limits)
        archive = _Zip(path, limits)
    except ImageError as error:
        yield problem_item(uri, error.reason, str(error)), ""
        return
    names, given = DistinctNames(), {info.filename for info in archive.members()}
    for info in archive.members():
        if info.filename.endswith("/"):  # is_dir() asks for a last character, and a name may be empty
            continue
        # zipfile cuts names at NUL and normalises separators; orig_filename is what the archive says.
        name = info.filename
        if not unsafe_name(info.orig_filename) and (
            is_left_member(name) or (may_be_apple_double(name) and not archive.looks_like_image(info))
        ):
            passed.add_left(f"{uri}::{name}")
            continue
        where = f"{uri}::{printable(name)}"
        problem = _member_problem(info, limits)
        if problem is not None:
            yield problem_item(names.of(where), problem.reason, f"{where}: {problem}"), name
        elif is_image_name(name) or archive.looks_like_image(info):
            where = names.of(where)
            # Some programs of Windows divide folders by backslashes, which no archiver puts into a name.
            yield ImageItem(where, partial(archive.read, info)), name.replace("\\", "/")
        elif name.lower().endswith(TABLE_SUFFIXES):
            passed.add_unread(where)
        elif (
            info.compress_type in _METHODS
            and may_be_sidecar(name, given.__contains__)
            and passed.may_look()
            and states_label(name, partial(archive.part, info))
        ):
            passed.add_sidecar(where)
    passed.add_renamed(names.changed)


def unsafe_name(name: str) -> bool:
    """True where a member's name would leave the folder it is unpacked in.

    >>> unsafe_name("../a.png"), unsafe_name("/a.png"), unsafe_name("b/a.png")
    (True, True, False)
    """
    slashed = name.replace("\\", "/")
    return slashed.startswith("/") or slashed[1:2] == ":" or ".." in slashed.split("/") or "\x00" in name


class _Zip:
    """An open archive that several threads may read from."""

    def __init__(self, path: str, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._name = printable(path)
        # zipfile guards its reads by a lock, but not the opening and closing of members.
        self._lock = threading.Lock()
        try:
            self._file = zipfile.ZipFile(path)
        except OSError as error:
            raise os_problem(error, path) from error
        except (
            zipfile.BadZipFile,
            ValueError,
            struct.error,
            NotImplementedError,
            EOFError,
            RuntimeError,
        ) as error:
            raise ImageError(
                "damaged_archive", f"{self._name} is not a readable zip archive: {error}"
            ) from error

    def __reduce__(self) -> tuple[Callable[..., object], tuple[type[_Zip], str, Limits]]:
        return opened_elsewhere, (_Zip, self._path, self._limits)

    def members(self) -> list[zipfile.ZipInfo]:
        return self._file.infolist()

    def looks_like_image(self, info: zipfile.ZipInfo) -> bool:
        try:
            return sniff(self._take(info, HEAD_BYTES)) is not None
        except ImageError:
            return False

    def read(self, info: zipfile.ZipInfo) -> bytes:
        data = self._take(info, self._limits.max_bytes + 1)
        if len(data) > self._limits.max_bytes:
            raise too_many_bytes(self._member(info), len(data), self._limits)
        return data

    def part(self, info: zipfile.ZipInfo, _name: str, size: int) -> bytes:
        return self._take(info, size)

    def _take(self, info: zipfile.ZipInfo, size: int) -> bytes:
        name = self._member(info)
        try:
            with self._lock:
                member = self._file.open(info)
            try:
                data = member.read(size)
            finally:
                with self._lock:
                    member.close()
        except EOFError as error:
            raise ImageError("truncated", f"{name} is cut off inside the archive") from error
        except OSError as error:
            raise ImageError("unreadable", f"{name} cannot be read: {error}") from error
        except (
            zipfile.BadZipFile,
            zlib.error,
            struct.error,
            ValueError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise ImageError("damaged", f"{name} is damaged inside the archive: {error}") from error
        if len(data) < min(size, info.file_size):
            raise ImageError("truncated", f"{name} is cut off inside the archive")
        return data

    def _member(self, info: zipfile.ZipInfo) -> str:
        return f"{self._name}::{printable(info.filename)}"


def _member_problem(info: zipfile.ZipInfo, limits: Limits) -> ImageError | None:
    name = info.filename
    if unsafe_name(info.orig_filename):
        return ImageError(
            "unsafe_name", "the name leaves the archive (absolute, or with '..'); it is not read"
        )
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        return ImageError("archive_link", "a link inside an archive is not followed")
    if name.lower().endswith(ARCHIVE_SUFFIXES):
        return ImageError(
            "nested_archive", "an archive inside an archive is not entered; unpack the outer one"
        )
    if not is_image_name(name) and "." in os.path.basename(name):  # noqa: PTH119 - a member's name is no path
        return None
    if info.flag_bits & 0x1:
        return ImageError("encrypted", "the member is encrypted; unpack it with its password first")
    if info.compress_type not in _METHODS:
        # LZMA and Zstandard members may ask for gigabytes of dictionary.
        return ImageError("unsupported_compression", f"compression method {info.compress_type} is not read")
    if info.file_size > _RATIO_FLOOR and info.file_size > limits.max_archive_ratio * max(
        info.compress_size, 1
    ):
        return ImageError(
            "archive_bomb",
            f"{info.compress_size:,} bytes would unpack to {info.file_size:,} (max_archive_ratio)",
        )
    if info.file_size > limits.max_bytes:
        return ImageError("too_many_bytes", f"{info.file_size:,} bytes (max_bytes)")
    return None


def _check_directory(path: str, limits: Limits) -> None:
    """Refuse an archive by the size of its directory, which zipfile would read into objects at once."""
    try:
        size = os.path.getsize(path)  # noqa: PTH202 - see _files
        with open(path, "rb") as file:  # noqa: PTH123
            file.seek(max(0, size - 65557))
            tail = file.read(65557)
    except OSError as error:
        raise os_problem(error, path) from error
    if not read_part(path, 4):
        raise ImageError("empty", f"{printable(path)} is empty (0 bytes)")
    at = tail.rfind(b"PK\x05\x06")
    head = read_part(path, HEAD_BYTES)
    if at < 0 and not head.startswith(b"PK"):
        found = sniff(head) or other_format(head)
        instead = f"begins as {with_article(found)} does" if found else "does not begin as one does"
        raise ImageError("damaged_archive", f"{printable(path)} is no zip archive: it {instead}")
    if at < 0 or at + 22 > len(tail):
        raise ImageError("damaged_archive", f"{printable(path)} has no zip directory; it may be cut off")
    length = int.from_bytes(tail[at + 12 : at + 16], "little")
    if length == 0xFFFFFFFF:
        length = size
    if min(length, size) // 46 > limits.max_members:  # 46 bytes is the least that an entry takes
        raise ImageError(
            "too_many_members",
            f"{printable(path)} may list more than {limits.max_members:,} members (max_members)",
        )
