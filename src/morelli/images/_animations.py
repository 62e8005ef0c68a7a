"""The first frame of an animation on its whole canvas, as browsers show it.

A frame may be smaller than the canvas. What it leaves uncovered is transparent, whatever colour a file names
as background: browsers ignore that.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, NamedTuple

from PIL import Image

from morelli.errors import ImageError
from morelli.images._png import Chunk, chunks

_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
_STILL = frozenset({b"IHDR", b"IDAT", b"IEND"})
_MOST_FRAMES = 0x7FFFFFFF
_HAS_ANIMATION = 0x02  # of VP8X's flags (RFC 9649, 2.7)


class FirstFrame(NamedTuple):
    """The first frame of an animated PNG as a PNG of its own, and where it belongs on the canvas.

    `apart` is true where the animation does not begin with the picture that programs without animation show.
    """

    data: bytes
    frames: int
    canvas: tuple[int, int]
    place: tuple[int, int] = (0, 0)
    apart: bool = False


def first_of_apng(data: bytes) -> FirstFrame | None:
    """The first frame of an animated PNG (PNG 3rd edition, 11.3.6); None for a PNG without animation.

    Where the animation's first frame is not usable, it is the picture of programs without animation.

    Raises:
        ImageError: the frame's data are damaged.
    """
    frames = 0
    control: Chunk | None = None
    found = chunks(data)
    for chunk in found:
        if chunk.kind == b"IDAT":
            break
        if chunk.kind == b"acTL" and chunk.end - chunk.data == 8:
            frames = int.from_bytes(data[chunk.data : chunk.data + 4], "big")
        elif chunk.kind == b"fcTL":
            control = control or chunk
    if not 1 <= frames <= _MOST_FRAMES:
        return None
    canvas = struct.unpack_from(">II", data, 16)
    if control is None:
        pieces: list[bytes] = []
        for chunk in found:
            if chunk.kind == b"fcTL":
                if control is not None:
                    break
                control = chunk
            elif chunk.kind == b"fdAT" and control is not None:
                pieces.append(_checked(data, chunk)[4:])
        frame = None if control is None or not pieces else _frame(data, control, pieces, canvas)
        if frame is not None:
            return FirstFrame(frame[0], frames, canvas, frame[1], apart=True)
    plain = [data[:8], *(data[c.start : c.end + 4] for c in chunks(data) if c.kind not in _ANIMATION)]
    return FirstFrame(b"".join(plain), frames, canvas)


def put_on_canvas(image: Image.Image, first: FirstFrame) -> Image.Image:
    """`image`, which is `first` decoded, in its place on the transparent canvas."""
    if image.size == first.canvas:
        return image
    canvas = Image.new("RGBA", first.canvas)
    canvas.paste(image.convert("RGBA"), first.place)
    return canvas


def keep_alpha(image: Any, data: bytes) -> bool:
    """Have an animated WebP decoded with its canvas's alpha where its header speaks of none; True if so."""
    if data[12:16] != b"VP8X" or not data[20] & _HAS_ANIMATION or image.rawmode != "RGBX":
        return False
    image.rawmode = image._mode = "RGBA"
    return True


def uncovered_of_webp(image: Image.Image) -> Image.Image:
    """A first frame whose alpha was kept: without it where it covers its canvas."""
    return image.convert("RGB") if image.getchannel("A").getextrema() == (255, 255) else image


def uncovered_of_gif(image: Any) -> Any:
    """A decoded first frame, with alpha where it leaves its canvas uncovered.

    Pillow fills that with the frame's transparent colour, or else with the first of its palette.
    """
    extent = image.dispose_extent
    if "transparency" in image.info or extent is None or extent == (0, 0, *image.size):
        return image
    alpha = Image.new("L", image.size)
    alpha.paste(255, extent)
    shown = image.convert("RGB")
    shown.putalpha(alpha)
    return shown


def _frame(
    data: bytes, control: Chunk, pieces: list[bytes], canvas: tuple[int, int]
) -> tuple[bytes, tuple[int, int]] | None:
    """The PNG of one frame, and its place; None where its numbers do not fit the canvas."""
    body = _checked(data, control)
    if len(body) != 26:
        return None
    width, height, left, top = struct.unpack_from(">IIII", body, 4)
    if not width or not height or left + width > canvas[0] or top + height > canvas[1]:
        return None
    header = struct.pack(">II", width, height) + data[24:29]
    kept = [c for c in chunks(data) if c.kind not in _ANIMATION | _STILL]
    return (
        b"".join(
            [
                data[:8],
                _chunk(b"IHDR", header),
                *(data[c.start : c.end + 4] for c in kept),
                *(_chunk(b"IDAT", piece) for piece in pieces),
                _chunk(b"IEND", b""),
            ]
        ),
        (left, top),
    )


def _checked(data: bytes, chunk: Chunk) -> bytes:
    body = data[chunk.data : chunk.end]
    if zlib.crc32(chunk.kind + body) != int.from_bytes(data[chunk.end : chunk.end + 4], "big"):
        name = chunk.kind.decode("ascii")
        raise ImageError("damaged", f"the animated PNG's {name} chunk fails its checksum")
    return body


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
