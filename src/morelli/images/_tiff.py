"""A bounded reader of TIFF directories: the orientation in EXIF, and what a TIFF would cost."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_MOST_ENTRIES = 4096
_MOST_FRAMES = 10_000

ORIENTATION = 274
_NEW_SUBFILE_TYPE = 254
_COMPRESSION = 259
_PHOTOMETRIC = 262
_SUB_IFDS = 330
_DNG_VERSION = 50706
_SENSOR = (32803, 34892)
# Sony, Samsung, Nikon, Kodak (two), Pentax; 34892 is DNG's lossy JPEG.
_RAW_COMPRESSION = (32767, 32770, 34713, 34892, 65000, 32867, 65535)
_MOST_INNER = 64


@dataclass(frozen=True)
class Entry:
    """One directory entry: type code, number of values, and the offset of the values."""

    kind: int
    count: int
    offset: int

    @property
    def size(self) -> int:
        """Bytes of all values; 0 for an unknown type."""
        return _SIZES.get(self.kind, 0) * self.count


@dataclass(frozen=True)
class Directory:
    """One image file directory (TIFF 6.0, section 2) of `data`."""

    data: bytes
    order: str
    entries: dict[int, Entry]
    next: int

    def integer(self, tag: int) -> int | None:
        """The first value of an integer tag, or None where it is absent or broken."""
        entry = self.entries.get(tag)
        if entry is None or entry.count < 1 or entry.kind not in _CODES:
            return None
        code = self.order + _CODES[entry.kind]
        if entry.offset + struct.calcsize(code) > len(self.data):
            return None
        return int(struct.unpack_from(code, self.data, entry.offset)[0])

    def inner(self) -> list[Directory]:
        """The directories that this one names as parts of its picture (SubIFDs), without broken ones."""
        entry = self.entries.get(_SUB_IFDS)
        head = _header(self.data)
        if entry is None or head is None or entry.kind not in _CODES:
            return []
        code = self.order + _CODES[entry.kind]
        width = struct.calcsize(code)
        found = []
        for index in range(min(entry.count, _MOST_INNER)):
            at = entry.offset + index * width
            if at + width > len(self.data):
                break
            (offset,) = struct.unpack_from(code, self.data, at)
            directory = _directory(self.data, self.order, head[1], offset) if offset > 0 else None
            if directory is not None:
                found.append(directory)
        return found


def directories(data: bytes) -> Iterator[Directory]:
    """The directories of a TIFF (or BigTIFF) file in order; ends at the first broken or repeated one."""
    head = _header(data)
    if head is None:
        return
    order, big, offset = head
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < _MOST_FRAMES:
        seen.add(offset)
        directory = _directory(data, order, big, offset)
        if directory is None:
            return
        yield directory
        offset = directory.next


def hides_its_picture(data: bytes) -> str | None:
    """What a TIFF is whose first directory is not its picture, None for an ordinary TIFF.

    Camera raw files (DNG, NEF, ARW, CR2, PEF, …) are TIFFs that begin with a thumbnail, or with the
    sensor's values. DNG 1.7 (DNGVersion, photometric 32803 and 34892), TIFF 6.0 (NewSubfileType),
    TIFF/EP (SubIFDs) and the makers' compression numbers.
    """
    first = next(directories(data), None)
    if first is None:
        return None
    inner = first.inner()
    if (
        _DNG_VERSION in first.entries
        or data[8:10] == b"CR"
        or any(
            each.integer(_PHOTOMETRIC) in _SENSOR or each.integer(_COMPRESSION) in _RAW_COMPRESSION
            for each in (first, *inner)
        )
    ):
        return "camera raw file"
    kind = first.integer(_NEW_SUBFILE_TYPE)
    if kind is None or not kind & 1:
        return None
    following = [each for each in islice(directories(data), 1, _MOST_INNER) if not _is_reduced(each)]
    if any(not _is_reduced(each) for each in (*inner, *following)):
        return "TIFF that begins with a thumbnail, as camera raw files do"
    return None


def _is_reduced(directory: Directory) -> bool:
    return bool((directory.integer(_NEW_SUBFILE_TYPE) or 0) & 1)


def exif_orientation(exif: bytes | None) -> int:
    """The EXIF orientation, 1–8; 1 where it is absent or the EXIF block is broken (EXIF 2.32, 4.6.4)."""
    if not exif:
        return 1
    if exif.startswith(b"Exif\x00\x00"):
        exif = exif[6:]
    value = None
    for directory in directories(exif):
        value = directory.integer(ORIENTATION)
        break
    return value if value is not None and 1 <= value <= 8 else 1


def exif_is_broken(exif: bytes) -> bool:
    """True where an EXIF block has no readable first directory."""
    body = exif[6:] if exif.startswith(b"Exif\x00\x00") else exif
    return next(directories(body), None) is None


def _header(data: bytes) -> tuple[str, bool, int] | None:
    if len(data) < 8 or data[:2] not in (b"II", b"MM"):
        return None
    order = "<" if data[:2] == b"II" else ">"
    (magic,) = struct.unpack_from(order + "H", data, 2)
    if magic == 42:
        return order, False, struct.unpack_from(order + "I", data, 4)[0]
    if magic == 43 and len(data) >= 16:
        return order, True, struct.unpack_from(order + "Q", data, 8)[0]
    return None


def _directory(data: bytes, order: str, big: bool, offset: int) -> Directory | None:
    count_code, entry_code, next_code = ("Q", "HHQ", "Q") if big else ("H", "HHI", "I")
    width = 20 if big else 12
    inline = 8 if big else 4
    at = offset + struct.calcsize("<" + count_code)
    if at > len(data):
        return None
    (count,) = struct.unpack_from(order + count_code, data, offset)
    if count > _MOST_ENTRIES or at + count * width > len(data):
        return None
    entries: dict[int, Entry] = {}
    for index in range(count):
        start = at + index * width
        tag, kind, number = struct.unpack_from(order + entry_code, data, start)
        value_at = start + width - inline
        if _SIZES.get(kind, 0) * number > inline:
            (value_at,) = struct.unpack_from(order + next_code, data, value_at)
        entries.setdefault(tag, Entry(kind, number, value_at))
    end = at + count * width
    following = 0
    if end + struct.calcsize("<" + next_code) <= len(data):
        (following,) = struct.unpack_from(order + next_code, data, end)
    return Directory(data, order, entries, following)
