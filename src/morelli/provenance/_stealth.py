"""Texts in the lowest bits of a PNG's alpha channel, as NovelAI and tools after it write them.

The bits run down the columns: ``stealth_pngcomp``, the number of bits, and JSON packed with gzip
(NovelAI/novelai-image-metadata, nai_meta.py). ``stealth_pnginfo`` is the same without packing.
"""

from __future__ import annotations

import io
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import PngImagePlugin

from morelli.images import quiet_pillow
from morelli.provenance._finding import Finding
from morelli.provenance._generators._labels import novelai_finding
from morelli.provenance._generators._parameters import parse_parameters
from morelli.provenance._generators._places import parse_object
from morelli.provenance._metadata import MOST_TEXT, Metadata, decoded

_PACKED: Final = b"stealth_pngcomp"
_PLAIN: Final = b"stealth_pnginfo"
_PLACE: Final = "alpha channel, lowest bits"
_HEAD: Final = len(_PACKED)
_ROWS: Final = 8 * _HEAD
_MOST_CHUNKS: Final = 20_000
# Far more than these tools make; a larger picture is not decoded for a hidden text.
_MOST_PIXELS: Final = 1 << 24


def stealth_finding(data: bytes, metadata: Metadata) -> Finding | None:
    """What a PNG's alpha channel hides; None, after a look at its first column, for nearly every file."""
    if metadata.format != "PNG" or not metadata.alpha or min(metadata.width, metadata.height) < 1:
        return None
    if metadata.width * metadata.height > _MOST_PIXELS:
        return None
    if metadata.height >= _ROWS:
        head = np.packbits(first_column(data, metadata.width) & 1)[:_HEAD].tobytes()
        if head not in (_PACKED, _PLAIN):
            return None
    text = _hidden(data)
    if text is None:
        return None
    record = parse_object(text)
    if record is None:
        return parse_parameters(text, _PLACE)
    comment = record.get("Comment")
    settings: dict[str, Any] | None = comment if isinstance(comment, dict) else None
    if isinstance(comment, str):
        settings = parse_object(comment)
    if record.get("Software") != "NovelAI" and settings is None:
        return parse_parameters(str(record.get("parameters", "")), _PLACE)
    return novelai_finding(settings, record.get("Source"), record.get("Description"), _PLACE)


def first_column(data: bytes, width: int) -> NDArray[np.uint8]:
    """The alpha values of the first column's first rows, (rows,), unpacked without decoding the picture.

    Every filter of PNG (9.2) predicts a row's first pixel from the one above alone, so that the other columns
    are not needed.
    """
    row = 1 + 4 * width
    packed = _first_rows(data, row * _ROWS)
    column = np.zeros(_ROWS, np.uint8)
    above = 0
    for index in range(min(_ROWS, len(packed) // row)):
        kind, value = packed[index * row], packed[index * row + 4]
        # Up and Paeth add the value above, Average half of it; None and Sub add nothing.
        above = (value + {2: above, 3: above // 2, 4: above}.get(kind, 0)) & 0xFF
        column[index] = above
    return column


def _first_rows(data: bytes, most: int) -> bytes:
    unpacker = zlib.decompressobj()
    found = b""
    at = 8
    for _ in range(_MOST_CHUNKS):
        if at + 12 > len(data) or len(found) >= most:
            break
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IDAT":
            try:
                found += unpacker.decompress(data[at + 8 : at + 8 + length], most - len(found))
            except zlib.error:
                break
        at += 12 + length
    return found


def _hidden(data: bytes) -> str | None:
    """The text in the alpha channel, decoded whole; None where there is none or it is damaged."""
    try:
        with quiet_pillow(), PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
            alpha = np.asarray(image.getchannel("A"))
    except (OSError, ValueError, SyntaxError, MemoryError, EOFError):
        return None
    limit = 8 * (_HEAD + 4 + MOST_TEXT)
    bits = np.packbits(alpha.T.reshape(-1)[:limit] & 1).tobytes()
    if bits[:_HEAD] not in (_PACKED, _PLAIN):
        return None
    size = int.from_bytes(bits[_HEAD : _HEAD + 4], "big") // 8
    body = bits[_HEAD + 4 : _HEAD + 4 + size]
    if bits[:_HEAD] == _PLAIN:
        return decoded(body)
    try:
        return decoded(zlib.decompressobj(wbits=31).decompress(body, MOST_TEXT))
    except zlib.error:
        return None
