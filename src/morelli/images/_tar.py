"""Tar archives and webdataset shards, read in place and in order; sidecars become label and metadata."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import IO, cast

from morelli.errors import ImageError
from morelli.images._files import is_image_name, os_problem, read_part, too_many_bytes
from morelli.images._item import ImageItem, printable, problem_item
from morelli.images._labels import label_of
from morelli.images._limits import Limits
from morelli.images._sniff import HEAD_BYTES
from morelli.images._zip import ARCHIVE_SUFFIXES, unsafe_name

_SIDECARS = (".cls", ".json", ".txt")
_MOST_SIDECAR = 1 << 20
_MOST_HEADER = 4 << 20
_RATIO_FLOOR = 64 << 20
_CACHE_BYTES = 64 << 20
_STEP = 1 << 20
_ERRORS = (
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    lzma.LZMAError,
    IndexError,
)


@dataclass
class _Sample:
    """Consecutive members that share a key (webdataset: the name up to its first dot)."""

    key: str = ""
    images: list[tuple[ImageItem, str]] = field(default_factory=list)
    sidecars: dict[str, bytes] = field(default_factory=dict)


def iter_tar(path: str, uri: str, limits: Limits) -> Iterator[tuple[ImageItem, str]]:
    """The images of a tar archive in its order, each with its member name.

    Consecutive members of one key make a webdataset sample: ``.cls`` (0 or 1) gives the label,
    ``.json`` the label, generator and metadata, ``.txt`` the metadata ``text``. A plain archive's
    members are read by position; a compressed one is one stream, of which a little is kept so that
    reading along with the listing, or slightly out of order, costs one pass.
    """
    try:
        archive = _Tar(path, limits)
    except ImageError as problem:
        yield problem_item(uri, problem.reason, str(problem)), ""
        return
    sample = _Sample()
    try:
        for info, offset in archive.members():
            name = info.name
            key = _key(name)
            if key != sample.key:
                yield from _finished(sample)
                sample = _Sample(key)
            where = f"{uri}::{printable(name)}"
            problem = _member_problem(info, limits)
            if problem is not None:
                yield problem_item(where, problem.reason, f"{where}: {problem}"), name
            elif not info.isreg():
                continue
            elif name.lower().endswith(_SIDECARS):
                if info.size <= _MOST_SIDECAR:
                    sample.sidecars[name[len(key) :].lower()] = archive.take(offset, info.size)
            elif is_image_name(name) or archive.looks_like_image(name, info.size):
                archive.keep(offset, info.size)
                item = ImageItem(where, partial(archive.read, where, offset, info.size))
                sample.images.append((item, name))
                if not archive.streamed:
                    continue
    except ImageError as problem:
        yield from _finished(sample)
        yield problem_item(uri, problem.reason, str(problem)), ""
        return
    yield from _finished(sample)


class _Tar:
    """One archive: a cursor that lists it, and reads by position or along a second stream."""

    def __init__(self, path: str, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._name = printable(path)
        try:
            head = read_part(path, HEAD_BYTES)
            self._size = os.path.getsize(path)  # noqa: PTH202 - see _files
        except OSError as error:
            raise os_problem(error, path) from error
        if not head:
            raise ImageError("empty", f"{self._name} is empty (0 bytes)")
        self._open = _opener(head)
        self.streamed = self._open is not _plain
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._stream: IO[bytes] | None = None
        self._wanted: dict[int, int] = {}
        self._listing = _Bounded(self._open(path), self._most_bytes())

    def members(self) -> Iterator[tuple[tarfile.TarInfo, int]]:
        count = 0
        try:
            with tarfile.TarFile(fileobj=cast(IO[bytes], self._listing), mode="r", errorlevel=2) as tar:
                while (info := tar.next()) is not None:
                    count += 1
                    if count > self._limits.max_members:
                        raise ImageError(
                            "too_many_members",
                            f"{self._name} holds more than {self._limits.max_members:,} members (max_members)",
                        )
                    tar.members.clear()  # else the archive's whole directory stays in memory
                    yield info, info.offset_data
        except ImageError:
            raise
        except MemoryError:
            raise ImageError("archive_bomb", f"{self._name}: a header asks for too much memory") from None
        except _ERRORS as error:
            reason = (
                "truncated"
                if isinstance(error, EOFError) or "unexpected end" in str(error)
                else "damaged_archive"
            )
            raise ImageError(reason, f"{self._name} cannot be read further: {error}") from error
        finally:
            self._listing.close()

    def take(self, offset: int, size: int) -> bytes:
        """Bytes at the listing's cursor."""
        self._listing.seek(offset)
        data = self._listing.read_exactly(size)
        return data

    def looks_like_image(self, name: str, size: int) -> bool:
        del name, size
        return False

    def keep(self, offset: int, size: int) -> None:
        """Remember where an image lies; of a stream, also its bytes while there is room."""
        if not self.streamed:
            return
        self._wanted[offset] = size
        if size <= _CACHE_BYTES:
            self._remember(offset, self.take(offset, size))

    def read(self, where: str, offset: int, size: int) -> bytes:
        if size > self._limits.max_bytes:
            raise too_many_bytes(where, size, self._limits)
        try:
            data = self._read_streamed(offset, size) if self.streamed else self._read_at(offset, size)
        except ImageError:
            raise
        except _ERRORS as error:
            raise ImageError("damaged", f"{where} cannot be read: {error}") from error
        if len(data) < size:
            raise ImageError("truncated", f"{where} is cut off inside the archive")
        return data

    def _read_at(self, offset: int, size: int) -> bytes:
        with open(self._path, "rb") as file:  # noqa: PTH123 - see _files
            file.seek(offset)
            return file.read(size)

    def _read_streamed(self, offset: int, size: int) -> bytes:
        with self._lock:
            if offset in self._kept:
                self._kept_bytes -= len(self._kept[offset])
                return self._kept.pop(offset)
            if self._stream is None or self._stream.tell() > offset:
                self._close()
                self._stream = self._open(self._path)
            # Images on the way are kept: threads ask a little out of order.
            for start in sorted(o for o in self._wanted if self._stream.tell() <= o < offset):
                if self._wanted[start] <= _CACHE_BYTES:
                    self._stream.seek(start)
                    self._remember_locked(start, self._stream.read(self._wanted[start]))
            self._stream.seek(offset)
            return self._stream.read(size)

    def _remember(self, offset: int, data: bytes) -> None:
        with self._lock:
            self._remember_locked(offset, data)

    def _remember_locked(self, offset: int, data: bytes) -> None:
        if offset in self._kept:
            return
        self._kept[offset] = data
        self._kept_bytes += len(data)
        while self._kept_bytes > _CACHE_BYTES:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped)

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _most_bytes(self) -> int | None:
        if not self.streamed:
            return None
        return max(_RATIO_FLOOR, int(self._size * self._limits.max_archive_ratio))


