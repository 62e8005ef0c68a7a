"""Whole files of kinds that are not read are refused as such; the thumbnail of a raw file is no picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile

from morelli.errors import ImageError
from morelli.images import decode, iter_source
from tests.images.hostile import encoded, photo

PIXELS = np.asarray(photo((96, 64)))
SENSOR = (PIXELS[..., 0].astype(np.uint16)) * 16


def refused(data: bytes, name: str | None = None) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(data, name=name)
    return caught.value


def raw(path: Path, **tags: object) -> bytes:
    """A TIFF as cameras write it: a thumbnail first, the sensor's values in a directory below."""
    extra = [(50706, 1, 4, (1, 4, 0, 0), True)] if tags.pop("dng", False) else []
    with tifffile.TiffWriter(path, byteorder=tags.pop("order", "<")) as file:  # type: ignore[arg-type]
        file.write(PIXELS[::4, ::4], photometric="rgb", subfiletype=1, subifds=1, extratags=extra)
        file.write(SENSOR, subfiletype=0, **{"photometric": 32803, **tags})  # type: ignore[arg-type]
    return path.read_bytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tags", [{"dng": True}, {}, {"compression": "zlib"}, {"photometric": "minisblack"}])
def test_the_thumbnail_of_a_raw_file_is_not_judged(
    tmp_path: Path, order: str, tags: dict[str, object]
) -> None:
    data = raw(tmp_path / "photo.nef", order=order, **tags)
    for name in (None, "photo.nef", "photo.tif"):
        problem = refused(data, name)
        assert problem.reason == "unsupported_format"
        assert "raw file" in str(problem)
    (item,) = iter_source(tmp_path)
    assert item.read() == data


def test_sensor_values_alone_are_no_picture(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.pef", SENSOR, photometric=32803)
    assert refused((tmp_path / "a.pef").read_bytes()).reason == "unsupported_format"
    (tmp_path / "a.cr2").write_bytes(encoded("TIFF")[:8] + b"CR\2\0")
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(PIXELS[::4, ::4], photometric="rgb", subfiletype=1)
        file.write(PIXELS, photometric="rgb")
    assert "thumbnail" in str(refused((tmp_path / "a.tif").read_bytes()))


def test_pyramids_and_pages_are_read_as_before(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as file:
        file.write(PIXELS, photometric="rgb", subifds=1)
        file.write(PIXELS[::2, ::2], photometric="rgb", subfiletype=1)
        file.write(PIXELS[::4, ::4], photometric="rgb", subfiletype=1)
    tifffile.imwrite(tmp_path / "lone.tif", PIXELS, photometric="rgb", subfiletype=1)
    for name in ("pyramid.tif", "lone.tif"):
        picture = decode((tmp_path / name).read_bytes())
        np.testing.assert_array_equal(np.asarray(picture.image), PIXELS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint32])
def test_a_whole_tiff_of_other_numbers_is_not_called_damaged(tmp_path: Path, dtype: type) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS.astype(dtype), photometric="rgb")
    assert refused((tmp_path / "a.tif").read_bytes()).reason == "unsupported_format"


@pytest.mark.parametrize(
    "drawing",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- '
        + b"x" * 900
        + b' -->\n<svg width="4" height="4"></svg>',
        b'\xef\xbb\xbf  <!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x">\n<svg>\n</svg>',
        '<?xml version="1.0" encoding="UTF-16"?><svg:svg/>'.encode("utf-16"),
    ],
)
def test_svg_however_it_begins(drawing: bytes) -> None:
    problem = refused(drawing)
    assert problem.reason == "unsupported_format"
    assert "SVG" in str(problem)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
@pytest.mark.parametrize("options", [{}, {"compression": "tga_rle"}])
def test_tga(mode: str, options: dict[str, str]) -> None:
    problem = refused(encoded("TGA", photo((40, 30)).convert(mode), **options))
    assert problem.reason == "unsupported_format"
    assert "TGA" in str(problem)


@pytest.mark.parametrize("format", ["DDS", "PPM", "ICNS", "EPS"])
def test_other_whole_files(format: str) -> None:
    assert refused(encoded(format, photo((64, 64)))).reason == "unsupported_format"


def test_pictures_that_are_not_read_are_listed(tmp_path: Path) -> None:
    names = [f"a.{suffix}" for suffix in ("PCX", "dds", "xcf", "mng", "jxr", "pnm", "jpf")]
    for name in [*names, "notes.txt", "film.mp4", "text.pdf"]:
        (tmp_path / name).write_bytes(b"\x8aMNG\r\n\x1a\n" + bytes(60))
    found = [item.uri.rpartition("/")[2] for item in iter_source(tmp_path)]
    assert found == sorted(names)
    assert "an MNG" in str(refused((tmp_path / "a.mng").read_bytes()))


@pytest.mark.parametrize(
    "data", [b"<html><body>not found</body></html>", b"<?xml version='1.0'?><rss/>", bytes(200)]
)
def test_what_is_no_image_stays_none(data: bytes) -> None:
    assert refused(data).reason == "not_an_image"


@pytest.mark.parametrize(("format", "name"), [("PCX", "a PCX"), ("SGI", "an SGI image"), ("TGA", "a TGA")])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pictures_of_old_programs_are_named(format: str, name: str, mode: str) -> None:
    stored = io.BytesIO()
    photo((96, 64)).convert(mode).save(stored, format)
    problem = refused(stored.getvalue())
    assert problem.reason == "unsupported_format" and f"{name}," in str(problem)


@pytest.mark.parametrize(
    ("content", "step"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
        (b"../.git/annex/objects/zJ/9k/MD5E-s1--a.jpg/MD5E-s1--a.jpg", "git annex get"),
        (b"/annex/objects/SHA256E-s1234--0a.png\n", "git annex get"),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html><title>404</title>", "download the picture again"),
        (b"<HTML><body>Forbidden", "download the picture again"),
        (b"{}", "not an image in any known format"),
    ],
)
def test_what_stands_instead_of_a_picture_names_the_next_step(content: bytes, step: str) -> None:
    problem = refused(content, "photo.jpg")
    assert problem.reason == "not_an_image" and step in str(problem)
