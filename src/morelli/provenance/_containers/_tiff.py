"""TIFF: its first directory holds what EXIF holds, and XMP, IPTC and C2PA beside it."""

from __future__ import annotations

from typing import Final

from morelli.provenance._exif import C2PA, IPTC, PHOTOSHOP, XMP, read_exif
from morelli.provenance._iim import read_iim, read_photoshop
from morelli.provenance._metadata import Metadata
from morelli.provenance._xmp import read_xmp

_WIDTH: Final = 0x0100
_HEIGHT: Final = 0x0101


def read_tiff(data: bytes, metadata: Metadata) -> None:
    """Fill `metadata` from the first directory."""
    exif = read_exif(data, "TIFF directory")
    if exif is None:
        return
    metadata.exif = exif
    metadata.width = int(exif.number(_WIDTH) or 0)
    metadata.height = int(exif.number(_HEIGHT) or 0)
    if packet := exif.raw(XMP):
        metadata.keep_xmp(read_xmp(packet, "XMP in a TIFF tag"))
    if datasets := exif.raw(IPTC):
        metadata.credit_lines |= read_iim(datasets)
    if resources := exif.raw(PHOTOSHOP):
        metadata.credit_lines |= read_photoshop(resources)
    # The manifest may be larger than any value that is kept, and its tag is unlike any other's.
    if C2PA in exif.tags:
        metadata.credentials = "TIFF tag 0xCD41"
