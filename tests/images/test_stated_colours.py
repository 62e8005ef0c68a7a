"""Pictures of standard range whose colours a container states come out as they were meant."""

from __future__ import annotations

import io
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from morelli.images import decode
from tests.images.builders import png_with_chunk
from tests.images.hostile import encoded, photo
from tests.images.test_hdr import PRIMARIES, light

PICTURE = photo((160, 120))
SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3 = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
ADOBE = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
# Light of sRGB as light of Adobe RGB (1998), as its specification gives both to CIE XYZ.
TO_ADOBE = np.linalg.solve(
    [[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]],
    [[0.41239, 0.35758, 0.18048], [0.21264, 0.71517, 0.07219], [0.01933, 0.11919, 0.95053]],
)


def samples(picture: Image.Image, matrix: np.ndarray, exponent: float | None = None) -> Image.Image:
    """What a file of other primaries holds of an sRGB picture, by a power or else by sRGB's own curve."""
    other = (light(picture) @ np.array(matrix).T).clip(0, 1)
    curve = np.where(other <= 0.0031308, 12.92 * other, 1.055 * other ** (1 / 2.4) - 0.055)
    return Image.fromarray(
        np.rint(255 * (curve if exponent is None else other ** (1 / exponent))).astype(np.uint8)
    )


