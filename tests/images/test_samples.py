"""Samples of TIFF and PNG that the decoder gives otherwise than the file means: no negative, no garbage."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from morelli.errors import ImageError
from morelli.images import decode
from tests.images.builders import chunk, png_with_chunk
from tests.images.hostile import encoded, photo

RGB = np.asarray(photo((96, 64)))
GREY = np.asarray(photo((96, 64)).convert("L"))
DEEP = RGB.astype(np.uint16) * 257
DEEP_GREY = GREY.astype(np.uint16) * 257


def tiff(values: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)  # type: ignore[arg-type]
    return file.getvalue()


def shown(data: bytes) -> np.ndarray:
    return np.asarray(decode(data).image).astype(int)


def grey(data: bytes) -> np.ndarray:
    pixels = shown(data)
    assert (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()
    return pixels[..., 0]


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_scan_whose_zero_is_white_is_no_negative(compression: str | None) -> None:
    for values in (255 - GREY, 65535 - DEEP_GREY, (1 - GREY / 255).astype(np.float32)):
        data = tiff(values, photometric="miniswhite", compression=compression)
        assert np.array_equal(grey(data), GREY)


def test_deep_values_in_planes_are_refused_where_they_would_be_garbage() -> None:
    planes = DEEP.transpose(2, 0, 1).copy()
    with pytest.raises(ImageError, match="interleaved") as caught:
        decode(tiff(planes, photometric="rgb", planarconfig="separate"))
    assert caught.value.reason == "unsupported_format"
    pair = np.stack([GREY, np.full_like(GREY, 255)])
    five = np.concatenate([planes >> 8, [GREY, GREY]]).astype(np.uint8)
    grey_alpha = {"photometric": "minisblack", "extrasamples": ["UNASSALPHA"]}
    for data in (
        tiff(pair, planarconfig="separate", compression="zlib", **grey_alpha),
        tiff(pair, planarconfig="separate", photometric="minisblack"),
        tiff(five, planarconfig="separate", photometric="rgb"),
        tiff(five[:3], planarconfig="separate", photometric="cielab", compression="zlib"),
    ):
        with pytest.raises(ImageError, match=r"[235] channels in planes") as caught:
            decode(data)
        assert caught.value.reason == "unsupported_format"
    with pytest.raises(ImageError) as caught:
        decode(tiff(five[:4], planarconfig="separate", photometric="rgb", extrasamples=["ASSOCALPHA"]))
    assert caught.value.reason == "unsupported_format"
    assert np.array_equal(grey(tiff(pair.transpose(1, 2, 0).copy(), **grey_alpha)), GREY)
    assert np.array_equal(
        shown(tiff(five, planarconfig="separate", photometric="rgb", compression="zlib")), RGB
    )
    for readable in (
        tiff(planes, photometric="rgb", planarconfig="separate", compression="zlib"),
        tiff((planes >> 8).astype(np.uint8), photometric="rgb", planarconfig="separate"),
    ):
        assert np.array_equal(shown(readable), RGB)


def test_large_and_signed_values_keep_their_order() -> None:
    wide = DEEP_GREY.astype(np.uint32) * 65537
    assert wide.max() > 1 << 31
    signed = GREY.astype(int) - 128
    for data in (
        tiff(wide, photometric="minisblack"),
        tiff(signed.astype(np.int8), photometric="minisblack"),
    ):
        pixels = grey(data)
        assert any("scaled from" in note for note in decode(data).facts.notes)
        assert np.corrcoef(pixels.ravel(), GREY.ravel())[0, 1] > 0.999


def test_twelve_bits_are_not_a_sixteenth_of_the_brightness() -> None:
    values = DEEP_GREY >> 4
    pairs = values.reshape(64, 48, 2).astype(np.uint8), values.reshape(64, 48, 2)
    first, second = pairs[1][..., 0], pairs[1][..., 1]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1).astype(np.uint8)
    tags = {256: 96, 257: 64, 258: 12, 259: 1, 262: 1, 273: 200, 277: 1, 278: 64, 279: packed.size}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    data = head.ljust(200, b"\0") + packed.tobytes()
    assert np.abs(grey(data) - GREY).max() <= 1


def png(rows: np.ndarray, depth: int, colour: int, *extra: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", 96, 64, depth, colour, 0, 0, 0)
    coded = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = [(b"IHDR", header), *extra, (b"IDAT", coded), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in parts)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_transparent_at_every_depth(depth: int) -> None:
    values = (DEEP_GREY.astype(np.uint32) >> (16 - depth)).astype(np.uint16)
    key = int(values[5, 7])
    if depth == 16:
        rows = values.astype(">u2")
    else:
        bits = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :]
        rows = np.packbits(bits.reshape(64, -1), axis=1)
    data = png(rows, depth, 0, (b"tRNS", struct.pack(">H", key)))
    levels = np.rint(values * (255 / ((1 << depth) - 1))).astype(int)
    assert np.array_equal(grey(data), np.where(values == key, 255, levels))
    assert "alpha over white" in decode(data).facts.notes


@pytest.mark.parametrize("gamma", [1.0, 0.55556])
def test_a_png_that_states_its_gamma_is_shown_with_it(gamma: float) -> None:
    """Linear renderings, and pictures of old Macs: browsers show them as bright as they were meant."""
    light = np.where(RGB <= 10, RGB / 255 / 12.92, ((RGB / 255 + 0.055) / 1.055) ** 2.4)
    stored = np.rint(255 * light**gamma).astype(np.uint8)
    said = struct.pack(">I", round(gamma * 100_000))
    data = png(stored, 8, 2, (b"gAMA", said))
    bright = RGB > 40  # eight bits of light hold little of the shadows
    assert np.abs(shown(data) - RGB)[bright].max() <= 6
    assert any(note.startswith("gamma") for note in decode(data).facts.notes)
    # What says more comes first.
    for kind, body in ((b"sRGB", b"\0"), (b"cICP", bytes([1, 13, 0, 1]))):
        assert np.array_equal(shown(png(stored, 8, 2, (b"gAMA", said), (kind, body))), stored)


@pytest.mark.parametrize("gamma", [0, 45455, 45000, 46000, 0xFFFFFFFF])
def test_the_usual_gamma_and_nonsense_change_nothing(gamma: int) -> None:
    picture = Image.fromarray(RGB)
    data = png_with_chunk(encoded("PNG", picture), b"gAMA", struct.pack(">I", gamma))
    assert np.array_equal(shown(data), RGB) and decode(data).facts.notes == ()


def test_a_bmp_whose_fourth_byte_is_empty_is_no_blank_page() -> None:
    pixels = np.dstack([RGB[::-1, :, ::-1], np.zeros((64, 96), np.uint8)])
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII", 108, 96, 64, 1, 32, 3, pixels.nbytes, 0, 0, 0, 0) + masks + bytes(52)
    data = b"BM" + struct.pack("<IHHI", 122 + pixels.nbytes, 0, 0, 122) + head + pixels.tobytes()
    assert np.array_equal(shown(data), RGB)
    pixels[..., 3] = np.where(np.arange(96) < 48, 255, 0)
    half = data[:122] + pixels.tobytes()
    assert np.array_equal(shown(half), np.where(pixels[::-1, :, 3:] == 255, RGB, 255))


def test_a_bigtiff_is_read_or_named() -> None:
    assert np.array_equal(shown(tiff(RGB, bigtiff=True, photometric="rgb")), RGB)
    with pytest.raises(ImageError, match="BigTIFF in big-endian order") as caught:
        decode(tiff(RGB, bigtiff=True, photometric="rgb", byteorder=">"))
    assert caught.value.reason == "unsupported_format"


def test_a_png_made_for_iphone_apps_is_named() -> None:
    data = encoded("PNG", Image.fromarray(RGB))
    changed = data[:8] + chunk(b"CgBI", b"P\0 \2") + data[8:]
    with pytest.raises(ImageError, match="pngcrush") as caught:
        decode(changed)
    assert caught.value.reason == "unsupported_format"


def profile_with_gamma(gamma: float, name: str) -> bytes:
    """An sRGB profile whose curves are a plain power and whose name is another (ICC.1:2001, 6.5)."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    count = int.from_bytes(plain[128:132], "big")
    tags = {plain[132 + 12 * k : 136 + 12 * k]: plain[136 + 12 * k : 144 + 12 * k] for k in range(count)}
    bodies = {}
    for tag, place in tags.items():
        at, size = int.from_bytes(place[:4], "big"), int.from_bytes(place[4:], "big")
        bodies[tag] = plain[at : at + size]
    curve = b"para" + bytes(4) + struct.pack(">HHi", 0, 0, round(gamma * 65536))
    text = name.encode("utf-16-be")
    bodies[b"desc"] = (
        b"mluc" + bytes(4) + struct.pack(">II", 1, 12) + b"enUS" + struct.pack(">II", len(text), 28) + text
    )
    bodies |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, data = b"", b""
    start = 132 + 12 * len(bodies)
    for tag, body in bodies.items():
        table += tag + struct.pack(">II", start + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    whole = plain[4:128] + struct.pack(">I", len(bodies)) + table + data
    return (len(whole) + 4).to_bytes(4, "big") + whole


def test_a_profile_is_not_taken_for_srgb_by_its_name_alone() -> None:
    light = np.where(RGB <= 10, RGB / 255 / 12.92, ((RGB / 255 + 0.055) / 1.055) ** 2.4)
    linear = encoded("PNG", Image.fromarray(np.rint(255 * light).astype(np.uint8)))
    file = io.BytesIO()
    Image.open(io.BytesIO(linear)).save(file, "PNG", icc_profile=profile_with_gamma(1.0, "sRGB-linear-g10"))
    decoded = decode(file.getvalue())
    assert decoded.facts.notes == ("ICC converted",)
    bright = RGB > 40
    assert np.abs(np.asarray(decoded.image).astype(int) - RGB)[bright].max() <= 6
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "PNG", icc_profile=profile_with_gamma(2.2, "sRGB of a screen"))
    assert decode(file.getvalue()).facts.notes == ("ICC profile is sRGB",)
