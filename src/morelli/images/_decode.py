"""Bytes in, safe RGB out."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import PurePath

from PIL import Image

from morelli.errors import ImageError
from morelli.images._colour import to_srgb
from morelli.images._formats import Frame, open_frame
from morelli.images._limits import Limits
from morelli.images._problems import image_errors
from morelli.images._quiet import quiet_pillow
from morelli.images._sniff import HEAD_BYTES, SUFFIXES, next_step, other_format, sniff, stand_in, with_article

_OTHER_BYTES = 4096
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ImageFacts:
    """What a file is, apart from its picture.

    Attributes:
        format: ``JPEG``, ``PNG``, ``WEBP``, ``AVIF``, ``HEIF``, ``TIFF``, ``GIF`` or ``BMP``, by content.
        mode: Pillow's mode of the stored pixels (``RGB``, ``P``, ``I;16``, ``CMYK``, …).
        width: pixels, after the orientation was applied.
        height: pixels, after the orientation was applied.
        bytes: size of the file.
        sha256: hex digest of the file's bytes.
        frames: frames, or pages, of the file; only the first is decoded.
        notes: what was changed or found on the way, in words.
        jpeg_quality: libjpeg quality that the quantisation table comes nearest to; None if not a JPEG.
        has_icc: an ICC profile is embedded.
        has_exif: EXIF data are embedded.
        plain: every pixel of the picture that is shown has the same colour.
    """

    format: str
    mode: str
    width: int
    height: int
    bytes: int
    sha256: str
    frames: int = 1
    notes: tuple[str, ...] = ()
    jpeg_quality: int | None = None
    has_icc: bool = False
    has_exif: bool = False
    plain: bool = False


@dataclass(frozen=True)
class Decoded:
    """A picture as people see it (RGB, sRGB, 8 bit, upright) and the facts of its file."""

    image: Image.Image
    facts: ImageFacts


def decode(data: bytes, limits: Limits | None = None, *, name: str | None = None) -> Decoded:
    """Decode one image from untrusted bytes.

    The format is told by content. Sizes are checked from the header before pixels are decoded.
    Only the first frame is decoded; a truncated file is an error, never a half grey picture.
    Thread-safe.

    A codec that runs cannot be stopped from Python: time is bounded by the limits on bytes and
    pixels and by refusing JPEGs of very many scans, and is checked between the steps, so one step
    can overrun `max_seconds` before it is reported.

    Args:
        data: the whole file.
        limits: see `Limits`; the defaults when None.
        name: the file's name or URI, if there is one: a suffix that promises another format than
            the content is noted.

    Raises:
        ImageError: its `reason` is one of ``empty``, ``too_many_bytes``, ``not_an_image``,
            ``unsupported_format``, ``truncated``, ``damaged``, ``too_many_pixels``, ``too_slow``,
            ``out_of_memory``, ``decoder_error``. Nothing else is raised.
    """
    with image_errors():
        return _decode(data, limits or Limits(), name)


def _decode(data: bytes, limits: Limits, name: str | None) -> Decoded:
    if not data:
        raise ImageError("empty", "the file is empty (0 bytes)")
    if len(data) > limits.max_bytes:
        raise ImageError(
            "too_many_bytes",
            f"{len(data):,} bytes are more than the limit of {limits.max_bytes:,} (max_bytes)",
        )
    format = sniff(data[:HEAD_BYTES])
    if format is None:
        other = other_format(data[:_OTHER_BYTES])
        if other:
            raise ImageError(
                "unsupported_format",
                f"the content is {with_article(other)}, which is not read; {next_step(other)}",
            )
        instead = stand_in(data[:_OTHER_BYTES])
        text = f"the content is {instead}" if instead else "the content is not an image in any known format"
        raise ImageError("not_an_image", text)
    started = time.thread_time()
    with quiet_pillow():
        frame = open_frame(data, format, limits)
        _check_time(started, limits)
        try:
            # What the container says of its colours comes before a profile that was written beside it.
            icc = frame.icc if frame.change is None else None
            image = to_srgb(frame.image, icc, frame.notes, frame.change)
        except MemoryError:
            raise ImageError("out_of_memory", "not enough memory to convert the pixels") from None
        except (OSError, ValueError, TypeError, KeyError, IndexError, RuntimeError, OverflowError) as error:
            raise ImageError("damaged", f"the pixels could not be converted to RGB: {error}") from error
    _check_time(started, limits)
    image = _upright(image, frame)
    promised = SUFFIXES.get(PurePath(name).suffix.lower(), format) if name else format
    if promised != format:
        frame.notes.append(f"named as {promised}, is {format}")
    if type(image) is not Image.Image:
        image = image.copy()  # leaves the plugin's class, and the file that it holds, behind
    image.info.clear()
    width, height = frame.stored or image.size
    if frame.stored and frame.orientation >= 5:
        width, height = height, width
    facts = ImageFacts(
        format=format,
        mode=frame.mode,
        width=width,
        height=height,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        frames=frame.frames,
        notes=tuple(frame.notes),
        jpeg_quality=frame.jpeg_quality,
        has_icc=frame.icc is not None,
        has_exif=frame.has_exif,
        plain=_is_plain(image),
    )
    return Decoded(image, facts)


def _upright(image: Image.Image, frame: Frame) -> Image.Image:
    if frame.orientation == 1:
        return image
    frame.notes.append(f"EXIF orientation {frame.orientation} applied")
    return image.transpose(_TURNS[frame.orientation])


def _is_plain(image: Image.Image) -> bool:
    """Whether an RGB image has one colour; of most pictures a few pixels say that it has more."""
    right, bottom = image.width - 1, image.height - 1
    places = [(right * x // 3, bottom * y // 3) for x in range(4) for y in range(4)]
    if len({image.getpixel(place) for place in places}) > 1:
        return False
    return all(low == high for low, high in image.getextrema())  # type: ignore[misc]


def _check_time(started: float, limits: Limits) -> None:
    spent = time.thread_time() - started
    if spent > limits.max_seconds:
        raise ImageError(
            "too_slow",
            f"decoding took {spent:.1f} s, more than the limit of {limits.max_seconds:g} s (max_seconds)",
        )
