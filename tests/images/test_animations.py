"""Of an animation the first frame is judged as browsers show it: on its whole canvas, over white."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from morelli.errors import ImageError
from morelli.images import decode
from tests.images.builders import chunk, png_chunks, png_with_chunk, png_without
from tests.images.hostile import photo

WHITE = [255, 255, 255]
CANVAS = (100, 80)
PLACE = (30, 20)
FRAME = photo((40, 32))


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)  # type: ignore[arg-type]
    return file.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data).image)


def gif(*, transparent: bool = False, disposal: int = 1, frames: int = 2) -> bytes:
    """A GIF of CANVAS whose frames are FRAME in grey at PLACE; colour 0 is red and is the background."""
    whole = saved(FRAME.convert("L").quantize(64), "GIF")
    colours, at = 3 << ((whole[10] & 7) + 1), whole.index(b"\x2c", 13)
    at = whole.index(b"\x2c" + struct.pack("<HHHH", 0, 0, 40, 32))
    body = b"\x2c" + struct.pack("<HHHHB", *PLACE, *FRAME.size, 0) + whole[at + 10 : -1]
    control = b"\x21\xf9\x04" + bytes([disposal << 2 | transparent, 5, 0, 63]) + b"\0"
    palette = b"\xc8\x1e\x1e" + whole[16 : 13 + colours]
    head = b"GIF89a" + struct.pack("<HHBBB", *CANVAS, whole[10], 0, 0) + palette
    return head + (control + body) * frames + b"\x3b"


@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
@pytest.mark.parametrize("transparent", [False, True])
def test_what_a_gif_leaves_uncovered_is_not_filled_with_a_colour_of_its_palette(
    transparent: bool, disposal: int
) -> None:
    decoded = decode(gif(transparent=transparent, disposal=disposal))
    assert (decoded.facts.width, decoded.facts.height, decoded.facts.frames) == (*CANVAS, 2)
    assert {"first of 2 frames", "alpha over white"} <= set(decoded.facts.notes)
    shown = np.asarray(decoded.image)
    assert (shown[:20] == 255).all() and (shown[:, :30] == 255).all() and (shown[52:] == 255).all()
    assert shown[20:52, 30:70].std() > 20


def test_a_still_gif_that_covers_its_canvas_is_as_pillow_reads_it() -> None:
    data = saved(photo((64, 48)), "GIF")
    assert decode(data).facts.notes == ()
    assert np.array_equal(pixels(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def sticker() -> list[Image.Image]:
    first = Image.new("RGBA", CANVAS)
    first.paste(FRAME.convert("RGBA"), PLACE)
    return [first, Image.new("RGBA", CANVAS, (30, 30, 220, 255))]


def test_an_animated_sticker_is_shown_over_white_in_every_format() -> None:
    """Encoders of WebP cut the first frame to what is opaque, and their header then says nothing of alpha."""
    first, second = sticker()
    more = {"save_all": True, "append_images": [second]}
    files = [saved(first, "WEBP", lossless=True, **more), saved(first, "PNG", **more)]
    assert not files[0][20] & 0x10
    for data in files:
        assert "alpha over white" in decode(data).facts.notes
        shown = pixels(data)
        assert (shown[:20] == 255).all() and np.array_equal(shown[20:52, 30:70], np.asarray(FRAME))


def test_an_animated_webp_that_covers_its_canvas_has_no_note_of_alpha() -> None:
    picture = photo((64, 48))
    data = saved(picture, "WEBP", lossless=True, save_all=True, append_images=[picture.rotate(90)])
    assert "alpha over white" not in decode(data).facts.notes
    assert np.array_equal(pixels(data), np.asarray(picture))
    unsaid = data[:20] + bytes([data[20] & ~0x10]) + data[21:]  # the header says nothing of alpha
    assert decode(unsaid).facts.notes == ("first of 2 frames",)
    assert np.array_equal(pixels(unsaid), np.asarray(picture))


def apng(*, part: bool) -> bytes:
    """A red still picture, and beside it an animation of FRAME, in `part` of the canvas or on all of it."""
    canvas = CANVAS if part else FRAME.size
    still = saved(Image.new("RGB", canvas, "red"), "PNG")
    frame = saved(FRAME, "PNG")
    coded = b"".join(frame[a + 8 : b - 4] for kind, a, b in png_chunks(frame) if kind == b"IDAT")
    control = struct.pack(">IIIIIHHBB", 0, *FRAME.size, *(PLACE if part else (0, 0)), 1, 10, 0, 0)
    moving = chunk(b"fcTL", control) + chunk(b"fdAT", struct.pack(">I", 1) + coded)
    with_head = png_with_chunk(still, b"acTL", struct.pack(">II", 1, 0))
    return with_head[:-12] + moving + with_head[-12:]


@pytest.mark.parametrize("part", [False, True])
def test_the_animation_is_judged_and_not_the_still_picture_for_old_programs(part: bool) -> None:
    decoded = decode(apng(part=part))
    assert "the still picture for programs without animation is not judged" in decoded.facts.notes
    assert decoded.facts.frames == 1
    shown = np.asarray(decoded.image)
    if part:
        assert (decoded.facts.width, decoded.facts.height) == CANVAS
        assert shown[0, 0].tolist() == WHITE
        shown = shown[20:52, 30:70]
    assert np.array_equal(shown, np.asarray(FRAME))


def test_frames_of_an_animated_png_are_counted_without_the_still_picture() -> None:
    red, green = (Image.new("RGB", CANVAS, name) for name in ("red", "green"))
    data = saved(red, "PNG", save_all=True, append_images=[green, red], default_image=True)
    decoded = decode(data)
    assert decoded.facts.frames == 2 and "first of 2 frames" in decoded.facts.notes
    assert decoded.image.getpixel((0, 0)) == (0, 128, 0)


def test_an_ordinary_animated_png_is_read_as_its_still_picture() -> None:
    picture = photo((64, 48))
    data = saved(picture, "PNG", save_all=True, append_images=[picture.rotate(90)])
    assert decode(data).facts.notes == ("first of 2 frames",)
    assert np.array_equal(pixels(data), np.asarray(picture))


def test_a_frame_beyond_the_canvas_falls_back_to_the_still_picture() -> None:
    data = apng(part=True)
    control = next((a, b) for kind, a, b in png_chunks(data) if kind == b"fcTL")
    body = bytearray(data[control[0] + 8 : control[1] - 4])
    body[4:8] = struct.pack(">I", 5000)
    shown = pixels(data[: control[0]] + chunk(b"fcTL", bytes(body)) + data[control[1] :])
    assert (shown == [255, 0, 0]).all()
    assert (pixels(png_without(data, b"fdAT")) == [255, 0, 0]).all()


def test_damaged_or_cut_frame_data_are_an_error_and_no_black_picture() -> None:
    data = apng(part=True)
    start, end = next((a, b) for kind, a, b in png_chunks(data) if kind == b"fdAT")
    bad = data[: end - 4] + bytes(4) + data[end:]
    with pytest.raises(ImageError, match="fdAT") as caught:
        decode(bad)
    assert caught.value.reason == "damaged"
    rows = zlib.decompress(data[start + 12 : end - 4])
    short = struct.pack(">I", 1) + zlib.compress(rows[: len(rows) // 3])
    with pytest.raises(ImageError) as caught:
        decode(data[:start] + chunk(b"fdAT", short) + data[end:])
    assert caught.value.reason == "truncated"


def test_a_large_canvas_with_a_small_frame_counts_as_large() -> None:
    from morelli.images import Limits

    with pytest.raises(ImageError) as caught:
        decode(apng(part=True), Limits(max_pixels=5000))
    assert caught.value.reason == "too_many_pixels"
    with pytest.raises(ImageError) as caught:
        decode(gif(), Limits(max_pixels=5000))
    assert caught.value.reason == "too_many_pixels"


@pytest.mark.parametrize(
    ("primary", "said"), [(0, "first of 3 frames"), (2, "number 3, the primary one, of 3 frames")]
)
def test_of_a_heic_with_several_pictures_the_primary_one_is_judged(primary: int, said: str) -> None:
    import pillow_heif

    colours = ["red", "green", "blue"]
    container = pillow_heif.from_pillow(Image.new("RGB", (64, 64), colours[0]))
    for colour in colours[1:]:
        container.add_from_pillow(Image.new("RGB", (64, 64), colour))
    file = io.BytesIO()
    container.save(file, primary_index=primary)
    decoded = decode(file.getvalue())
    assert said in decoded.facts.notes
    wanted = np.asarray(Image.new("RGB", (1, 1), colours[primary]))[0, 0].astype(int)
    assert np.abs(np.asarray(decoded.image)[32, 32] - wanted).max() < 12