def png(image: Image.Image, *chunks: tuple[bytes, bytes], **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    data = file.getvalue()
    for kind, body in chunks:
        data = png_with_chunk(data, kind, body)
    return data


def coded(image: Image.Image, format: str, primaries: int, transfer: int) -> bytes:
    """The image as HEIC or AVIF that states its colours in ``nclx``."""
    file = io.BytesIO()
    if format == "HEIF":
        pillow_heif.from_pillow(image).save(file, quality=-1, chroma=444)
        data = file.getvalue()
    else:
        image.save(file, "AVIF", quality=100, subsampling="4:4:4")
        data = file.getvalue()
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def off(data: bytes, to: Image.Image = PICTURE) -> np.ndarray:
    shown: np.ndarray = np.abs(np.asarray(decode(data).image).astype(int) - np.asarray(to))
    return shown


@pytest.mark.parametrize("form", ["PNG", "HEIF", "AVIF"])
@pytest.mark.parametrize(
    ("primaries", "transfer", "exponent", "note"),
    [
        (9, 13, None, "BT.2020 converted"),
        (9, 1, None, "BT.2020 converted"),
        (9, 2, None, "BT.2020 converted"),
        (12, 13, None, "Display P3 converted"),
        (12, 4, 2.2, "Display P3, gamma 2.2 converted"),
        (1, 8, 1.0, "linear light converted"),
        (9, 8, 1.0, "BT.2020, linear light converted"),
    ],
)
def test_a_picture_in_other_colours_is_what_it_was(
    form: str, primaries: int, transfer: int, exponent: float | None, note: str
) -> None:
    stored = samples(PICTURE, np.array(PRIMARIES[primaries]), exponent)
    chunk = (b"cICP", bytes([primaries, transfer, 0, 1]))
    data = png(stored, chunk) if form == "PNG" else coded(stored, form, primaries, transfer)
    assert note in decode(data).facts.notes
    away = off(data)[np.asarray(PICTURE) > (60 if exponent == 1 else 20)]  # eight bits hold little shadow
    assert away.mean() < 1.5 and np.quantile(away, 0.99) <= (3 if form == "PNG" else 12)
    assert np.abs(np.asarray(stored, int) - np.asarray(PICTURE)).mean() > 8  # as it is stored


@pytest.mark.parametrize("form", ["PNG", "HEIF", "AVIF"])
@pytest.mark.parametrize("colour", [(1, 13), (1, 1), (1, 6), (6, 6), (5, 13), (2, 2), (2, 13), (10, 13)])
def test_what_is_srgb_for_all_that_is_shown_stays(form: str, colour: tuple[int, int]) -> None:
    chunk = (b"cICP", bytes([*colour, 0, 1]))
    data = png(PICTURE, chunk) if form == "PNG" else coded(PICTURE, form, *colour)
    notes = decode(data).facts.notes
    assert not [note for note in notes if note.endswith("converted")]
    assert off(data).mean() < (1.5 if form != "PNG" else 1e-9)


@pytest.mark.parametrize(("places", "matrix"), [(P3, np.array(PRIMARIES[12])), (ADOBE, TO_ADOBE)])
def test_chromaticities_count_with_a_gamma_and_where_nothing_says_more(
    places: tuple[int, ...], matrix: np.ndarray
) -> None:
    chromaticities = (b"cHRM", struct.pack(">8I", *places))
    for gamma in (45455, 100000):
        stored = samples(PICTURE, matrix, 100000 / gamma)
        data = png(stored, chromaticities, (b"gAMA", struct.pack(">I", gamma)))
        assert "stated primaries converted" in decode(data).facts.notes
        away = off(data)[np.asarray(PICTURE) > (60 if gamma == 100000 else 20)]
        assert away.mean() < 0.5 and np.quantile(away, 0.99) <= 3
    usual = (b"gAMA", struct.pack(">I", 45455))
    nonsense = [(b"cHRM", struct.pack(">8I", *values)) for values in ((0,) * 8, (31270, 32900) * 4, SRGB)]
    for chunks in (
        (chromaticities,),  # without a gamma browsers ignore them
        (usual, chromaticities, (b"sRGB", b"\0")),
        (usual, chromaticities, (b"cICP", bytes([1, 13, 0, 1]))),
        *((usual, wrong) for wrong in nonsense),
    ):
        assert off(png(stored, *chunks), stored).max() == 0


def display_p3() -> bytes:
    """A profile of Display P3: that of sRGB with other colorants (its own, in CIE XYZ of D50)."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    colorants = {b"rXYZ": (0.51512, 0.24120, -0.00105), b"gXYZ": (0.29198, 0.69225, 0.04189)}
    for kind, values in (colorants | {b"bXYZ": (0.15710, 0.06657, 0.78407)}).items():
        at = int.from_bytes(data[(entry := data.index(kind, 128) + 4) : entry + 4], "big") + 8
        data[at : at + 12] = struct.pack(">3i", *(round(value * 65536) for value in values))
    return bytes(data).replace("sRGB".encode("utf-16-be"), "Mine".encode("utf-16-be"))


def test_code_points_come_out_as_a_profile_of_the_same_colours() -> None:
    """Little CMS on one side; a profile comes before ``nclx`` and after ``cICP``."""
    stored = samples(PICTURE, np.array(PRIMARIES[12]))
    by_profile = decode(png(stored, icc_profile=display_p3()))
    assert by_profile.facts.notes == ("ICC converted",)
    stated = png(stored, (b"cICP", bytes([12, 13, 0, 1])))
    assert off(stated, by_profile.image).max() <= 2
    silent = png(stored, (b"cICP", bytes([2, 2, 0, 1])), icc_profile=display_p3())
    assert decode(silent).facts.notes == decode(png(stored, icc_profile=display_p3())).facts.notes
    both = png(stored, (b"cICP", bytes([1, 13, 0, 1])), icc_profile=display_p3())
    assert off(both, stored).max() == 0
    file = io.BytesIO()
    pillow_heif.from_pillow(stored).save(file, quality=-1, chroma=444, icc_profile=display_p3())
    decoded = decode(file.getvalue())
    assert "ICC converted" in decoded.facts.notes
    assert np.abs(np.asarray(decoded.image).astype(int) - np.asarray(by_profile.image)).mean() < 1


def test_transparency_and_grey_of_other_colours() -> None:
    chunk = (b"cICP", bytes([12, 13, 0, 1]))
    grey = PICTURE.convert("L")
    assert off(png(grey, chunk), grey.convert("RGB")).max() <= 1
    faded = samples(PICTURE, np.array(PRIMARIES[12]))
    faded.putalpha(Image.new("L", faded.size, 128))
    wanted = Image.fromarray(np.rint(np.asarray(PICTURE) * (128 / 255) + 127).astype(np.uint8))
    assert off(png(faded, chunk), wanted).max() <= 4
    assert decode(encoded("PNG")).facts.notes == ()
