"""GIF extensions (GIF89a): comments, XMP, and C2PA's application extension."""

from __future__ import annotations

from typing import Final

from morelli.provenance._metadata import MOST_TEXT, Metadata, decoded
from morelli.provenance._xmp import read_xmp

_MOST_BLOCKS: Final = 2_000_000
# The bytes that close an XMP packet so that decoders of sub-blocks find their way (XMP part 3, 1.1.2).
_MAGIC_TAIL: Final = 257


def read_gif(data: bytes, metadata: Metadata) -> None:
    """Fill `metadata` from the blocks, in order, until the trailer or damage."""
    if len(data) < 13:
        return
    metadata.width = int.from_bytes(data[6:8], "little")
    metadata.height = int.from_bytes(data[8:10], "little")
    at = 13 + _palette(data[10])
    blocks = 0
    while at + 2 < len(data) and blocks < _MOST_BLOCKS:
        if data[at] == 0x2C and at + 10 < len(data):
            at += 11 + _palette(data[at + 9])
        elif data[at] == 0x21:
            label = data[at + 1]
            at += 2
            if label == 0xFE:
                metadata.add_text("", decoded(_joined(data, at)).strip("\0 "), "GIF comment")
            elif label == 0xFF:
                at = _application(data, at, metadata)
        else:
            break
        while at < len(data) and data[at] and blocks < _MOST_BLOCKS:
            at += data[at] + 1
            blocks += 1
        at += 1


def _application(data: bytes, at: int, metadata: Metadata) -> int:
    """Look at an application extension; where its sub-blocks begin again."""
    name = data[at + 1 : at + 12]
    if name.startswith(b"C2PA_GIF"):
        metadata.credentials = "GIF C2PA extension"
    elif name == b"XMP DataXMP":
        # The packet is not cut into sub-blocks; it ends where the magic tail begins.
        end = data.find(b"\x01\xff\xfe\xfd", at + 12)
        if end > 0:
            metadata.keep_xmp(read_xmp(data[at + 12 : end], "XMP in a GIF extension"))
            return min(end + _MAGIC_TAIL, len(data))
    return at


def _joined(data: bytes, at: int) -> bytes:
    """The bytes of the sub-blocks from `at` on."""
    parts: list[bytes] = []
    size = 0
    while at < len(data) and data[at] and size < MOST_TEXT:
        parts.append(data[at + 1 : at + 1 + data[at]])
        size += data[at]
        at += data[at] + 1
    return b"".join(parts)


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
