"""Decoding gives the picture that people see, and says what was changed."""

from __future__ import annotations

import hashlib
import io
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from morelli.errors import ImageError
from morelli.images import Limits, decode, phash
from tests.images import builders
from tests.images.hostile import encoded


@pytest.fixture(scope="module")
def photo(photos) -> Image.Image:
    image = photos[1][1].resize((120, 80))
    image.info.clear()
    return image


def distance(a: Image.Image, b: Image.Image) -> float:
    """Mean absolute difference in grey levels."""
    assert a.size == b.size
    return float(np.abs(np.asarray(a, int) - np.asarray(b, int)).mean())


@pytest.mark.parametrize(
    ("format", "lossless"),
    [
        ("PNG", True),
        ("TIFF", True),
        ("BMP", True),
        ("JPEG", False),
        ("WEBP", False),
        ("AVIF", False),
        ("HEIF", False),
    ],
)
def test_each_format_gives_the_picture_and_its_facts(photo, format, lossless):
    data = encoded(format, photo)
    decoded = decode(data)
    facts = decoded.facts
    assert (facts.format, facts.width, facts.height, facts.frames) == (format, 120, 80, 1)
    assert facts.bytes == len(data)
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert (facts.jpeg_quality is not None) == (format == "JPEG")
    assert decoded.image.mode == "RGB"
    assert distance(decoded.image, photo) < (1e-9 if lossless else 8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied_once(photo, format, orientation):
    turns = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = photo
    for turn in turns.get(orientation, []):
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[274] = orientation
    if format == "TIFF":
        data = encoded("TIFF", stored, tiffinfo={274: orientation})
    else:
        data = encoded(format, stored, exif=exif.tobytes())
    decoded = decode(data)
    assert distance(decoded.image, photo) < 8
    note = f"EXIF orientation {orientation} applied"
    assert (note in decoded.facts.notes) == (orientation != 1)
    assert not decoded.image.getexif()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heif_is_turned_by_its_container_and_not_again_by_exif(photo, orientation):
    turns = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    stored = photo.transpose(turns[orientation]) if orientation in turns else photo.copy()
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded("HEIF", stored, exif=exif.tobytes())
    assert distance(decode(data).image, photo) < 8


def test_alpha_is_laid_over_white(photo):
    clear = photo.copy()
    clear.putalpha(Image.new("L", photo.size, 0))
    decoded = decode(encoded("PNG", clear))
    assert decoded.facts.notes == ("alpha over white",)
    assert np.asarray(decoded.image).min() == 255
    opaque = photo.copy()
    opaque.putalpha(255)
    decoded = decode(encoded("PNG", opaque))
    assert decoded.facts.notes == ("opaque alpha dropped",)
    assert distance(decoded.image, photo) == 0


def test_sixteen_bits_are_reduced_evenly():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for format in ("PNG", "TIFF"):
        decoded = decode(encoded(format, Image.fromarray(values)))
        assert decoded.facts.mode == "I;16"
        assert decoded.facts.notes == ("16-bit reduced",)
        expected = np.rint(values / 257).astype(np.uint8)
        np.testing.assert_array_equal(np.asarray(decoded.image)[..., 0], expected)


def test_sixteen_bit_colour_is_noted():
    rows = b"".join(b"\0" + bytes([r, 0, 128, 7, 255, 255]) * 4 for r in range(4))
    decoded = decode(builders.png(4, 4, rows, depth=16, colour=2))
    assert decoded.facts.notes == ("16-bit reduced",)
    assert np.asarray(decoded.image)[3].tolist() == [[3, 128, 255]] * 4


@pytest.mark.parametrize(("low", "high", "scale"), [(0.0, 1.0, 255), (0.0, 200.0, 1), (-4.0, 4.0, None)])
def test_float_tiff_is_scaled_and_noted(low, high, scale):
    values = np.linspace(low, high, 64, dtype=np.float32).reshape(8, 8)
    decoded = decode(encoded("TIFF", Image.fromarray(values)))
    got = np.asarray(decoded.image)[..., 0]
    expected = values * scale if scale else (values - low) / (high - low) * 255
    np.testing.assert_array_equal(got, np.rint(expected).astype(np.uint8))
    assert "float values scaled" in decoded.facts.notes[0]


def test_values_that_are_no_numbers_do_not_spread():
    values = np.full((4, 4), 0.5, np.float32)
    values[0, 0], values[1, 1] = np.nan, np.inf
    decoded = decode(encoded("TIFF", Image.fromarray(values)))
    assert "values that are not finite set to 0" in decoded.facts.notes
    assert np.asarray(decoded.image)[2, 2].tolist() == [128] * 3


def test_cmyk_is_converted_also_where_adobe_inverted_it(photo):
    cmyk = photo.convert("CMYK")
    inverted = encoded("JPEG", cmyk, quality=98)
    assert b"Adobe" in inverted
    for data in (inverted, encoded("TIFF", cmyk)):
        decoded = decode(data)
        assert decoded.facts.mode == "CMYK"
        assert decoded.facts.notes == ("CMYK converted",)
        assert distance(decoded.image, photo) < 3


def wide_profile() -> bytes:
    """A sound RGB profile that is not sRGB: sRGB's own with green and blue primaries exchanged."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    places = {}
    for index in range(int.from_bytes(data[128:132], "big")):
        at = 132 + 12 * index
        places[bytes(data[at : at + 4])] = at
    green, blue = places[b"gXYZ"], places[b"bXYZ"]
    data[green : green + 4], data[blue : blue + 4] = b"bXYZ", b"gXYZ"
    start = int.from_bytes(data[places[b"desc"] + 4 : places[b"desc"] + 8], "big")
    text = bytes(data[start:]).find(b"s\0R\0G\0B")
    for word, other in ((b"sRGB", b"wide"), ("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))):
        data[start:] = bytes(data[start:]).replace(word, other)
    assert text is not None
    return bytes(data)


def test_an_embedded_profile_is_converted(photo):
    decoded = decode(encoded("PNG", photo, icc_profile=wide_profile()))
    assert decoded.facts.has_icc
    assert decoded.facts.notes == ("ICC converted",)
    red, green, blue = photo.split()
    # Primaries exchanged in the profile: the picture's green and blue change places.
    assert distance(decoded.image, Image.merge("RGB", (red, blue, green))) < 3


def test_an_srgb_profile_changes_nothing(photo):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    decoded = decode(encoded("PNG", photo, icc_profile=profile))
    assert decoded.facts.notes == ("ICC profile is sRGB",)
    assert distance(decoded.image, photo) == 0


def test_alpha_and_profile_together(photo):
    image = photo.copy()
    image.putalpha(Image.linear_gradient("L").resize(photo.size))
    decoded = decode(encoded("PNG", image, icc_profile=wide_profile()))
    assert decoded.facts.notes == ("ICC converted", "alpha over white")


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_the_first_frame_is_taken_and_noted(photo, format):
    frames = [photo, *(Image.new("RGB", photo.size, c) for c in ("red", "green", "blue"))]
    data = encoded(format, frames[0], save_all=True, append_images=frames[1:])
    decoded = decode(data)
    assert decoded.facts.frames == 4
    assert "first of 4 frames" in decoded.facts.notes
    assert distance(decoded.image, photo) < 20


def test_a_stereo_jpeg_gives_its_first_picture(photo):
    data = encoded("MPO", photo, save_all=True, append_images=[photo.rotate(180)])
    decoded = decode(data)
    assert decoded.facts.format == "JPEG"
    assert decoded.facts.frames == 2
    assert distance(decoded.image, photo) < 8


@pytest.mark.parametrize("quality", range(1, 101))
def test_jpeg_quality_is_read_from_the_tables(quality, photo):
    small = photo.resize((16, 16))
    assert decode(encoded("JPEG", small, quality=quality)).facts.jpeg_quality == quality


def test_interlaced_png_that_ends_early_is_no_picture():
    rows = bytes(9) * 4
    broken = bytearray(builders.png(8, 8, rows))
    broken[28] = 1
    header = builders.chunk(b"IHDR", bytes(broken[16:29]))
    with pytest.raises(ImageError) as error:
        decode(bytes(broken[:8]) + header + bytes(broken[33:]))
    assert error.value.reason == "truncated"


def test_a_black_png_is_a_picture():
    decoded = decode(builders.png(8, 8, bytes(9 * 8)))
    assert np.asarray(decoded.image).max() == 0


def test_an_image_larger_than_pillows_own_limit_decodes_without_a_warning(monkeypatch, photo):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert decode(encoded("PNG", photo)).image.size == photo.size


def test_decoding_leaves_the_warning_filters_as_they_were(photo):
    before = list(warnings.filters)
    data = encoded("JPEG", photo, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, [data] * 40))
    assert list(warnings.filters) == before


def test_threads_give_the_same_pictures(photos):
    files = [encoded(f, image.resize((300, 200))) for _, image in photos for f in ("JPEG", "PNG", "WEBP")]
    files.append(encoded("PNG", photos[0][1], icc_profile=wide_profile()))
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(partial(decode, limits=Limits()), files))
    for data, decoded in zip(files, together, strict=True):
        again = decode(data)
        assert again.facts == decoded.facts
        assert again.image.tobytes() == decoded.image.tobytes()


def test_no_torch_is_loaded():
    import subprocess

    program = "import sys, morelli.images; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_phash_has_the_bits_of_imagehash(photos):
    for _, image in photos:
        expected = np.packbits(imagehash.phash(image).hash.flatten()).tobytes()
        assert phash(image) == int.from_bytes(expected, "big")


def test_phash_survives_re_encoding_and_tells_pictures_apart(photos):
    hashes = [phash(image) for _, image in photos]
    for (_, image), original in zip(photos, hashes, strict=True):
        buffer = io.BytesIO()
        image.resize((image.width // 2, image.height // 2)).save(buffer, "JPEG", quality=60)
        assert (phash(decode(buffer.getvalue()).image) ^ original).bit_count() <= 4
    apart = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    # The two motorcycle photographs are a stereo pair and rightly close.
    assert sum(d <= 10 for d in apart) <= 1


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 255))
def test_phash_of_flat_pictures_is_steady(width, height, grey):
    value = phash(Image.new("RGB", (width, height), (grey,) * 3))
    assert value == phash(Image.new("RGB", (32, 32), (grey,) * 3))
    assert 0 <= value < 2**64
