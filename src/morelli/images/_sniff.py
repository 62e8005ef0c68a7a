"""What format some bytes are, by their content; a file's suffix is only a hint to people."""

from __future__ import annotations

from typing import Final

HEAD_BYTES: Final = 64
"""So many leading bytes are enough for `sniff`."""

SUFFIXES: Final = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".mpo": "JPEG",
    ".png": "PNG",
    ".apng": "PNG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".avifs": "AVIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".hif": "HEIF",
    ".heics": "HEIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".dib": "BMP",
}
"""Suffixes of accepted formats, lower case."""

OTHER_IMAGE_SUFFIXES: Final = frozenset(
    {".jp2", ".j2k", ".jxl", ".psd", ".ico", ".svg", ".tga", ".exr", ".hdr", ".ppm", ".pgm", ".pbm", ".qoi"}
    | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"}
)
"""Image suffixes whose files are listed and then refused with a reason, never passed over in silence."""

_HEIF_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"}
)
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_OTHERS: Final = (
    (b"%PDF", "PDF"),
    (b"8BPS", "PSD"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"v/1\x01", "OpenEXR"),
    (b"qoif", "QOI"),
    (b"<svg", "SVG"),
    (b"P1\n", "PNM"),
    (b"P2\n", "PNM"),
    (b"P3\n", "PNM"),
    (b"P4\n", "PNM"),
    (b"P5\n", "PNM"),
    (b"P6\n", "PNM"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"\x1f\x8b", "gzip file"),
    (b"\x1aE\xdf\xa3", "Matroska video"),
    (b"\x7fELF", "program"),
    (b"MZ", "program"),
)


def sniff(head: bytes) -> str | None:
    """The accepted format of data that begin with `head`, or None.

    >>> sniff(bytes.fromhex("ffd8ffe0"))
    'JPEG'
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return "TIFF"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head.startswith(b"BM") and len(head) >= 18 and head[15:18] == b"\x00\x00\x00":
        return "BMP"  # bytes 14–17 are the header's length, always below 256
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    return None


def other_format(head: bytes) -> str | None:
    """The name of a format that is recognised but not accepted, or None."""
    for magic, name in _OTHERS:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        return "ISO media file"
    return None


def _sniff_brands(head: bytes) -> str | None:
    major = head[8:12]
    # The file-type box lists more brands after major brand and version (ISO/IEC 14496-12, 4.3).
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[at : at + 4] for at in range(16, end - 3, 4)}
    if major in _AVIF_BRANDS:
        return "AVIF"
    if major in _HEIF_BRANDS:
        return (
            "AVIF" if brands & _AVIF_BRANDS and not brands & (_HEIF_BRANDS - {b"mif1", b"msf1"}) else "HEIF"
        )
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None
