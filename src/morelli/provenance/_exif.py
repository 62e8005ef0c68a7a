"""EXIF and TIFF directories (TIFF 6.0; EXIF 2.32, 4.6), bounded, and the texts that tools write there."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

MAKE: Final = 0x010F
MODEL: Final = 0x0110
DESCRIPTION: Final = 0x010E
SOFTWARE: Final = 0x0131
ARTIST: Final = 0x013B
XMP: Final = 0x02BC
IPTC: Final = 0x83BB
PHOTOSHOP: Final = 0x8649
EXPOSURE: Final = 0x829A
APERTURE: Final = 0x829D
SPEED: Final = 0x8827
EXIF_DIRECTORY: Final = 0x8769
TAKEN: Final = 0x9003
FOCAL_LENGTH: Final = 0x920A
MAKER_NOTE: Final = 0x927C
USER_COMMENT: Final = 0x9286
PIXELS_X: Final = 0xA002
PIXELS_Y: Final = 0xA003
LENS: Final = 0xA434
C2PA: Final = 0xCD41

_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_MOST_ENTRIES: Final = 1000
_MOST_VALUE: Final = 2 << 20


@dataclass(frozen=True)
class Exif:
    """The directories of one EXIF block or TIFF file.

    Attributes:
        place: where the block stands.
        order: ``<`` or ``>``, the byte order.
        main: values of the first directory by tag: (type, raw bytes).
        sub: values of the EXIF directory.
        thumbnail: the JPEG thumbnail of the second directory.
        tags: every tag of the first directory, those with values too large to keep included.
    """

    place: str
    order: str
    main: dict[int, tuple[int, bytes]]
    sub: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    thumbnail: bytes | None = field(default=None, repr=False)
    tags: frozenset[int] = frozenset()

    def raw(self, tag: int) -> bytes | None:
        """The bytes of a tag, in the EXIF directory or, where some tools write them, in the first one."""
        found = self.sub.get(tag) or self.main.get(tag)
        return found[1] if found else None

    def text(self, tag: int) -> str:
        """A tag as text; empty where it is absent or no text."""
        found = self.sub.get(tag) or self.main.get(tag)
        if found is None or found[0] not in (1, 2, 7, 129):
            return ""
        body = found[1].split(b"\0", 1)[0] if found[0] == 2 else found[1].rstrip(b"\0")
        try:
            return body.decode("utf-8").strip()
        except UnicodeDecodeError:
            return body.decode("latin-1").strip()

    def comment(self) -> str:
        """UserComment, decoded by its eight-byte code (EXIF 2.32, 4.6.6)."""
        found = self.sub.get(USER_COMMENT) or self.main.get(USER_COMMENT)
        if found is None:
            return ""
        if found[0] == 2:  # Some tools write plain text there.
            return self.text(USER_COMMENT)
        code, body = found[1][:8], found[1][8:]
        if code == b"UNICODE\0":
            return utf16(body).strip("\0 ")
        if code not in (b"ASCII\0\0\0", b"\0" * 8, b"JIS\0\0\0\0\0"):
            body = found[1]
        return body.decode("utf-8", "replace").strip("\0 ")

    def number(self, tag: int) -> float | None:
        """The first value of a numeric tag, rationals divided."""
        found = self.sub.get(tag) or self.main.get(tag)
        if found is None:
            return None
        kind, data = found
        if kind in (5, 10) and len(data) >= 8:
            over, under = struct.unpack_from(self.order + ("II" if kind == 5 else "ii"), data)
            return over / under if under else None
        code = {1: "B", 3: "H", 4: "I", 8: "h", 9: "i", 11: "f", 12: "d"}.get(kind)
        if code is None or len(data) < struct.calcsize(code):
            return None
        value = float(struct.unpack_from(self.order + code, data)[0])
        return value if math.isfinite(value) else None


def read_exif(data: bytes, place: str) -> Exif | None:
    """The directories of an EXIF block or a TIFF file; None where there is no readable first one.

    BigTIFF is not read.
    """
    if data[:6] == b"Exif\0\0":
        data = data[6:]
    if len(data) < 8 or data[:4] not in (b"II*\0", b"MM\0*"):
        return None
    order = "<" if data[:2] == b"II" else ">"
    (offset,) = struct.unpack_from(order + "I", data, 4)
    first = _directory(data, order, offset)
    if first is None:
        return None
    main, following = first
    sub: dict[int, tuple[int, bytes]] = {}
    pointer = main.get(EXIF_DIRECTORY)
    if pointer and len(pointer[1]) >= 4:
        below = _directory(data, order, struct.unpack_from(order + "I", pointer[1])[0])
        sub = below[0] if below else {}
    tags = _tags(data, order, offset)
    return Exif(place, order, main, sub, _thumbnail(data, order, following), tags)


def utf16(body: bytes) -> str:
    """UTF-16 without a byte order mark: the order that puts more zero bytes where ASCII has them.

    The standard leaves the order to the writer. piexif writes the big end first, .NET the little one; even a
    text without any ASCII letter has spaces, digits or line ends.

    >>> utf16("Steps: 20".encode("utf-16-be")), utf16("Steps: 20".encode("utf-16-le"))
    ('Steps: 20', 'Steps: 20')
    """
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace")
    big = body[0::2].count(0) >= body[1::2].count(0)
    return body.decode("utf-16-be" if big else "utf-16-le", "replace")


def _directory(data: bytes, order: str, offset: int) -> tuple[dict[int, tuple[int, bytes]], int] | None:
    if offset < 8 or offset + 2 > len(data):
        return None
    (count,) = struct.unpack_from(order + "H", data, offset)
    if count > _MOST_ENTRIES:
        return None
    entries = dict(_entries(data, order, offset + 2, count))
    end = offset + 2 + 12 * count
    following = struct.unpack_from(order + "I", data, end)[0] if end + 4 <= len(data) else 0
    return entries, following


def _entries(data: bytes, order: str, at: int, count: int) -> Iterator[tuple[int, tuple[int, bytes]]]:
    left = _MOST_VALUE
    for start in range(at, min(at + 12 * count, len(data) - 11), 12):
        tag, kind, number = struct.unpack_from(order + "HHI", data, start)
        size = _SIZES.get(kind, 0) * number
        where = start + 8
        if size > 4:
            (where,) = struct.unpack_from(order + "I", data, where)
        # A TIFF's pixels lie in the same directory's reach; what is larger than any text is left out.
        if size == 0 or size > left or where + size > len(data):
            continue
        left -= size
        yield tag, (kind, data[where : where + size])


def _tags(data: bytes, order: str, offset: int) -> frozenset[int]:
    (count,) = struct.unpack_from(order + "H", data, offset)
    starts = range(offset + 2, min(offset + 2 + 12 * count, len(data) - 11), 12)
    return frozenset(struct.unpack_from(order + "H", data, start)[0] for start in starts)


def _thumbnail(data: bytes, order: str, offset: int) -> bytes | None:
    second = _directory(data, order, offset) if offset else None
    if second is None:
        return None
    found = []
    for tag in (0x0201, 0x0202):
        kind, raw = second[0].get(tag, (0, b""))
        if kind != 4 or len(raw) < 4:
            return None
        found.append(struct.unpack_from(order + "I", raw)[0])
    start, length = found
    body = data[start : start + length]
    return body if body[:3] == b"\xff\xd8\xff" and len(body) == length else None
