"""What format some bytes are, by their content; a file's suffix is only a hint to people."""

from __future__ import annotations

import re
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
    {".jpf", ".jpx", ".jpc", ".j2c", ".jxr", ".wdp", ".hdp", ".bpg", ".flif", ".mng", ".jng", ".cur", ".icns"}
    | {".pcx", ".sgi", ".dds", ".xcf", ".kra", ".pnm", ".pam", ".pfm", ".xpm", ".fits", ".djvu"}
    | {".jp2", ".j2k", ".jxl", ".psd", ".ico", ".svg", ".tga", ".exr", ".hdr", ".ppm", ".pgm", ".pbm", ".qoi"}
    | {".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".raf", ".orf", ".rw2", ".rwl"}
    | {".pef", ".srw", ".3fr", ".fff", ".iiq", ".mef", ".mos", ".mrw", ".erf", ".dcr", ".kdc", ".x3f"}
)
"""Image suffixes whose files are listed and then refused with a reason, never passed over in silence."""

_HEIF_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"}
)
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_OTHERS: Final = (
    (b"%PDF", "PDF"),
    (b"FUJIFILMCCD-RAW", "camera raw file"),
    (b"IIU\x00", "camera raw file"),  # Panasonic
    (b"IIRO", "camera raw file"),  # Olympus
    (b"IIRS", "camera raw file"),
    (b"MMOR", "camera raw file"),
    (b"\x00MRM", "camera raw file"),  # Minolta
    (b"FOVb", "camera raw file"),  # Sigma
    (b"II\x1a\x00\x00\x00HEAPCCDR", "camera raw file"),  # Canon, before its TIFF
    (b"II\xbc", "JPEG XR"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"DDS ", "DDS texture"),
    (b"icns", "ICNS"),
    (b"\x00\x00\x02\x00\x01\x00", "CUR"),
    (b"gimp xcf", "GIMP drawing"),
    (b"AT&TFORM", "DjVu"),
    (b"SIMPLE  =", "FITS image"),
    (b"\xd7\xcd\xc6\x9a", "Windows metafile"),
    (b"%!PS", "PostScript"),
    (b"P7\n", "PNM"),
    (b"PF\n", "PFM"),
    (b"Pf\n", "PFM"),
    (b"8BPS", "PSD"),
    (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"\x8bJNG\r\n\x1a\n", "JNG"),
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
    (b"/* XPM */", "XPM"),
    *((bytes([0x0A, version, 1]), "PCX") for version in (0, 2, 3, 4, 5)),
    *((bytes([0x01, 0xDA, packed, width]), "SGI image") for packed in (0, 1) for width in (1, 2)),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip archive"),
    (b"Rar!\x1a\x07", "RAR archive"),
    (b"BZh", "bzip2 file"),
    (b"\xfd7zXZ\x00", "xz file"),
    (b"\x28\xb5\x2f\xfd", "Zstandard file"),
    (b"\x04\x22\x4d\x18", "LZ4 file"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"\x1f\x8b", "gzip file"),
    (b"\x1aE\xdf\xa3", "Matroska video"),
    (b"\x7fELF", "program"),
    (b"MZ", "program"),
)


_SVG: Final = re.compile(r"<(?:[a-z]+:)?svg[\s>/]")


def with_article(name: str) -> str:
    """A format's name behind "a" or "an", as it is spoken.

    >>> with_article("ICO"), with_article("SVG"), with_article("JPEG XL")
    ('an ICO', 'an SVG', 'a JPEG XL')
    """
    spoken_as_vowel = name[:1] in "AEIOaeio" or name.startswith(("SVG", "SGI", "MNG", "XPM", "LZ4", "xz"))
    return f"{'an' if spoken_as_vowel else 'a'} {name}"


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
    """The name of a format that is recognised but not accepted, or None.

    `HEAD_BYTES` are enough for most; an SVG drawing may begin with a long comment, and an
    uncompressed TGA is known by its header alone.

    >>> other_format(b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>')
    'SVG'
    """
    for magic, name in _OTHERS:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        return "camera raw file" if head[8:12] == b"crx " else "ISO media file"
    if _is_svg(head):
        return "SVG"
    return "TGA" if _is_tga(head) else None


def next_step(other: str) -> str:
    """What to do with a file of a format that `other_format` names.

    >>> next_step("RAR archive")
    'unpack it first'
    """
    if other.endswith((" archive", " file")) and other not in ("camera raw file", "ISO media file"):
        return "unpack it first"
    if other == "camera raw file":
        return "export the photograph as JPEG or TIFF first"
    if "media" in other or "video" in other:
        return "export one of its pictures as PNG or JPEG first"
    return "convert it to PNG or JPEG first"


def stand_in(head: bytes, what: str = "picture") -> str | None:
    """What stands where a picture (or `what`) should be, and how to get it; None for anything else.

    >>> stand_in(b"version https://git-lfs.github.com/spec/v1")
    'a pointer of Git LFS; fetch the picture itself with `git lfs pull`'
    """
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        return f"a pointer of Git LFS; fetch the {what} itself with `git lfs pull`"
    if b"/annex/objects/" in head[:200]:
        return f"a pointer of git-annex; fetch the {what} itself with `git annex get`"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return f"a web page, as a server sends instead of a {what}; download the {what} again"
    if text.startswith((b"<?xml", b"<error>")) and b"<error>" in text[:200]:
        return f"an error message of a server, sent instead of a {what}; download the {what} again"
    return None


def _is_svg(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = head[: len(head) // 2 * 2].decode("utf-16", "replace")
    else:
        text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    text = text.lstrip()
    return text.startswith(("<svg", "<?xml", "<!--", "<!DOCTYPE svg")) and bool(_SVG.search(text))


def _is_tga(head: bytes) -> bool:
    """True for a Truevision TGA header: it has no magic number, but few values are allowed."""
    if len(head) < 18:
        return False
    map_type, kind, map_bits, bits, flags = head[1], head[2], head[7], head[16], head[17]
    width, height = int.from_bytes(head[12:14], "little"), int.from_bytes(head[14:16], "little")
    if not width or not height or flags & 0xC0:
        return False
    if kind in (1, 9):
        return map_type == 1 and map_bits in (15, 16, 24, 32) and bits in (8, 16)
    if map_type != 0 or any(head[3:8]):
        return False
    return (kind in (2, 10) and bits in (15, 16, 24, 32)) or (kind in (3, 11) and bits in (8, 16))


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
