"""JPEG marker segments before the first scan (ITU-T T.81, B.1), and the trailer that Samsung appends."""

from __future__ import annotations

from typing import Final

from morelli.provenance._exif import read_exif
from morelli.provenance._iim import read_photoshop
from morelli.provenance._metadata import MOST_PARTS, Metadata, decoded
from morelli.provenance._xmp import GAIN_MAP, XMP_NOTE, Xmp, read_xmp

_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENSION: Final = b"http://ns.adobe.com/xmp/extension/\0"
_GAIN_MAP: Final = b"urn:iso:std:iso:ts:21496:-1\0"
_SIZES: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_MOST_EXTENSION: Final = 4 << 20
_MOST_EXTENSIONS: Final = 8
_MOST_BLOCKS: Final = 64
_MOST_BLOCK: Final = 1 << 16


def read_jpeg(data: bytes, metadata: Metadata) -> None:
    """Fill `metadata` from the segments; what follows the first scan is not looked at."""
    at = 2
    jfif = False
    extension = _Extension()
    for _ in range(MOST_PARTS):
        # Fill bytes may stand before a marker.
        while at + 1 < len(data) and data[at] == 0xFF and data[at + 1] == 0xFF:
            at += 1
        if at + 4 > len(data) or data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker in _BARE:
            at += 2
            continue
        if marker in (0xD9, 0xDA):
            break
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : end]
        if marker == 0xE0 and body[:5] == b"JFIF\0":
            jfif = True
        elif marker == 0xE1 and body[:6] == b"Exif\0\0" and metadata.exif is None:
            metadata.keep_exif(read_exif(body, "EXIF"))
            metadata.jfif_first = jfif
        elif marker == 0xE1 and body.startswith(_XMP) and metadata.xmp is None:
            metadata.keep_xmp(read_xmp(body[len(_XMP) :], "XMP"))
        elif marker == 0xE1 and body.startswith(_EXTENSION):
            extension.add(body[len(_EXTENSION) :])
        elif marker == 0xE2 and body.startswith(_GAIN_MAP):
            metadata.gain_map = "gain map"
        elif marker == 0xE2 and body[:4] == b"MPF\0":
            metadata.gain_map = metadata.gain_map or "multi-picture index"
        elif marker == 0xEB and body[:2] == b"JP" and b"c2pa" in body:
            metadata.credentials = "JPEG APP11 segment"
        elif marker == 0xED and body.startswith(b"Photoshop 3.0\0"):
            metadata.credit_lines |= read_photoshop(body[14:])
        elif marker == 0xFE:
            metadata.add_text("", decoded(body).strip("\0 \n"), "JPEG comment")
        elif marker == 0xDB:
            _tables(body, metadata.tables)
        elif marker in _SIZES and len(body) >= 5:
            metadata.height = int.from_bytes(body[1:3], "big")
            metadata.width = int.from_bytes(body[3:5], "big")
        at = max(end, at + 4)
    if metadata.xmp is not None and (packet := extension.packet(metadata.xmp)):
        metadata.xmp.add(read_xmp(packet, "XMP"))
    if metadata.xmp is not None and metadata.xmp.has_namespace(GAIN_MAP):
        metadata.gain_map = "gain map"
    if data.endswith(b"SEFT"):
        metadata.trailer = read_samsung_trailer(data)


class _Extension:
    """The part of an XMP packet that does not fit into one segment (XMP part 3, 1.1.3.1).

    Each piece names its whole by 32 hex digits, and says its length and where the piece belongs. The main
    packet names the whole that is its own; pieces of any other count for nothing.
    """

    def __init__(self) -> None:
        self._wholes: dict[bytes, tuple[int, dict[int, bytes]]] = {}
        self._size = 0

    def add(self, body: bytes) -> None:
        """Keep one piece: the digits, length and offset in four bytes each, the content."""
        name, content = body[:32], body[40:]
        length, at = int.from_bytes(body[32:36], "big"), int.from_bytes(body[36:40], "big")
        self._size += len(content)
        if self._size > _MOST_EXTENSION or not content or at + len(content) > length:
            return
        if name in self._wholes or len(self._wholes) < _MOST_EXTENSIONS:
            self._wholes.setdefault(name, (length, {}))[1].setdefault(at, content)

    def packet(self, main: Xmp) -> bytes | None:
        """The whole that the main packet names, if every byte of it is there."""
        name = main.first(XMP_NOTE, "HasExtendedXMP").encode("ascii", "replace")
        length, pieces = self._wholes.get(name, (0, {}))
        end = 0
        for at in sorted(pieces):
            if at != end:
                return None
            end += len(pieces[at])
        return b"".join(pieces[at] for at in sorted(pieces)) if end == length and pieces else None


def read_samsung_trailer(data: bytes) -> dict[str, bytes]:
    """The named blocks of a Samsung trailer (ExifTool 13.58, Samsung.pm, ProcessSamsung).

    Its directory ends with its length and ``SEFT``, and lists each block by its distance before itself.
    """
    if len(data) < 20 or not data.endswith(b"SEFT"):
        return {}
    length = int.from_bytes(data[-8:-4], "little")
    start = len(data) - 8 - length
    if length > 0x10000 or length < 12 or start < 0 or data[start : start + 4] != b"SEFH":
        return {}
    count = int.from_bytes(data[start + 8 : start + 12], "little")
    blocks: dict[str, bytes] = {}
    for index in range(min(count, (length - 12) // 12, _MOST_BLOCKS)):
        entry = start + 12 + 12 * index
        back = int.from_bytes(data[entry + 4 : entry + 8], "little")
        size = int.from_bytes(data[entry + 8 : entry + 12], "little")
        if back > start or size > back or size < 8:
            break
        block = data[start - back : start - back + min(size, _MOST_BLOCK)]
        name_size = int.from_bytes(block[4:8], "little")
        blocks.setdefault(decoded(block[8 : 8 + name_size]), block[8 + name_size :])
    return blocks


def _tables(body: bytes, tables: dict[int, tuple[int, ...]]) -> None:
    """Quantisation tables of a DQT segment (B.2.4.1)."""
    at = 0
    while at < len(body):
        width = 2 if body[at] >> 4 else 1
        raw = body[at + 1 : at + 1 + 64 * width]
        if len(raw) < 64 * width:
            return
        values = tuple(raw) if width == 1 else tuple(raw[i] * 256 + raw[i + 1] for i in range(0, 128, 2))
        tables.setdefault(body[at] & 15, values)
        at += 1 + 64 * width
