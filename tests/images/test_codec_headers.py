"""HDR that only the codec's own header states, and which of a file's pictures it is said of."""

from __future__ import annotations

import base64
import io
import random
import zlib
from functools import partial

import pytest
from PIL import Image

from morelli.errors import ImageError
from morelli.images import decode
from tests.images.test_camera_files import DEEP_AVIF, jpeg, picture

PQ, HLG = "HDR (PQ) tone-mapped", "HDR (HLG) tone-mapped"
# A film of two pictures of 64 x 64, BT.2020 and HLG, which has AV1's long header: avifenc 0.11.1 (aom 3.6.0)
# -y 420 --cicp 9/18/9; compressed, for its boxes are mostly zeros.
FILM = zlib.decompress(
    base64.b64decode(
        "eNq1VE1rE0EYfmcTNa2xpkmFUkutUksPOTQRpASEfIj0Ejz1ogfZ7ibN2J3usjNZk9JDRPQgePQg4g/QiwqepAdBTyIVRPwL/REe"
        "6jszG7uNSWtbHZh9vz/mnWcHALJ10fbMgHLAhbQuecbrOcrdBUbrOUbNerWUKwOQJ6wmTNBrrmE7fsiDRy0BkeXQZZlKsiMeFUwp"
        "Ce4sdVxLCtcBDKXBfXIb6SzKWtpEeh53mdI1lUJZJlCoGWEeM5jPVVzHVQ3sWgxtKTlew9QWv1YPWxoxmy1H1ZRVP1LP95C+oJ7l"
        "Ih2j3KuFnsVwpzzaolIRSyQSSJJmkKvch6RUZSzX8dcspwVDkIahjj6odicR50mpWMDSFck0/bUC82or6lMuWNTyCrzNRY3xAvpQ"
        "h5p+u2B225+iHuuOGxuPE+NBHIw4OfHoFED8J3PdAC0tFjRsErpt50c7ETq1G63n/3vtEf6Ui7DvwkEbF4VvriLfEKuqPulTn+yN"
        "2b9m3x66lwHkLbOpnEaW2Qefd+nTYUBKlpiG2ljAGnZPJzO2tk3au2CS9mTTd6Y1T85xsezIeC4UnCAC7EkuuBWJI+EsSGhb75nR"
        "bHgOzMV5T9w4FyKq6+Z5ir52RP9Q/gYDpiznWYRFpItdj+HSzep0xcWDrvS/7/GdnYN/gJRlcTXgDX2WW38BEOPfAQTGhL6gpPrT"
        "9cX8OC5oMFcwADTrxwRNYQBoNo8AGvlepg4Jmvc9oHn1P0GjHsIehKiHkR7hYbzHbFOkYXhYnub1zvM7l4v50ynAy7w7NHq28i4N"
        "+eR87APKNzpxeJZC1zNd10vpmUwin0nBG1QgcGJbL78+3rgyd/ULRk2EUdo2DReu0dtbn79/y1fHfwHhxwny"
    )
)


def heic(*images: Image.Image, transfer: str = "", scaling: bool = False, **options: object) -> bytes:
    import pillow_heif

    made = pillow_heif.HeifFile()
    for image in images:
        made.add_from_pillow(image)
    buffer = io.BytesIO()
    parameters = {"x265:transfer": transfer} if transfer else {}
    if scaling:
        parameters["x265:scaling-list"] = "default"
    try:
        made.save(buffer, quality=60, enc_params=parameters, **options)
    except (RuntimeError, ValueError, OSError, KeyError):
        pytest.skip("this build has no such encoder")
    return buffer.getvalue()


def with_nclx(data: bytes, transfer: int) -> bytes:
    """The file whose boxes say another transfer."""
    at = data.index(b"nclx") + 6
    return data[:at] + transfer.to_bytes(2, "big") + data[at + 2 :]


def without_nclx(data: bytes) -> bytes:
    """The file whose boxes say nothing of colour: readers pass over a box ``free``."""
    assert b"colrnclx" in data
    return data.replace(b"colrnclx", b"freenclx")


@pytest.mark.parametrize(("data", "note"), [(DEEP_AVIF, PQ), (FILM, HLG)])
def test_av1_says_it_where_no_box_does(data: bytes, note: str) -> None:
    assert note in decode(data).facts.notes
    assert note in decode(without_nclx(data)).facts.notes
    assert note in decode(with_nclx(data, 2)).facts.notes  # 2: unspecified
    said = decode(with_nclx(data, 13)).facts.notes  # the container's word counts
    assert (note in said) == (data is FILM)  # which has the box twice


@pytest.mark.parametrize(("transfer", "note"), [("smpte2084", PQ), ("arib-std-b67", HLG)])
@pytest.mark.parametrize("scaling", [False, True])
def test_hevc_says_it_where_no_box_does(transfer: str, note: str, scaling: bool) -> None:
    coded = partial(heic, transfer=transfer, scaling=scaling)
    data = coded(picture(96, 64), save_nclx_profile=False)
    assert b"nclx" not in data
    assert note in decode(data).facts.notes
    whole = coded(picture(96, 64))
    assert note not in decode(whole).facts.notes  # its box says sRGB
    assert note in decode(without_nclx(whole)).facts.notes
    tiled = coded(picture(300, 200), tile_size=64, save_nclx_profile=False)
    assert note in decode(tiled).facts.notes


def test_ordinary_pictures_say_nothing() -> None:
    for transfer in ("bt709", "iec61966-2-1", ""):
        data = heic(picture(96, 64), transfer=transfer, save_nclx_profile=False)
        assert decode(data).facts.notes == ()


def test_only_the_picture_that_is_shown_counts() -> None:
    bright, plain = picture(80, 64), picture(96, 64)
    for image, transfer in ((bright, 16), (plain, 13)):
        image.info["nclx_profile"] = {
            "color_primaries": 9,
            "transfer_characteristics": transfer,
            "matrix_coefficients": 9,
            "full_range_flag": 1,
        }
    first = decode(heic(plain, bright, primary_index=0))
    assert first.image.size == plain.size
    assert first.facts.notes == ("first of 2 frames", "BT.2020 converted")
    second = decode(heic(plain, bright, primary_index=1))
    assert second.image.size == bright.size
    assert PQ in second.facts.notes


def test_gain_maps_of_the_iso_standard_are_noted() -> None:
    still = jpeg(picture(), quality=90)
    packet = b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"
    segment = b"\xff\xe2" + (len(packet) + 2).to_bytes(2, "big") + packet
    assert decode(still[:2] + segment + still[2:]).facts.notes == ("gain map not judged",)

    both = heic(picture(96, 64), picture(80, 64))
    at = both.rindex(b"hvc1", 0, both.index(b"ipco"))  # the second item becomes one that a gain map derives
    mapped = both[:at] + b"tmap" + both[at + 4 :]
    assert "gain map not judged" in decode(mapped).facts.notes


@pytest.mark.parametrize("seed", range(4))
def test_damage_in_the_headers_is_never_another_error(seed: int) -> None:
    chosen = random.Random(seed)
    for data in (DEEP_AVIF, FILM, heic(picture(96, 64), transfer="smpte2084")):
        for _ in range(40):
            broken = bytearray(without_nclx(data))
            for _ in range(chosen.randint(1, 6)):
                broken[chosen.randrange(16, min(len(broken), 700))] = chosen.choice((0, 1, 2, 127, 255))
            try:
                decode(bytes(broken))
            except ImageError as error:
                assert error.reason != "decoder_error", error
