"""Tar archives and webdataset shards, read in place and in order; sidecars become label and metadata."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import sys
import tarfile
import threading
import zlib
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import IO, Any, cast

from morelli.errors import ImageError
from morelli.images._distinct_names import DistinctNames
from morelli.images._elsewhere import opened_elsewhere
from morelli.images._files import is_image_name, os_problem, read_part, too_many_bytes
from morelli.images._item import ImageItem, printable, problem_item
from morelli.images._leavings import is_left_member, may_be_apple_double
from morelli.images._limits import Limits
from morelli.images._skipped_files import SkippedFiles
from morelli.images._sniff import HEAD_BYTES, sniff
from morelli.images._webdataset import (
    MOST_SIDECAR,
    Sample,
    SplitSamples,
    finished,
    is_sidecar,
    key_of,
    speaks_of_another_task,
)
from morelli.images._zip import ARCHIVE_SUFFIXES, TABLE_SUFFIXES, unsafe_name

_MOST_HEADER = 4 << 20
_MOST_FILLING = 1024  # records of zeros behind the end that are looked through
_RATIO_FLOOR = 64 << 20
_MOST_KEPT = 64 << 20
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


def iter_tar(
    path: str,
    uri: str,
    limits: Limits,
    passed: SkippedFiles,
    label: int | None = None,
    *,
    column: str | None = None,
) -> Iterator[tuple[ImageItem, str]]:
    """The images of a tar archive in its order, each with its member name.

    Consecutive members of one key make a webdataset sample: ``.cls`` (0 or 1) gives the label,
    ``.json`` the label, generator and metadata, ``.txt`` the metadata ``text``. Numbers 0 and 1 are
    classes of another task where the shard holds other classes too (the first one met costs a look
    at all sidecars), and in ``.cls`` where the caller knows the `label`. A plain archive's
    members are read by position; a compressed one is one stream, of which a little is kept so that
    reading along with the listing, or slightly out of order, costs one pass. What systems leave is counted
    in `passed`. `column` is the key of labels in ``.json``, where another than ``label`` was asked for.
    """
    try:
        archive = _Tar(path, limits)
    except ImageError as error:
        yield problem_item(uri, error.reason, str(error)), ""
        return
    is_label = cache(lambda: not _other_task(path, limits))
    sample = Sample()
    apart, names = SplitSamples(), DistinctNames()
    try:
        for info, offset in archive.members():
            name = info.name
            # Before the key: tar on a Mac puts ._a.jpg between the members of a sample.
            if not unsafe_name(name) and (
                is_left_member(name)
                or (
                    info.isreg()
                    and may_be_apple_double(name)
                    and not archive.looks_like_image(offset, info.size)
                )
            ):
                passed.add_left(f"{uri}::{name}")
                continue
            if not sample.takes(name):
                yield from finished(sample, is_label, label, column=column)
                apart.note(sample)
                sample = Sample(key_of(name))
            where = f"{uri}::{printable(name)}"
            problem = _member_problem(info)
            if problem is not None:
                yield problem_item(names.of(where), problem.reason, f"{where}: {problem}"), name
            elif not info.isreg():
                continue
            elif is_sidecar(name):
                if info.size <= MOST_SIDECAR:
                    sample.add_sidecar(name, archive.sidecar(offset, info.size))
            elif is_image_name(name) or archive.looks_like_image(offset, info.size):
                sample.images.append((archive.image(names.of(where), offset, info.size), name))
            elif name.lower().endswith(TABLE_SUFFIXES):
                passed.add_unread(where)
    except ImageError as error:
        yield from finished(sample, is_label, label, column=column)
        passed.add_renamed(names.changed)
        yield problem_item(uri, error.reason, str(error)), ""
        return
    yield from finished(sample, is_label, label, column=column)
    apart.note(sample)
    passed.add_renamed(names.changed)
    for key in apart.both():
        passed.add_split_sample(f"{uri}::{key}")


def _other_task(path: str, limits: Limits) -> bool:
    """True where a sidecar of the archive has a label that is neither real nor fake."""
    try:
        archive = _Tar(path, limits)
        for info, offset in archive.members():
            name = info.name
            if info.isreg() and name.lower().endswith((".cls", ".json")) and info.size <= MOST_SIDECAR:
                if may_be_apple_double(name) or unsafe_name(name):
                    continue
                if speaks_of_another_task(name, archive.sidecar(offset, info.size)):
                    return True
    except ImageError:
        pass  # the listing reports it; what was read so far decides
    return False


class _Tar:
    """One archive: a cursor that lists it, and reads by position or along a second stream."""

    def __init__(self, path: str, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._name = printable(path)
        try:
            head = read_part(path, HEAD_BYTES)
            size = os.path.getsize(path)  # noqa: PTH202 - see _files
        except OSError as error:
            raise os_problem(error, path) from error
        if not head:
            raise ImageError("empty", f"{self._name} is empty (0 bytes)")
        self._open = _opener(head)
        self._streamed = self._open is not _plain
        most = max(_RATIO_FLOOR, int(size * limits.max_archive_ratio)) if self._streamed else sys.maxsize // 2
        self._listing = _Forward(self._open(path), most)
        self._lock = threading.Lock()
        self._kept = _Kept()
        self._stream: IO[bytes] | None = None
        self._images: list[tuple[int, int]] = []

    def __reduce__(self) -> tuple[Callable[..., object], tuple[type[_Tar], str, Limits]]:
        return opened_elsewhere, (_Tar, self._path, self._limits)

    def members(self) -> Iterator[tuple[tarfile.TarInfo, int]]:
        """The members in order, each with the offset of its data."""
        count = 0
        try:
            with tarfile.TarFile(fileobj=cast(IO[bytes], self._listing), mode="r", errorlevel=2) as tar:
                while (info := tar.next()) is not None:
                    count += 1
                    if count > self._limits.max_members:
                        most = f"{self._limits.max_members:,} members (max_members)"
                        raise ImageError("too_many_members", f"{self._name} holds more than {most}")
                    cast(Any, tar).members.clear()  # else every header read stays in memory
                    yield info, info.offset_data
                self._check_end(tar.offset)
        except ImageError:
            raise
        except MemoryError:
            raise ImageError("archive_bomb", f"{self._name}: a header asks for too much memory") from None
        except _ERRORS as error:
            cut = isinstance(error, EOFError) or "unexpected end" in str(error)
            reason = "truncated" if cut else "damaged_archive"
            raise ImageError(reason, f"{self._name} cannot be read further: {error}") from error
        finally:
            self._listing.close()

    def sidecar(self, offset: int, size: int) -> bytes:
        """The bytes of a small member at the listing's cursor."""
        self._listing.seek(offset)
        return self._listing.read_exactly(size)

    def looks_like_image(self, offset: int, size: int) -> bool:
        """True where a member without a telling name begins as an image does."""
        if self._streamed:
            return size <= _MOST_KEPT and sniff(self._keep(offset, size)[:HEAD_BYTES]) is not None
        self._listing.seek(offset)
        return sniff(self._listing.read(min(size, HEAD_BYTES))) is not None

    def image(self, where: str, offset: int, size: int) -> ImageItem:
        """The item of the member at the listing's cursor; of a stream its bytes are kept while room."""
        if size > self._limits.max_bytes:
            error = too_many_bytes(where, size, self._limits)
            return problem_item(where, error.reason, str(error))
        if self._streamed:
            self._listing.check(offset + size)
            self._images.append((offset, size))
            if size <= _MOST_KEPT:
                self._keep(offset, size)
        return ImageItem(where, partial(self.read, where, offset, size))

    def _keep(self, offset: int, size: int) -> bytes:
        with self._lock:
            held = self._kept.get(offset)
            if held is None:
                self._listing.seek(offset)
                held = self._listing.read_exactly(size)
                self._kept.put(offset, held)
            return held

    def read(self, where: str, offset: int, size: int) -> bytes:
        """The bytes of a member, by its place."""
        try:
            data = self._read_along(offset, size) if self._streamed else self._read_at(offset, size)
        except OSError as error:
            if error.errno is None:
                raise ImageError("unreadable", f"{where} cannot be read: {error}") from error
            problem = os_problem(error, self._path)
            raise ImageError(problem.reason, f"{where} cannot be read: {problem}") from error
        except (zlib.error, EOFError, ValueError) as error:
            raise ImageError("damaged", f"{where} cannot be read: {error}") from error
        if len(data) < size:
            raise ImageError("truncated", f"{where} is cut off inside the archive")
        return data

    def _read_at(self, offset: int, size: int) -> bytes:
        with open(self._path, "rb") as file:  # noqa: PTH123 - see _files
            file.seek(offset)
            return file.read(size)

    def _read_along(self, offset: int, size: int) -> bytes:
        with self._lock:
            data = self._kept.pop(offset)
            if data is not None:
                return data
            if self._stream is None or self._stream.tell() > offset:
                if self._stream is not None:
                    self._stream.close()
                self._stream = self._open(self._path)
            # Images on the way are kept: threads ask a little out of order.
            first = bisect_left(self._images, (self._stream.tell(), 0))
            for start, length in self._images[first : bisect_left(self._images, (offset, 0))]:
                if length <= _MOST_KEPT:
                    self._stream.seek(start)
                    self._kept.put(start, self._stream.read(length))
            self._stream.seek(offset)
            return self._stream.read(size)

    def __del__(self) -> None:
        for stream in (getattr(self, "_listing", None), getattr(self, "_stream", None)):
            if stream is not None:
                stream.close()

    def _check_end(self, offset: int) -> None:
        """tarfile takes a header it cannot read for the end; the end is zeros, to the end of the file.

        What stands behind them is another archive that was written or copied behind this one.
        """
        self._listing.seek(offset)
        block = self._listing.read(tarfile.BLOCKSIZE)
        if block.strip(b"\0"):
            raise ImageError(
                "damaged_archive", f"{self._name} is damaged at byte {offset:,}; the rest is not read"
            )
        for _ in range(_MOST_FILLING):
            try:
                block = self._listing.read(tarfile.RECORDSIZE)
            except ImageError:  # cut off where nothing but zeros was left to come
                return
            if not block:
                return
            if block.strip(b"\0"):
                raise ImageError(
                    "damaged_archive",
                    f"{self._name} goes on behind its end, as archives do that were put one behind the "
                    "other; the rest is not read: unpack it with `tar --ignore-zeros`",
                )


