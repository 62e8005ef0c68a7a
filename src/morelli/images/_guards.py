"""Checks of a file's own numbers, made before a decoder believes them."""

from __future__ import annotations

import struct
from typing import Any

from PIL import TiffImagePlugin

from morelli.errors import ImageError
from morelli.images._jpeg import jpeg_scans
from morelli.images._limits import Limits
from morelli.images._png import check_png
from morelli.images._tiff import directories, hides_its_picture
from morelli.images._tiff_samples import check_planes

_MOST_STRIPS = 1 << 20
_MOST_GIF_BLOCKS = 2_000_000
_PICTURE_BOXES = frozenset({b"ftyp", b"meta", b"moov", b"mdat", b"idat", b"moof"})


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Refuse an image without pixels, or with more than `limits.max_pixels`."""
    if width < 1 or height < 1:
        raise ImageError("damaged", f"the image says it is {width} × {height} pixels")
    if width * height > limits.max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"{width:,} × {height:,} pixels are more than the limit of {limits.max_pixels:,} (max_pixels)",
        )


def check_container(data: bytes, format: str, limits: Limits) -> None:
    """Refuse, before the decoder opens it, what would cost it memory at opening; and cut-off containers."""
    if format == "PNG":
        check_png(data)
    elif format == "JPEG":
        if jpeg_scans(data) == 0:
            raise ImageError("truncated", "the JPEG ends before its first scan")
    elif format == "GIF":
        _check_gif(data)
    elif format == "WEBP":
        _check_webp(data, limits)
    elif format == "TIFF":
        _check_tiff(data, limits)
    elif format in ("AVIF", "HEIF"):
        _check_boxes(data)


def frame_count(data: bytes, format: str, image: Any) -> int:
    """Frames or pages, counted without decoding any."""
    if format == "GIF":
        return max(1, _gif_frames(data))
    if format == "TIFF":
        return max(1, sum(1 for _ in directories(data)))
    if format == "JPEG":
        # A multi-picture JPEG (CIPA DC-007) counts its pictures in a directory of its own.
        index = next(directories(image.info.get("mp") or b""), None)
        return max(1, index.integer(0xB001) or 1) if index else 1
    return max(1, int(getattr(image, "n_frames", 1)))


def _check_gif(data: bytes) -> None:
    if _gif_frames(data) == 0:
        # 0x3B ends a GIF (GIF89a, section 27).
        ended = len(data) > 13 and data.rstrip(b"\0").endswith(b";")
        raise ImageError("damaged" if ended else "truncated", "the GIF holds no picture")


def _check_webp(data: bytes, limits: Limits) -> None:
    # libwebp's animation decoder takes memory for the whole canvas as soon as it is opened.
    if len(data) < 30:
        raise ImageError("truncated", "the WebP file ends inside its header")
    chunk = data[12:16]
    if chunk == b"VP8X":
        check_pixels(
            int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1, limits
        )
    elif chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        check_pixels(width & 0x3FFF, height & 0x3FFF, limits)
    elif chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        check_pixels((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1, limits)
    if 8 + int.from_bytes(data[4:8], "little") > len(data):
        raise ImageError("truncated", "the WebP file is shorter than its header says")


def _check_tiff(data: bytes, limits: Limits) -> None:
    if data.startswith(b"MM\0\x2b"):
        # Pillow 13 knows the mark of a BigTIFF in the other order alone.
        text = "the content is a BigTIFF in big-endian order, which is not read; save it as TIFF or PNG first"
        raise ImageError("unsupported_format", text)
    first = next(directories(data), None)
    if first is None:
        raise ImageError("damaged", "the TIFF file has no readable directory; it may be cut off")
    hidden = hides_its_picture(data)
    if hidden is not None:
        raise ImageError(
            "unsupported_format",
            f"the content is a {hidden}, which is not read; export the photograph as JPEG or TIFF first",
        )
    compression = first.integer(259)
    if compression is not None and compression not in TiffImagePlugin.COMPRESSION_INFO:
        raise ImageError(
            "unsupported_format",
            f"TIFF compression {compression} is not read; convert the image to PNG or JPEG first",
        )
    check_planes(first)
    width, height = first.integer(256), first.integer(257)
    if width is None or height is None:
        raise ImageError("damaged", "the TIFF file does not state its size")
    check_pixels(width, height, limits)
    tile_width, tile_height = first.integer(322), first.integer(323)
    if tile_width is not None and tile_height is not None:
        # A decoder takes a whole tile's memory, however small the image is.
        check_pixels(tile_width, tile_height, limits)
    for tag in (273, 279, 324, 325):
        if tag in first.entries and first.entries[tag].count > _MOST_STRIPS:
            raise ImageError("damaged", f"the TIFF file lists {first.entries[tag].count:,} strips or tiles")


def _check_boxes(data: bytes) -> None:
    """A top-level box that reaches past the end means a cut-off file (ISO/IEC 14496-12, 4.2).

    Behind the picture it means nothing: some programs append what is no box, and a film may be cut.
    """
    at = 0
    seen: set[bytes] = set()
    while at + 8 <= len(data):
        kind = data[at + 4 : at + 8]
        if b"meta" in seen and not seen.isdisjoint((b"mdat", b"idat")) and kind not in _PICTURE_BOXES:
            return
        seen.add(kind)
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        elif size == 0:
            return
        if size < 8:
            return
        at += size
    if at > len(data):
        raise ImageError("truncated", "the file is shorter than its boxes say")


def _gif_frames(data: bytes) -> int:
    """Image descriptors of a GIF (GIF89a, section 20), without decoding; stops at damage."""
    if len(data) < 13:
        return 0
    at = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    frames = blocks = 0
    while at < len(data) and blocks < _MOST_GIF_BLOCKS:
        kind = data[at]
        if kind == 0x2C and at + 10 < len(data):
            frames += 1
            flags = data[at + 9]
            at += 11 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
        elif kind == 0x21:
            at += 2
        else:
            break
        while at < len(data) and data[at] and blocks < _MOST_GIF_BLOCKS:
            at += data[at] + 1
            blocks += 1
        at += 1
    return frames
