"""AVIF and HEIF: the items of the meta box (ISO/IEC 14496-12, 8.11) and the uuid boxes beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from morelli.provenance._exif import read_exif
from morelli.provenance._metadata import MOST_PARTS, Metadata
from morelli.provenance._xmp import read_xmp

_C2PA: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_XMP: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_MOST_ITEM: Final = 4 << 20
# Items that are tried; the first readable one of each kind is kept.
_MOST_LOOKS: Final = 8


class _Box(NamedTuple):
    kind: bytes
    start: int
    end: int


def read_boxes(data: bytes, metadata: Metadata) -> None:
    """Fill `metadata` from the top-level boxes and from the items of the first meta box."""
    for box in _boxes(data, 0, len(data)):
        if box.kind == b"meta":
            _items(data, box, metadata)
        elif box.kind == b"uuid":
            name = data[box.start : box.start + 16]
            if name == _C2PA:
                metadata.credentials = "C2PA box"
            elif name == _XMP:
                metadata.keep_xmp(read_xmp(data[box.start + 16 : box.end], "XMP box"))


def _boxes(data: bytes, at: int, end: int) -> Iterator[_Box]:
    """The boxes between two offsets; ends at the first that does not fit."""
    for _ in range(MOST_PARTS):
        if at + 8 > end:
            return
        size, start = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif size == 0:
            size = end - at
        if size < start - at or at + size > end:
            return
        yield _Box(data[at + 4 : at + 8], start, at + size)
        at += size


def _items(data: bytes, meta: _Box, metadata: Metadata) -> None:
    kinds: dict[int, bytes] = {}
    places: dict[int, list[tuple[int, int]]] = {}
    for box in _boxes(data, meta.start + 4, meta.end):
        if box.kind == b"iinf":
            kinds = dict(_item_kinds(data, box))
        elif box.kind == b"iloc":
            places = _locations(data, box)
        elif box.kind == b"iprp":
            _size(data, box, metadata)
    looks = _MOST_LOOKS
    for number, kind in kinds.items():
        wanted = (kind == b"Exif" and metadata.exif is None) or (kind == b"XMP" and metadata.xmp is None)
        if not wanted or looks == 0:
            continue
        looks -= 1
        body = _extents(data, places.get(number, []))
        if kind == b"Exif" and len(body) > 4:
            # The item begins with the distance to the TIFF header (ISO/IEC 23008-12, A.2.1).
            skip = 4 + int.from_bytes(body[:4], "big")
            metadata.keep_exif(read_exif(body[skip:], "EXIF item"))
        elif kind == b"XMP":
            metadata.keep_xmp(read_xmp(body, "XMP item"))


def _item_kinds(data: bytes, box: _Box) -> Iterator[tuple[int, bytes]]:
    """Numbers and types of the items; XMP is a ``mime`` item of type ``application/rdf+xml``."""
    version = data[box.start] if box.start < box.end else 0
    for entry in _boxes(data, box.start + (6 if version == 0 else 8), box.end):
        if entry.kind != b"infe" or entry.end - entry.start < 12:
            continue
        wide = data[entry.start] >= 3
        at = entry.start + 4
        number = int.from_bytes(data[at : at + (4 if wide else 2)], "big")
        at += 6 if wide else 4
        kind = data[at : at + 4]
        if kind == b"mime":
            texts = data[at + 4 : min(entry.end, at + 300)].split(b"\0")
            kind = b"XMP" if len(texts) > 1 and texts[1] == b"application/rdf+xml" else kind
        yield number, kind


def _locations(data: bytes, box: _Box) -> dict[int, list[tuple[int, int]]]:
    """Offsets and lengths of the items that lie in the file itself (8.11.3)."""
    head = data[box.start : min(box.end, box.start + 8)]
    if len(head) < 8:
        return {}
    version = head[0]
    offset_size, length_size = head[4] >> 4, head[4] & 15
    base_size, index_size = head[5] >> 4, head[5] & 15
    wide = 4 if version == 2 else 2
    at = box.start + 6
    found: dict[int, list[tuple[int, int]]] = {}

    def take(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(data[at - size : min(at, box.end)], "big")

    for _ in range(min(take(wide), MOST_PARTS)):
        if at >= box.end:
            break
        number = take(wide)
        method = take(2) & 15 if version in (1, 2) else 0
        take(2)
        base = take(base_size)
        extents: list[tuple[int, int]] = []
        for _ in range(min(take(2), 64)):
            if version in (1, 2):
                take(index_size)
            start = base + take(offset_size)
            extents.append((start, take(length_size)))
        if method == 0:
            found[number] = extents
    return found


def _extents(data: bytes, extents: list[tuple[int, int]]) -> bytes:
    body = b""
    for start, length in extents:
        body += data[start : start + min(length, _MOST_ITEM - len(body))]
    return body


def _size(data: bytes, box: _Box, metadata: Metadata) -> None:
    """The largest of the image sizes (ispe) in the item properties."""
    for container in _boxes(data, box.start, box.end):
        if container.kind != b"ipco":
            continue
        for entry in _boxes(data, container.start, container.end):
            if entry.kind == b"ispe" and entry.end - entry.start >= 12:
                width = int.from_bytes(data[entry.start + 4 : entry.start + 8], "big")
                height = int.from_bytes(data[entry.start + 8 : entry.start + 12], "big")
                if width * height > metadata.width * metadata.height:
                    metadata.width, metadata.height = width, height
