"""Photographs as phones and cameras make them: very large, cut by an end marker, deep, bright, tiny."""

from __future__ import annotations

import base64
import dataclasses
import io
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFilter

from morelli.errors import ImageError
from morelli.images import Limits, decode
from morelli.images._hdr import to_sdr
from tests.images.hostile import encoded


def picture(width: int = 97, height: int = 61, mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(3).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)).convert(mode)


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(("limit", "scale"), [(70 * 90, 2), (150 * 190, 1)])
def test_a_jpeg_beyond_the_limit_is_decoded_at_reduced_scale(
    limit: int, scale: int, progressive: bool
) -> None:
    image = picture(110, 90)
    decoded = decode(jpeg(image, quality=95, progressive=progressive), Limits(max_pixels=limit))
    assert (decoded.facts.width, decoded.facts.height) == image.size
    assert decoded.image.size == (110 // scale, 90 // scale)
    assert (f"decoded at 1/{scale} of its size" in decoded.facts.notes) == (scale > 1)
    small = np.asarray(image.resize(decoded.image.size, Image.Resampling.BOX), np.int16)
    assert np.abs(np.asarray(decoded.image, np.int16) - small).mean() < 4


_PEAK = """
import resource, sys
from pathlib import Path
from morelli.images import decode
data = Path(sys.argv[1]).read_bytes()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
decoded = decode(data)
print(*decoded.image.size, decoded.facts.width, decoded.facts.height, peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read in kibibytes")
def test_a_photograph_of_200_megapixels_is_judged_in_bounded_memory(tmp_path: Path) -> None:
    Image.new("L", (16320, 12240), 90).save(tmp_path / "a.jpg", quality=50)
    asked = [sys.executable, "-c", _PEAK, str(tmp_path / "a.jpg")]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    *sizes, mebibytes = (int(word) for word in done.stdout.split())
    assert sizes == [8160, 6120, 16320, 12240]
    assert mebibytes < 400  # the whole picture alone would be 800 of them


def test_orientation_and_reduced_scale_together() -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    decoded = decode(jpeg(picture(120, 80), exif=exif), Limits(max_pixels=5000))
    assert (decoded.facts.width, decoded.facts.height) == (80, 120)
    assert decoded.image.size == (40, 60)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_far_beyond_the_limit_and_other_formats_stay_refused(format: str) -> None:
    data = encoded(format, picture(120, 100))
    with pytest.raises(ImageError, match="max_pixels") as caught:
        decode(data, Limits(max_pixels=5_000 if format == "JPEG" else 10_000))
    assert caught.value.reason == "too_many_pixels"


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("cut", [1, 2])
def test_a_jpeg_without_its_end_marker_is_judged_with_a_note(mode: str, cut: int) -> None:
    data = jpeg(picture(mode=mode), quality=90)
    whole, cut_short = decode(data), decode(data[:-cut])
    assert cut_short.image.tobytes() == whole.image.tobytes()
    assert "the end marker is missing" in cut_short.facts.notes
    assert "the end marker is missing" not in whole.facts.notes


@pytest.mark.parametrize("missing", [6, 20, 200])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_coded_data_is_truncated(missing: int, progressive: bool) -> None:
    data = jpeg(picture(), quality=90, progressive=progressive)
    for filling in (b"", bytes(50), bytes(5000)):  # zeros: a download that broke off
        with pytest.raises(ImageError) as caught:
            decode(data[:-missing] + filling)
        assert caught.value.reason == "truncated"


@pytest.mark.parametrize("format", ["WEBP", "AVIF"])
def test_a_picture_that_zeros_fill_up_is_noted(format: str) -> None:
    buffer = io.BytesIO()
    picture(400, 300).save(buffer, format, quality=80)
    whole = buffer.getvalue()
    half = whole[: len(whole) // 2]
    note = "the file ends in zeros, a part may be missing"
    assert note in decode(half + bytes(len(whole) - len(half))).facts.notes
    assert note not in decode(whole).facts.notes


def test_what_fills_the_place_of_coded_data_is_not_taken_without_a_word() -> None:
    cut = jpeg(picture(), quality=90)[:-200]
    assert "the end marker is missing" in decode(cut + b"\x5a\xa5" * 300).facts.notes


@pytest.mark.parametrize("padding", [b"\0" * 9, b"\0" * 5000])
def test_a_jpeg_padded_in_place_of_its_end_marker_is_judged_with_a_note(padding: bytes) -> None:
    data = jpeg(picture(), quality=90)
    padded = decode(data[:-2] + padding)
    assert padded.image.tobytes() == decode(data).image.tobytes()
    assert padded.facts.notes == ("the end marker is missing",)
    assert decode(data + padding).facts.notes == ()


def test_ten_bits_and_bright_pictures_are_noted() -> None:
    plain = encoded("PNG")
    chunk = b"\0\0\0\4cICP\x09\x10\x00\x01"
    chunk += zlib.crc32(chunk[4:]).to_bytes(4, "big")
    bright = plain[:33] + chunk + plain[33:]
    assert "HDR (PQ) tone-mapped" in decode(bright).facts.notes
    assert not decode(plain).facts.notes
    hlg = chunk.replace(b"\x09\x10", b"\x09\x12")
    text = b"Comment\0\0\0\0\4cICP\x09\x10\0\1"
    told = len(text).to_bytes(4, "big") + b"tEXt" + text
    told += zlib.crc32(told[4:]).to_bytes(4, "big")
    hlg = hlg[:-4] + zlib.crc32(hlg[4:-4]).to_bytes(4, "big")
    assert not decode(plain[:33] + told + plain[33:]).facts.notes  # a text that holds the chunk's name
    assert decode(plain[:33] + told + hlg + plain[33:]).facts.notes == ("HDR (HLG) tone-mapped",)

    import pillow_heif

    pixels = np.random.default_rng(0).integers(0, 1023, (64, 64, 3), dtype=np.uint16) << 6
    deep = pillow_heif.from_bytes(mode="RGB;16", size=(64, 64), data=pixels.tobytes())
    for format in ("HEIF", "AVIF"):
        buffer = io.BytesIO()
        try:
            deep.save(buffer, format=format, quality=80)
        except (RuntimeError, ValueError, OSError, KeyError):
            continue  # this build has no such encoder
        notes = decode(buffer.getvalue()).facts.notes
        assert any(note.endswith("-bit reduced") for note in notes), (format, notes)


def ramps() -> np.ndarray:
    """Red over the width, green over the height, blue over both: (64, 96, 3) from 0 to 1."""
    y, x = np.mgrid[0:64, 0:96]
    return np.stack([x / 95, y / 63, (x + y) / 158], -1)


# The ramps, 12 bits, marked BT.2020 and PQ: avifenc 0.11.1 -d 12 -y 420 --cicp 9/16/9.
DEEP_AVIF = base64.b64decode(
    "AAAAHGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZgAAAPJtZXRhAAAAAAAAAChoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAbGli"
    "YXZpZgAAAAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAEWAAABCgAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAA"
    "AAEAAGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAYAAAAEAAAAAQcGl4aQAAAAADDAwMAAAADGF2MUOB"
    "QGwAAAAAE2NvbHJuY2x4AAkAEAAJgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAABEm1kYXQSAAoKWBlv/saEiATwgDL5ARDgAQQQ"
    "QgC/xbfuyiLwNcUvfcpmDCaw7TgNUd4WsVGH1K6dcR36sag48tciRfwYarLo9zE07Ys8NYKaENX0gbL1b8I1PPpfn+FAPCnBrQyZ"
    "DtDTTHsiKsOncALadXD7LliH+0rOZS9KQl3HVX6RaSgZFyDutAooV6j/BPpkmd13d9m2m79k1Ke2AA/P8/C0cohyoZwMYhO39lqd"
    "5UpBczzNrUQDmB8T//a13HW2X/4JgKkj2fs69aihhxObD9kcxnJMEWOeXV4Hju7wVjLCNsDr0jzdCJ7HAjPuGPiwRCnBP1pqgOAF"
    "9GTqAS0ifLAk0K9kpA+DUqgCFw=="
)


@pytest.mark.parametrize("kind", ["HEIF 10", "HEIF 12", "AVIF 12"])
def test_deep_pictures_are_read_as_their_8_bit_version(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    format, bits = kind.split()
    data, notes = DEEP_AVIF, ["12-bit reduced", "HDR (PQ) tone-mapped"]
    if format == "HEIF":
        import pillow_heif

        monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == "12")
        deep = np.rint(ramps() * 65535).astype(np.uint16)
        buffer, notes = io.BytesIO(), [f"{bits}-bit reduced"]
        try:
            pillow_heif.from_bytes(mode="RGB;16", size=(96, 64), data=deep.tobytes()).save(
                buffer, format="HEIF", quality=95, chroma=444
            )
        except (RuntimeError, ValueError, OSError, KeyError):
            pytest.skip("this build has no such encoder")
        data = buffer.getvalue()
    decoded = decode(data)
    assert list(decoded.facts.notes) == notes
    wanted = 255 * ramps()
    if format == "AVIF":  # the ramps are samples of PQ, up to 10,000 cd/m²
        wanted = np.asarray(to_sdr(16, 9, Image.fromarray(np.rint(wanted).astype(np.uint8)), []), dtype=float)
    off = np.asarray(decoded.image, dtype=float) - wanted
    assert np.quantile(np.abs(off), 0.95) <= 6
    assert abs(off.mean()) < 1


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_profile_that_says_pq_or_hlg_is_noted_in_every_format(format: str) -> None:
    def profile(transfer: int, tag: bytes = b"cicp") -> bytes:
        plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        count = int.from_bytes(plain[128:132], "big")
        table = bytearray(plain[132 : 132 + 12 * count])
        for k in range(count):  # tags move by the one more entry
            at = int.from_bytes(table[12 * k + 4 : 12 * k + 8], "big") + 12
            table[12 * k + 4 : 12 * k + 8] = at.to_bytes(4, "big")
        body = plain[132 + 12 * count :]
        size = 132 + 12 * (count + 1) + len(body)
        entry = tag + size.to_bytes(4, "big") + (12).to_bytes(4, "big")
        whole = plain[:128] + (count + 1).to_bytes(4, "big") + bytes(table) + entry + body
        whole += b"cicp\0\0\0\0" + bytes([9, transfer, 0, 1])
        return len(whole).to_bytes(4, "big") + whole[4:]

    def notes(icc: bytes) -> tuple[str, ...]:
        buffer = io.BytesIO()
        picture().save(buffer, format, icc_profile=icc)
        return decode(buffer.getvalue()).facts.notes

    assert "HDR (PQ) tone-mapped" in notes(profile(16))
    assert "HDR (HLG) tone-mapped" in notes(profile(18))
    for ordinary in (profile(13), profile(16, b"cicx"), profile(16)[:-6]):
        assert not [note for note in notes(ordinary) if note.startswith("HDR")]


@pytest.mark.parametrize("where", ["behind the picture", "behind padding", "as Samsung writes it"])
def test_the_film_of_a_motion_photograph_changes_nothing(where: str) -> None:
    still = jpeg(picture(), quality=90)
    film = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(range(256)) * 40 + b"\xff\xd8\xff\xe0 no picture"
    before = {"behind padding": bytes(64), "as Samsung writes it": b"\0\0\x30\nMotionPhoto_Data"}
    whole, moving = decode(still), decode(still + before.get(where, b"") + film)
    assert moving.image.tobytes() == whole.image.tobytes()
    assert (moving.facts.notes, moving.facts.frames) == (whole.facts.notes, 1)
    with pytest.raises(ImageError):  # a film behind half a picture is no rest of it
        decode(still[: len(still) // 2] + film)


def test_gain_maps_and_depth_maps_are_noted_and_change_nothing() -> None:
    still = jpeg(picture(), quality=90)
    packet = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/'/>"
    segment = b"\xff\xe1" + (len(packet) + 2).to_bytes(2, "big") + packet
    bright = decode(still[:2] + segment + still[2:] + jpeg(picture(), quality=50))
    assert bright.facts.notes == ("gain map not judged",)
    assert bright.image.tobytes() == decode(still).image.tobytes()
    comment = b"\xff\xfe" + (len(packet) + 2).to_bytes(2, "big") + packet  # the same words in a comment
    assert not decode(still[:2] + comment + still[2:]).facts.notes

    import pillow_heif

    rgba = picture().convert("RGBA").resize((64, 64))
    rgba.putalpha(Image.linear_gradient("L").resize((64, 64)))
    buffer = io.BytesIO()
    try:
        pillow_heif.from_pillow(rgba).save(buffer, format="HEIF", quality=80)
    except (RuntimeError, ValueError, OSError, KeyError):
        return  # this build has no such encoder
    alpha = buffer.getvalue()
    assert "depth map not judged" not in decode(alpha).facts.notes
    depth = alpha.replace(b"auxid:1", b"auxid:2")
    assert depth != alpha
    assert "depth map not judged" in decode(depth).facts.notes


@pytest.mark.parametrize("value", [3, 6])
def test_exif_behind_the_pixels_of_a_png_turns_them(value: int) -> None:
    def encoded_with(exif: Image.Exif | None) -> bytes:
        buffer = io.BytesIO()
        picture().save(buffer, "PNG", exif=exif)
        return buffer.getvalue()

    exif = Image.Exif()
    exif[0x0112] = value
    data = encoded_with(exif)
    at = data.index(b"eXIf") - 4
    chunk = data[at : at + 12 + int.from_bytes(data[at : at + 4], "big")]
    end = data.rindex(b"IEND") - 4
    late = data[:at] + data[at + len(chunk) : end] + chunk + data[end:]
    assert decode(late).image.tobytes() == decode(data).image.tobytes()
    assert decode(late).facts == dataclasses.replace(decode(data).facts, sha256=decode(late).facts.sha256)
    assert decode(late).facts.has_exif
    assert not decode(encoded_with(None)).facts.has_exif


@pytest.mark.parametrize("format", ["HEIF", "AVIF"])
@pytest.mark.parametrize(
    "tail", [b"SEFH and further words of a maker", b"\0\1\0\0mpvd half a film", b"12345678"]
)
def test_what_stands_behind_the_boxes_of_a_picture_means_nothing(format: str, tail: bytes) -> None:
    try:
        data = encoded(format, picture())
    except (RuntimeError, ValueError, OSError, KeyError):
        pytest.skip("this build has no such encoder")
    assert decode(data + tail).image.tobytes() == decode(data).image.tobytes()
    for cut in (len(data) - 1, len(data) // 2):  # half a picture stays half a picture
        with pytest.raises(ImageError, match="shorter"):
            decode(data[:cut])
