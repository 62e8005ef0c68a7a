"""Bounded parsers of the containers: nothing is decoded, nothing that stands outside of the picture's own
container is read, and damage ends the reading without an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from morelli.images import sniff
from morelli.provenance._containers._boxes import read_boxes
from morelli.provenance._containers._gif import read_gif
from morelli.provenance._containers._jpeg import read_jpeg
from morelli.provenance._containers._png import read_png
from morelli.provenance._containers._tiff import read_tiff
from morelli.provenance._containers._webp import read_webp
from morelli.provenance._metadata import Metadata

_READERS: Final[dict[str, Callable[[bytes, Metadata], None]]] = {
    "JPEG": read_jpeg,
    "PNG": read_png,
    "WEBP": read_webp,
    "AVIF": read_boxes,
    "HEIF": read_boxes,
    "GIF": read_gif,
    "TIFF": read_tiff,
}
_HEAD: Final = 64


def read_metadata(data: bytes) -> Metadata | None:
    """The parts of `data` that can say something; None where it is no accepted image."""
    format = sniff(data[:_HEAD])
    if format is None:
        return None
    metadata = Metadata(format)
    reader = _READERS.get(format)
    if reader is not None:
        reader(data, metadata)
    return metadata


__all__ = ["read_metadata"]
