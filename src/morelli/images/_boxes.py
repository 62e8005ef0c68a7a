"""The boxes of AVIF and HEIF files: what they say of the picture that is shown, and of those beside it.

A bounded reader: no length of the file is believed beyond its end, and every loop has a limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from morelli.images._codec_headers import UNSPECIFIED, Colour, av1_colour, hevc_colour

_MOST_BOXES = 2_000
_MOST_ITEMS = 10_000
_MOST_STEPS = 4  # a derived picture may be made of derived ones
_LONGEST = 4096  # bytes of a property that are looked at
_MOST_CODED = 4096
# Boxes on the way to a track's sample descriptions (ISO/IEC 14496-12), and bytes before the first one inside.
_TRACK = {b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"stsd": 8}
_Box = tuple[bytes, int, int]
"""Kind, and where the content begins and ends."""


@dataclass
class Boxes:
    """What is read of a file.

    Attributes:
        properties: kind and content of the properties of the picture that is shown: those of its item, then
            of the first item that it is made of, or those of a track.
        auxiliary: the types of the pictures beside it.
        tone_map: one of these is derived by a gain map.
        coded: the first bytes of the picture's coded data.
    """

    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    auxiliary: list[bytes] = field(default_factory=list)
    tone_map: bool = False
    coded: bytes = b""

    def colour(self) -> Colour:
        """Primaries and transfer characteristics, by the container, else by the codec, or unspecified."""
        found: list[Colour] = []
        for kind, body in self.properties:
            if kind == b"colr" and body[:4] == b"nclx" and len(body) >= 8:
                colour = int.from_bytes(body[4:6], "big"), int.from_bytes(body[6:8], "big")
                found.append(colour)
        for kind, body in self.properties:
            if kind == b"hvcC":
                found.append(hevc_colour(body))
            elif kind == b"av1C":
                found += [av1_colour(body[4:]), av1_colour(self.coded)]
        primaries, transfer = (
            next((one[k] for one in found if one[k] != unknown), unknown)
            for k, unknown in enumerate(UNSPECIFIED)
        )
        return primaries, transfer


def read_boxes(data: bytes) -> Boxes:
    """What the boxes of an AVIF or HEIF file say, see `Boxes`."""
    found = Boxes()
    outer = {kind: (start, end) for kind, start, end in reversed(list(_boxes(data, 0, len(data))))}
    # Of a file that calls itself a film the decoder of AVIF shows that; the decoder of HEIF shows an item.
    if b"moov" in outer and (data[8:12] == b"avis" or b"meta" not in outer):
        found.properties += _of_track(data, *outer[b"moov"])
    if b"meta" in outer:
        start, end = outer[b"meta"]
        _read_items(data, start + 4, end, found)
    return found


def _boxes(data: bytes, at: int, end: int) -> Iterator[_Box]:
    """The boxes between two places (ISO/IEC 14496-12, 4.2)."""
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        size, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        stop = end if size == 0 else min(end, at + size)
        if size != 0 and size < head:
            return
        yield kind, at + head, stop
        at = stop


def _of_track(data: bytes, start: int, end: int) -> list[tuple[bytes, bytes]]:
    """The boxes of the first sample description of a picture in a film."""
    pending = [(start, end)]
    left = _MOST_BOXES
    while pending and left > 0:
        at, stop = pending.pop(0)
        for kind, inner, close in _boxes(data, at, stop):
            left -= 1
            if kind in (b"av01", b"hvc1"):
                return [
                    (name, data[a : min(b, a + _LONGEST)]) for name, a, b in _boxes(data, inner + 78, close)
                ]
            if kind in _TRACK:
                pending.append((inner + _TRACK[kind], close))
    return []


def _read_items(data: bytes, start: int, end: int, found: Boxes) -> None:
    """The properties of the primary item and of what it is made of (ISO/IEC 23008-12; 14496-12, 8.11)."""
    parts: dict[bytes, tuple[int, int]] = {}
    for kind, inner, close in _boxes(data, start, end):
        parts.setdefault(kind, (inner, close))
    container: list[_Box] = []
    maps: list[Iterator[tuple[int, list[int]]]] = []
    if b"iprp" in parts:
        for kind, inner, close in _boxes(data, *parts[b"iprp"]):
            if kind == b"ipco" and not container:
                container = list(_boxes(data, inner, close))
            elif kind == b"ipma":
                maps.append(_associations(data, inner, close))
    associated: dict[int, list[int]] = {}
    for item, listed in islice(chain.from_iterable(maps), _MOST_ITEMS):
        associated.setdefault(item, listed)
    for kind, inner, close in container:
        if kind == b"auxC":
            found.auxiliary.append(data[inner + 4 : min(close, inner + 4 + 256)].partition(b"\0")[0])
    if b"iinf" in parts:
        found.tone_map = any(
            kind == b"infe" and b"tmap" in data[inner + 4 : min(close, inner + 16)]
            for kind, inner, close in _entries(data, *parts[b"iinf"])
        )
    primary = _primary(data, *parts[b"pitm"]) if b"pitm" in parts else None
    items = [] if primary is None else _made_of(data, primary, parts.get(b"iref"))
    places = [place for item in items for place in associated.get(item, [])]
    if not places:  # nothing says which properties belong to which picture
        places = list(range(1, len(container) + 1))
    for place in places[:_MOST_BOXES]:
        if 1 <= place <= len(container):
            kind, inner, close = container[place - 1]
            found.properties.append((kind, data[inner : min(close, inner + _LONGEST)]))
    if items and b"iloc" in parts:
        found.coded = _coded(data, *parts[b"iloc"], items[-1], parts.get(b"idat"))


def _entries(data: bytes, start: int, end: int) -> Iterator[_Box]:
    """The entries of an ``iinf`` box."""
    return _boxes(data, start + (6 if data[start : start + 1] == b"\0" else 8), end)


def _primary(data: bytes, start: int, end: int) -> int:
    width = 4 if data[start : start + 1] > b"\0" else 2
    return int.from_bytes(data[start + 4 : min(end, start + 4 + width)], "big")


def _made_of(data: bytes, item: int, references: tuple[int, int] | None) -> list[int]:
    """The item, the first that it is derived from (``dimg``), and so on."""
    items = [item]
    if references is None:
        return items
    start, end = references
    width = 4 if data[start : start + 1] > b"\0" else 2
    first: dict[int, int] = {}
    for kind, inner, close in _boxes(data, start + 4, end):
        if kind == b"dimg" and inner + 2 * width + 2 <= close:
            origin = int.from_bytes(data[inner : inner + width], "big")
            made_of = int.from_bytes(data[inner + width + 2 : inner + 2 * width + 2], "big")
            first.setdefault(origin, made_of)
    while items[-1] in first and len(items) < _MOST_STEPS:
        items.append(first[items[-1]])
    return items


def _associations(data: bytes, start: int, end: int) -> Iterator[tuple[int, list[int]]]:
    """Item, and the places (from 1) of its properties in ``ipco``."""
    version, wide = data[start : start + 1], data[start + 3 : start + 4]
    width, step = (4 if version > b"\0" else 2), (2 if wide and wide[0] & 1 else 1)
    mask = 0x7FFF if step == 2 else 0x7F  # the first bit says that the property is essential
    at = start + 8
    for _ in range(min(int.from_bytes(data[start + 4 : start + 8], "big"), _MOST_ITEMS)):
        if at + width + 1 > end:
            return
        item, count = int.from_bytes(data[at : at + width], "big"), data[at + width]
        at += width + 1
        stop = min(end, at + count * step)
        yield item, [int.from_bytes(data[k : k + step], "big") & mask for k in range(at, stop, step)]
        at = stop


def _coded(data: bytes, start: int, end: int, item: int, idat: tuple[int, int] | None) -> bytes:
    """The first bytes of an item's data, by its first extent (ISO/IEC 14496-12, 8.11.3)."""
    if start + 8 > end:
        return b""
    version, sizes = data[start], int.from_bytes(data[start + 4 : start + 6], "big")
    offset, length, base = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index = sizes & 15 if version in (1, 2) else 0
    width = 4 if version == 2 else 2
    at = start + 6 + width
    for _ in range(min(int.from_bytes(data[start + 6 : at], "big"), _MOST_ITEMS)):
        found = int.from_bytes(data[at : at + width], "big")
        at += width
        method = 0
        if version in (1, 2):
            method = data[at + 1] & 15 if at + 1 < end else 0
            at += 2
        at += 2  # data_reference_index
        place = int.from_bytes(data[at : at + base], "big")
        at += base
        extents = int.from_bytes(data[at : at + 2], "big")
        at += 2
        if at > end:
            return b""
        if found == item and extents:
            at += index
            place += int.from_bytes(data[at : at + offset], "big")
            size = int.from_bytes(data[at + offset : at + offset + length], "big") or _MOST_CODED
            if method == 1 and idat is not None:
                place += idat[0]
            return data[place : place + min(size, _MOST_CODED)] if method < 2 else b""
        at += extents * (index + offset + length)
    return b""
