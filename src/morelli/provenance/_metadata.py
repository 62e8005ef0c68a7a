"""What the containers hand over: texts, EXIF, XMP and IPTC blocks, each with the place where it stood."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from morelli.provenance._exif import Exif
from morelli.provenance._xmp import Xmp

# Bounds of one file. The longest texts seen are ComfyUI graphs of some hundred kilobytes.
MOST_TEXT: Final = 2 << 20
MOST_TEXTS: Final = 200
MOST_TEXT_IN_ALL: Final = 8 << 20
MOST_PARTS: Final = 20_000


class Text(NamedTuple):
    """A text of the container: its key (empty where the format has none), its value, and its place."""

    key: str
    value: str
    place: str


@dataclass
class Metadata:
    """The parts of one file that can say something about its making.

    Attributes:
        format: the container, by content.
        width: pixels, where the container states them.
        height: pixels.
        texts: PNG text chunks, GIF and JPEG comments.
        exif: the EXIF block.
        xmp: the XMP packet.
        credit_lines: IPTC-IIM datasets of record 2 by number.
        credentials: where a C2PA manifest store stands, or None.
        tables: JPEG quantisation tables by number, 64 values in zigzag order.
        jfif_first: a JFIF header stands before EXIF.
        gain_map: what is announced beside the picture: a gain map, or further pictures.
        trailer: named blocks of a Samsung trailer.
        alpha: a PNG of 8-bit RGB with alpha.
        budget: bytes of text that may still be unpacked.
        notes: what could not be read.
    """

    format: str
    width: int = 0
    height: int = 0
    texts: list[Text] = field(default_factory=list)
    exif: Exif | None = None
    xmp: Xmp | None = None
    credit_lines: dict[int, str] = field(default_factory=dict)
    credentials: str | None = None
    tables: dict[int, tuple[int, ...]] = field(default_factory=dict)
    jfif_first: bool = False
    gain_map: str | None = None
    trailer: Mapping[str, bytes] = field(default_factory=dict)
    alpha: bool = False
    budget: int = MOST_TEXT_IN_ALL
    notes: list[str] = field(default_factory=list)

    def add_text(self, key: str, value: str, place: str) -> None:
        """Keep a text, unless the file has too many, or too much of them."""
        if len(self.texts) < MOST_TEXTS and self.budget > 0:
            self.texts.append(Text(key, value, place))
            self.budget -= len(value)

    def text(self, key: str) -> Text | None:
        """The first text of that key."""
        return next((text for text in self.texts if text.key == key), None)

    def keep_exif(self, exif: Exif | None) -> None:
        """Keep the first EXIF block that can be read."""
        if self.exif is None and exif is not None:
            self.exif = exif

    def keep_xmp(self, xmp: Xmp | None) -> None:
        """Keep the first XMP packet that says something."""
        if self.xmp is None and xmp is not None and xmp.properties:
            self.xmp = xmp


def inflate(data: bytes, most: int = MOST_TEXT) -> bytes | None:
    """`data` decompressed (zlib), at most `most` bytes; None where it is no zlib stream."""
    try:
        return zlib.decompressobj().decompress(data, most)
    except zlib.error:
        return None


def decoded(data: bytes) -> str:
    """A text whose encoding nobody states: UTF-8 where it is that, else Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
