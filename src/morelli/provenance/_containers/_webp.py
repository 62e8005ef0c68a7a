"""WebP chunks inside the RIFF container (RFC 9649)."""

from __future__ import annotations

from morelli.provenance._exif import read_exif
from morelli.provenance._metadata import MOST_PARTS, Metadata
from morelli.provenance._xmp import read_xmp


def read_webp(data: bytes, metadata: Metadata) -> None:
    """Fill `metadata` from the chunks; what lies behind the RIFF size is not part of the picture."""
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    at = 12
    for _ in range(MOST_PARTS):
        if at + 8 > end:
            break
        kind = data[at : at + 4]
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        start, stop = at + 8, min(at + 8 + size, end)
        if kind == b"EXIF":
            metadata.keep_exif(read_exif(data[start:stop], "WebP EXIF chunk"))
        elif kind == b"XMP ":
            metadata.keep_xmp(read_xmp(data[start:stop], "XMP in a WebP chunk"))
        elif kind == b"C2PA":
            metadata.credentials = "WebP C2PA chunk"
        elif kind == b"VP8X" and stop - start >= 10:
            metadata.width = 1 + int.from_bytes(data[start + 4 : start + 7], "little")
            metadata.height = 1 + int.from_bytes(data[start + 7 : start + 10], "little")
        at = start + size + (size & 1)