class _Bounded(io.RawIOBase):
    """A stream for tarfile that refuses huge header reads and stops a decompression bomb."""

    def __init__(self, stream: IO[bytes], most: int | None) -> None:
        self._stream = stream
        self._most = most

    def read(self, size: int = -1, /) -> bytes:
        if size < 0 or size > _MOST_HEADER:
            raise ImageError("damaged_archive", "a header of the tar archive asks for too many bytes")
        self._check(self._stream.tell() + size)
        return self._stream.read(size)

    def read_exactly(self, size: int) -> bytes:
        self._check(self._stream.tell() + size)
        data = self._stream.read(size)
        if len(data) < size:
            raise ImageError("truncated", "the tar archive ends inside a member")
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._check(offset)
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        self._stream.close()
        super().close()

    def _check(self, offset: int) -> None:
        if self._most is not None and offset > self._most:
            raise ImageError(
                "archive_bomb",
                "the archive unpacks to far more than its size (max_archive_ratio); it is read no further",
            )


def _finished(sample: _Sample) -> Iterator[tuple[ImageItem, str]]:
    if not sample.images:
        return
    try:
        label, generator, metadata = _sidecars(sample)
    except ValueError as error:
        for item, name in sample.images:
            yield problem_item(item.uri, "bad_sidecar", f"{item.uri}: {error}"), name
        return
    for item, name in sample.images:
        yield ImageItem(item.uri, item.read, label, generator, metadata), name


def _sidecars(sample: _Sample) -> tuple[int | None, str | None, dict[str, str]]:
    label: int | None = None
    generator: str | None = None
    metadata: dict[str, str] = {}
    if ".txt" in sample.sidecars:
        metadata["text"] = sample.sidecars[".txt"].decode("utf-8", "replace").strip()
    if ".json" in sample.sidecars:
        try:
            found = json.loads(sample.sidecars[".json"])
        except (ValueError, RecursionError) as error:
            raise ValueError(f"its .json is not readable: {error}") from error
        if not isinstance(found, dict):
            raise ValueError("its .json is not an object")
        for key, value in found.items():
            if key == "label" and value is not None:
                label = label_of(str(value))
                if label is None:
                    raise ValueError(f"label {value!r} in its .json is not understood; use real/0 or fake/1")
            elif key == "generator" and value:
                generator = str(value)
            elif isinstance(value, str | int | float | bool):
                metadata[str(key)] = str(value)
    if ".cls" in sample.sidecars:
        text = sample.sidecars[".cls"].decode("utf-8", "replace").strip()
        found_label = label_of(text)
        if found_label is None:
            metadata["cls"] = text  # a class index of another task
        else:
            label = found_label
    return label, generator, metadata


def _key(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.split(".", 1)[0]


def _member_problem(info: tarfile.TarInfo, limits: Limits) -> ImageError | None:
    if info.isdir():
        return None
    if unsafe_name(info.name):
        return ImageError(
            "unsafe_name", "the name leaves the archive (absolute, or with '..'); it is not read"
        )
    if info.issym() or info.islnk():
        return ImageError("archive_link", "a link inside an archive is not followed")
    if not info.isfile():
        return ImageError("not_a_file", "a device or pipe inside an archive is not read")
    if info.issparse():
        return ImageError(
            "unsupported_compression", "a sparse member is not read; write the archive without --sparse"
        )
    if info.name.lower().endswith(ARCHIVE_SUFFIXES):
        return ImageError(
            "nested_archive", "an archive inside an archive is not entered; unpack the outer one"
        )
    if is_image_name(info.name) and info.size > limits.max_bytes:
        return ImageError("too_many_bytes", f"{info.size:,} bytes (max_bytes)")
    return None


def _plain(path: str) -> IO[bytes]:
    return open(path, "rb")  # noqa: PTH123 - see _files; closed by its user


def _opener(head: bytes) -> Callable[[str], IO[bytes]]:
    if head.startswith(b"\x1f\x8b"):
        return lambda path: cast(IO[bytes], gzip.open(path, "rb"))
    if head.startswith(b"BZh"):
        return lambda path: cast(IO[bytes], bz2.open(path, "rb"))
    if head.startswith(b"\xfd7zXZ\x00"):
        # A dictionary of up to 4 GiB may be asked for before the first byte comes out.
        raise ImageError(
            "unsupported_compression", "tar archives compressed by xz are not read; use gzip or none"
        )
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        raise ImageError(
            "unsupported_compression", "tar archives compressed by zstd are not read; use gzip or none"
        )
    return _plain