class _Kept:
    """Bytes of a few members by offset; the oldest go when there are too many."""

    def __init__(self) -> None:
        self._members: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, offset: int) -> bytes | None:
        return self._members.get(offset)

    def put(self, offset: int, data: bytes) -> None:
        if offset not in self._members:
            self._members[offset] = data
            self._bytes += len(data)
        while self._bytes > _MOST_KEPT:
            self._bytes -= len(self._members.popitem(last=False)[1])

    def pop(self, offset: int) -> bytes | None:
        data = self._members.pop(offset, None)
        self._bytes -= len(data or b"")
        return data


class _Forward:
    """What tarfile reads from: never backwards by more than one byte, and never beyond `most`.

    tarfile steps to one byte before the next header to see that it exists; for a compressed
    stream a step back means to begin again, so the last byte is remembered. Header reads are
    bounded: a header may claim gigabytes.
    """

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream = stream
        self._most = most
        self._at = 0
        self._physical = 0
        self._last = b""

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _MOST_HEADER:
            raise ImageError("damaged_archive", "a header of the tar archive asks for too many bytes")
        return self._take(size)

    def read_exactly(self, size: int) -> bytes:
        data = self._take(size)
        if len(data) < size:
            raise ImageError("truncated", "the tar archive ends inside a member")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        assert whence == 0
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._stream.close()

    def check(self, offset: int) -> None:
        """Refuse what lies further than the archive's size allows to believe."""
        if offset > self._most:
            raise ImageError(
                "archive_bomb",
                "the archive unpacks to far more than its size, or says so (max_archive_ratio)",
            )

    def _take(self, size: int) -> bytes:
        if size == 1 and self._at == self._physical - 1:
            self._at += 1
            return self._last
        self.check(self._at)
        size = min(size, self._most + tarfile.RECORDSIZE - self._at)
        try:
            if self._at != self._physical:
                self._stream.seek(self._at)
            data = self._stream.read(size)
        except EOFError as error:
            raise ImageError("truncated", "the compressed archive is cut off") from error
        except (OSError, ValueError, OverflowError, zlib.error) as error:
            raise ImageError("damaged_archive", f"the archive cannot be read further: {error}") from error
        self._at += len(data)
        self._physical = self._at
        self._last = data[-1:] or self._last
        return data


def _member_problem(info: tarfile.TarInfo) -> ImageError | None:
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
