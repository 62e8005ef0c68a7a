"""PNG chunks up to IEND (PNG 3rd edition, 11.3): texts, EXIF, XMP, and ComfyUI's own chunk of animations."""

from __future__ import annotations

import binascii
import struct
from typing import Final

from morelli.provenance._exif import read_exif
from morelli.provenance._iim import read_photoshop
from morelli.provenance._metadata import MOST_PARTS, MOST_TEXT, Metadata, decoded, inflate
from morelli.provenance._xmp import read_xmp

_XMP: Final = "XML:com.adobe.xmp"
# ImageMagick's and older Pillow's way to keep a profile: a text of hexadecimal digits.
_PROFILES: Final = "Raw profile type "


def read_png(data: bytes, metadata: Metadata) -> None:
    """Fill `metadata` from the chunks before IEND."""
    at = 8
    for _ in range(MOST_PARTS):
        if at + 12 > len(data):
            break
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 8 + length
        if kind == b"IEND" or end + 4 > len(data):
            break
        if kind == b"IHDR" and length == 13:
            metadata.width, metadata.height = struct.unpack_from(">II", data, at + 8)
            # Eight bits, RGB with alpha, no interlacing: where tools hide texts in the alpha channel.
            metadata.alpha = data[at + 16 : at + 18] == b"\x08\x06" and data[at + 20] == 0
        elif kind in (b"tEXt", b"zTXt", b"iTXt", b"comf") and length <= 4 * MOST_TEXT:
            _text(kind, data[at + 8 : end], metadata)
        elif kind == b"eXIf":
            metadata.keep_exif(read_exif(data[at + 8 : end], "PNG eXIf chunk"))
        elif kind == b"caBX":
            metadata.credentials = "PNG caBX chunk"
        at = end + 4


def _text(kind: bytes, body: bytes, metadata: Metadata) -> None:
    if metadata.budget <= 0:
        return
    raw_key, _, rest = body.partition(b"\0")
    key = raw_key[:200].decode("latin-1")
    value: bytes | None = rest
    most = min(MOST_TEXT, metadata.budget)
    if kind == b"zTXt":
        value = inflate(rest[1:], most) if rest[:1] == b"\0" else None
    elif kind == b"iTXt":
        packed, rest = rest[:1], rest[2:]
        value = rest.split(b"\0", 2)[2] if rest.count(b"\0") >= 2 else None
        if packed == b"\1" and value is not None:
            value = inflate(value, most)
    if value is None:
        if not metadata.notes:
            metadata.notes.append("a PNG text chunk could not be unpacked")
        metadata.budget -= len(body)
        return
    value = value[:most]
    if key == _XMP:
        metadata.budget -= len(value)
        metadata.keep_xmp(read_xmp(value, "XMP in a PNG text chunk"))
    elif key.startswith(_PROFILES):
        metadata.budget -= len(value)
        _profile(key[len(_PROFILES) :], value, metadata)
    else:
        place = f"PNG chunk comf '{key}'" if kind == b"comf" else f"PNG text '{key}'"
        metadata.add_text(key, decoded(value), place)


def _profile(name: str, text: bytes, metadata: Metadata) -> None:
    """A profile in hexadecimal digits after its name and its length, each on a line."""
    lines = text.strip().split(b"\n", 2)
    try:
        body = binascii.unhexlify(b"".join(lines[2].split())) if len(lines) == 3 else b""
    except (binascii.Error, ValueError):
        return
    place = f"PNG text '{_PROFILES}{name}'"
    if name in ("exif", "APP1") and body[:6] == b"Exif\0\0":
        metadata.keep_exif(read_exif(body, place))
    elif name == "xmp":
        metadata.keep_xmp(read_xmp(body, place))
    elif name in ("iptc", "8bim"):
        metadata.credit_lines |= read_photoshop(body)
