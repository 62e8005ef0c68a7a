"""The first frame of each accepted format, opened with the size known before memory is taken."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from morelli.errors import ImageError
from morelli.images._animations import (
    FirstFrame,
    first_of_apng,
    keep_alpha,
    put_on_canvas,
    uncovered_of_gif,
    uncovered_of_webp,
)
from morelli.images._codec_headers import Colour
from morelli.images._colour import Change, without_empty_alpha
from morelli.images._depth import depth_notes, hdr_colour
from morelli.images._guards import check_container, check_pixels, frame_count
from morelli.images._hdr import to_sdr
from morelli.images._jpeg import jpeg_has_end, jpeg_quality, jpeg_scans
from morelli.images._limits import Limits
from morelli.images._png import check_png_complete, drop_png_metadata, png_bit_depth
from morelli.images._png_samples import with_key
from morelli.images._stated import stated_change
from morelli.images._tiff import ORIENTATION, directories, exif_is_broken, exif_orientation
from morelli.images._tiff_samples import meant_samples

# Everything that Pillow's decoders have been seen to raise on damaged input, apart from MemoryError.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

# The classes themselves, not Image.open: that would try other formats, and check the size against
# a global limit of its own with a warning.
_PLUGINS: dict[str, Callable[[BytesIO, str], Image.Image]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
_MOST_ZEROS = 512
# JPEGs of up to this many times the limit's pixels are decoded at reduced scale. A progressive one holds all
# its coefficients in memory, whatever the scale: two bytes and up to three components a pixel.
_MOST_REDUCED = 2
# Pixels × scans that a second decodes at the least, measured low on purpose.
_SCAN_PIXELS_PER_SECOND = 50e6
# What Pillow says of whole files that it has no reader for, rather than of broken ones.
_UNREAD = (
    "unknown pixel mode",
    "unknown data organization",
    "unknown raw mode",
    "unrecognized image mode",
    "not available",
    "unsupported",
    "not supported",
    "cannot handle",
)


@dataclass
class Frame:
    """A decoded first frame and what its container says about it."""

    image: Image.Image
    mode: str
    frames: int = 1
    icc: bytes | None = None
    orientation: int = 1
    has_exif: bool = False
    jpeg_quality: int | None = None
    notes: list[str] = field(default_factory=list)
    change: Change | None = None
    """What takes its colours to sRGB, where the container says so other than by a profile."""
    stored: tuple[int, int] | None = None
    """Width and height in the file, where the picture was decoded at a reduced scale."""


def open_frame(data: bytes, format: str, limits: Limits) -> Frame:
    """The decoded first frame of `data`, which is of `format`; raises `ImageError` for whatever is wrong."""
    notes: list[str] = []
    try:
        check_container(data, format, limits)
        if format == "HEIF":
            return _open_heif(data, limits)
        first = first_of_apng(data) if format == "PNG" else None
        if first is not None:
            check_pixels(*first.canvas, limits)
            data = first.data
        image, data = _open(data, format, notes)
        size = image.size
        if format == "JPEG":
            if image.width * image.height <= _MOST_REDUCED * limits.max_pixels:
                _check_scans(data, image, limits)
            _reduce(image, limits, notes)
        check_pixels(image.width, image.height, limits)
        # The count is read first: loading lets go of some decoders.
        frames = frame_count(data, format, image) if first is None else first.frames
        frame = Frame(image, image.mode, notes=notes, frames=frames)
        with_alpha = format == "WEBP" and keep_alpha(image, data)
        _read_metadata(frame, data, format)
        if size != image.size:
            frame.stored = size
        if format == "JPEG":
            frame.image = _load_jpeg(image, data, limits, notes)
        else:
            image.load()
        if format == "PNG" and not frame.has_exif:
            _read_exif(frame)  # which may stand behind the pixels (PNG 3rd edition, 5.6)
        colour = hdr_colour(data, format, frame.icc)
        frame.change = _change(data, format, frame.icc, colour, image.info)
        notes += depth_notes(data, format, colour)
        if format in ("WEBP", "AVIF"):
            notes += _filled(data)
        _complete(frame, image, data, format, first, with_alpha=with_alpha)
    except ImageError:
        raise
    except MemoryError:
        raise ImageError("out_of_memory", "not enough memory to decode the image") from None
    except DECODER_ERRORS as error:
        raise _explained(error, limits) from error
    if frame.frames > 1:
        further = "pictures, such as a gain map" if format == "JPEG" else "frames"
        frame.notes.append(f"first of {frame.frames} {further}")
    if first is not None and first.apart:
        frame.notes.append("the still picture for programs without animation is not judged")
    return frame


def _complete(
    frame: Frame, image: Any, data: bytes, format: str, first: FirstFrame | None, *, with_alpha: bool
) -> None:
    """Have the decoded picture as its format means it: colour keys, canvas, alpha, samples."""
    if format == "PNG":
        check_png_complete(data, image)
        image = with_key(image, png_bit_depth(data), frame.notes)
        frame.image = image
    if first is not None:
        frame.image = put_on_canvas(image, first)
    elif format == "BMP":
        frame.image = without_empty_alpha(image, frame.notes)
    elif format == "TIFF":
        frame.image = meant_samples(image, next(directories(data)), frame.notes)
    elif format == "GIF":
        frame.image = uncovered_of_gif(image)
    elif with_alpha:
        frame.image = uncovered_of_webp(image)


def _change(data: bytes, format: str, icc: bytes | None, hdr: Colour | None, info: Any) -> Change | None:
    """What takes the samples to sRGB, where the container says so; `hdr`: what `hdr_colour` found."""
    return stated_change(data, format, icc, info) if hdr is None else partial(to_sdr, hdr[1], hdr[0])


def _reduce(image: Any, limits: Limits, notes: list[str]) -> None:
    """Have a JPEG of more than the limit's pixels decoded at a half, a quarter or an eighth of its size."""
    pixels = image.width * image.height
    if not limits.max_pixels < pixels <= _MOST_REDUCED * limits.max_pixels:
        return
    scale = next((s for s in (2, 4, 8) if pixels <= s * s * limits.max_pixels), 8)
    image.draft(None, (image.width // scale, image.height // scale))
    notes.append(f"decoded at 1/{scale} of its size")


def _load_jpeg(image: Any, data: bytes, limits: Limits, notes: list[str]) -> Any:
    """The decoded picture; where only the end marker is missing, as browsers show it.

    Downloads that broke off and recovered files have their full length, the rest being zeros: the decoder
    takes those for coded data.
    """
    coded = data.rstrip(b"\0") if data.endswith(bytes(8)) else data
    try:
        image.load()
        if jpeg_has_end(data):
            return image
        whole = _without_end_marker(image, coded, limits)
        if whole is None:
            raise ImageError("truncated", "the picture ends before the file does, which zeros fill up")
    except OSError as error:
        whole = _without_end_marker(image, coded, limits) if "truncated" in str(error) else None
        if whole is None:
            raise
    notes.append("the end marker is missing")
    return whole


def _without_end_marker(image: Any, data: bytes, limits: Limits) -> Any:
    """The picture of a JPEG that ends right after its coded data; None where coded data are missing.

    It is decoded twice, once with nothing and once with other data before an end marker: only where all
    coded data are there does the picture not depend on them. One scan that holds all components is asked
    for, because a file may also end between two scans.
    """
    data = data.rstrip(b"\xff")
    scan = data.rfind(b"\xff\xda")
    if scan < 0 or scan + 4 >= len(data) or data[scan + 4] != image.layers or image.info.get("progressive"):
        return None
    pictures = []
    for filling in (b"", b"\x5a\xa5\x33" * 64):
        picture: Any = _PLUGINS["JPEG"](BytesIO(data + filling + b"\xff\xd9"), "")
        if picture.size != image.size:
            _reduce(picture, limits, [])
        picture.load()
        pictures.append(picture)
    first, second = pictures
    return first if first.size == image.size and first.tobytes() == second.tobytes() else None


def _filled(data: bytes) -> list[str]:
    """A note where a download that broke off was filled with zeros: no coded picture ends in so many."""
    return ["the file ends in zeros, a part may be missing"] if data.endswith(bytes(_MOST_ZEROS)) else []


def _open(data: bytes, format: str, notes: list[str]) -> tuple[Any, bytes]:
    try:
        return _PLUGINS[format](BytesIO(data), ""), data
    except ValueError:
        if format != "PNG":
            raise
        # Pillow refuses a PNG whose compressed text or profile unpacks to too much. The picture is
        # not to blame: it is read without that metadata.
        bare = drop_png_metadata(data)
        image = _PLUGINS[format](BytesIO(bare), "")
        notes.append("oversized PNG metadata ignored")
        return image, bare


def _read_metadata(frame: Frame, data: bytes, format: str) -> None:
    image: Any = frame.image
    icc = image.info.get("icc_profile")
    frame.icc = icc if isinstance(icc, bytes) and icc else None
    if format == "TIFF":
        first = next(directories(data), None)
        if first is not None:
            # Pillow turns TIFFs itself while loading, and only those (TiffImageFile.load_end).
            value = first.integer(ORIENTATION)
            if value is not None and 2 <= value <= 8:
                frame.notes.append(f"EXIF orientation {value} applied")
            bits = first.integer(258) or 1
            if bits > 8 and image.mode in ("RGB", "RGBA", "RGBX", "CMYK", "LA"):
                frame.notes.append(f"{bits}-bit reduced")
            frame.has_exif = 34665 in first.entries
        return
    _read_exif(frame)
    if format == "JPEG":
        frame.jpeg_quality = jpeg_quality(image.quantization)
    elif format == "PNG" and png_bit_depth(data) == 16 and image.mode in ("RGB", "RGBA"):
        frame.notes.append("16-bit reduced")


def _read_exif(frame: Frame) -> None:
    exif = frame.image.info.get("exif")
    if isinstance(exif, bytes) and exif:
        frame.has_exif = True
        frame.orientation = exif_orientation(exif)
        if exif_is_broken(exif):
            frame.notes.append("broken EXIF ignored")


def _check_scans(data: bytes, image: Image.Image, limits: Limits) -> None:
    scans = jpeg_scans(data)
    seconds = scans * image.width * image.height / _SCAN_PIXELS_PER_SECOND
    if scans > 16 and seconds > limits.max_seconds:
        raise ImageError(
            "too_slow", f"a JPEG of {scans} scans at this size may take {seconds:.0f} s (max_seconds)"
        )


def _open_heif(data: bytes, limits: Limits) -> Frame:
    # Not the Pillow plugin: registering it changes every other user of Pillow in the process.
    import pillow_heif

    container = pillow_heif.open_heif(BytesIO(data), convert_hdr_to_8bit=True)
    picture = container[container.primary_index]
    check_pixels(picture.size[0], picture.size[1], limits)
    info = picture.info
    image = picture.to_pillow()
    # libheif has applied the container's own rotation and mirroring; EXIF's orientation repeats it.
    frame = Frame(image, image.mode, frames=len(container))
    icc = info.get("icc_profile")
    frame.icc = icc if isinstance(icc, bytes) and icc else None
    frame.has_exif = bool(info.get("exif"))
    if int(info.get("bit_depth", 8)) > 8:
        frame.notes.append(f"{info['bit_depth']}-bit reduced")
    colour = hdr_colour(data, "HEIF", frame.icc)
    frame.change = _change(data, "HEIF", frame.icc, colour, info)
    frame.notes += [*depth_notes(data, "HEIF", colour), *_filled(data)]
    if frame.frames > 1:
        place = container.primary_index
        which = "first" if place == 0 else f"number {place + 1}, the primary one,"
        frame.notes.append(f"{which} of {frame.frames} frames")
    return frame


def _explained(error: Exception, limits: Limits) -> ImageError:
    text = " ".join(str(error).split()) or type(error).__name__
    low = text.lower()
    if isinstance(error, Image.DecompressionBombError):
        return ImageError("too_many_pixels", f"a frame is too large to decode: {text}")
    if isinstance(error, EOFError) or any(
        word in low for word in ("truncat", "end of file", "eof", "too short", "requires a buffer")
    ):
        return ImageError("truncated", f"the file ends before its picture does: {text}")
    # 2 and 64 bits are kinds of BMP; other depths than Pillow's are nonsense.
    nonsense = "bmp pixel depth" in low and not low.endswith(("(2)", "(64)"))
    if any(word in low for word in _UNREAD) and not nonsense:
        return ImageError(
            "unsupported_format",
            f"a kind of this format that is not read ({text}); convert it to an 8-bit PNG or JPEG first",
        )
    return ImageError("damaged", f"the image data are damaged: {text}")
