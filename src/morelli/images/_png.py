"""PNG chunks, checked as libpng would: Pillow shows a damaged or cut PNG without a word."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from morelli.errors import ImageError

_TEXT = frozenset({b"zTXt", b"iTXt", b"tEXt", b"iCCP"})
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# First column, first row, column step, row step of Adam7's passes (PNG 3rd edition, 8.1).
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_STEP = 1 << 20


class Chunk(NamedTuple):
    """A chunk's kind, and where its header and its data begin and its data end."""

    kind: bytes
    start: int
    data: int
    end: int


def check_png(data: bytes) -> None:
    """Refuse a PNG without end, picture or palette, or whose critical chunks fail their CRC."""
    kinds: set[bytes] = set()
    for chunk in chunks(data):
        kinds.add(chunk.kind)
        # An upper-case first letter means critical (5.4): without it there is no picture.
        if chunk.kind[:1].isupper():
            (stored,) = struct.unpack_from(">I", data, chunk.end)
            if zlib.crc32(memoryview(data)[chunk.start + 4 : chunk.end]) != stored:
                name = chunk.kind.decode("ascii", "backslashreplace")
                raise ImageError("damaged", f"the PNG's {name} chunk fails its checksum")
        if chunk.kind == b"IHDR" and chunk.end - chunk.data != 13:
            raise ImageError("damaged", "the PNG's header has the wrong length")
        if chunk.kind == b"IEND":
            break
    else:
        raise ImageError("truncated", "the PNG ends before its last chunk (IEND)")
    if b"CgBI" in kinds:
        raise ImageError(
            "unsupported_format",
            "a PNG changed for iPhone apps (CgBI) is not read; change it back with "
            "`pngcrush -revert-iphone-optimizations`",
        )
    if b"IHDR" not in kinds or b"IDAT" not in kinds:
        raise ImageError("damaged", "the PNG holds no picture (no IHDR or no IDAT chunk)")
    if data[25] == 3 and b"PLTE" not in kinds:
        raise ImageError("damaged", "the PNG has a palette's indices and no palette")


def check_png_complete(data: bytes, image: Image.Image) -> None:
    """Refuse a decoded PNG whose compressed data ended early: Pillow leaves the rest black.

    The data are unpacked a second time only where it can have happened: the last row is all zero,
    or the rows are interlaced.
    """
    interlaced = data[28] == 1
    last = image.crop((0, image.height - 1, image.width, image.height))
    if not interlaced and np.asarray(last).any():
        return
    expected = _row_bytes(data, interlaced)
    unpacker = zlib.decompressobj()
    got = 0
    for chunk in chunks(data):
        if chunk.kind != b"IDAT":
            continue
        waiting: bytes | memoryview = memoryview(data)[chunk.data : chunk.end]
        while len(waiting) and not unpacker.eof:
            got += len(unpacker.decompress(waiting, _STEP))
            waiting = unpacker.unconsumed_tail
        if got >= expected or unpacker.eof:
            break
    got += len(unpacker.flush()) if got < expected else 0
    if got < expected:
        raise ImageError(
            "truncated", f"the PNG holds {got:,} bytes of pixels of the {expected:,} that it needs"
        )


def drop_png_metadata(data: bytes) -> bytes:
    """The PNG without its text and profile chunks (11.3)."""
    kept = [data[:8]]
    kept.extend(data[c.start : c.end + 4] for c in chunks(data) if c.kind not in _TEXT)
    return b"".join(kept)


def png_bit_depth(data: bytes) -> int:
    """Bits per sample."""
    return data[24]


def chunks(data: bytes) -> Iterator[Chunk]:
    """The chunks that lie whole in `data`."""
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            return
        yield Chunk(data[at + 4 : at + 8], at, at + 8, end)
        at = end + 4


def _row_bytes(data: bytes, interlaced: bool) -> int:
    """Bytes of all filtered rows, filter bytes included (7.2)."""
    width, height = struct.unpack_from(">II", data, 16)
    bits = data[24] * _CHANNELS.get(data[25], 1)
    if not interlaced:
        return int(height * (1 + (width * bits + 7) // 8))
    total = 0
    for column, row, column_step, row_step in _ADAM7:
        columns = (width - column + column_step - 1) // column_step
        rows = (height - row + row_step - 1) // row_step
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total
