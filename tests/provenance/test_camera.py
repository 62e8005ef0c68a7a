from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from morelli.provenance import read_provenance
from morelli.provenance._read import thumbnail_agreement
from morelli.provenance._tables import libjpeg_quality
from tests.provenance.made import IFD, picture, saved, typed, xmp

CANON = {0x010F: "Canon", 0x0110: "Canon EOS R5"}
EXPOSED = {
    0x829A: IFDRational(1, 250),
    0x829D: IFDRational(8),
    0x8827: 100,
    0x920A: IFDRational(50),
    0xA434: "RF50mm F1.2 L USM",
    0x9003: "2025:06:01 10:00:00",
}


def photograph(tags: dict[int, Any] = CANON, sub: dict[int, Any] = EXPOSED, **options: Any) -> bytes:
    exif = Image.Exif()
    exif.update(tags)
    exif.get_ifd(IFD).update(sub)
    return saved(picture(), "JPEG", exif=exif.tobytes(), **options)


def test_camera_data_are_read_and_called_weak() -> None:
    found = read_provenance(photograph())
    (finding,) = found.findings
    assert (finding.kind, finding.claims, finding.strength) == ("camera", "camera", "weak")
    assert finding.tool == "Canon EOS R5"
    assert finding.details["lens"] == "RF50mm F1.2 L USM"
    assert finding.details["exposure"] == "1/250 s"
    assert finding.details["aperture"] == "f/8"
    assert finding.details["ISO"] == "100"
    assert "weak evidence" in finding.sentence
    assert not found.suspicious


def test_a_maker_that_the_model_does_not_repeat_is_named() -> None:
    data = photograph({0x010F: "NIKON CORPORATION", 0x0110: "D100"})
    assert read_provenance(data).findings[0].tool == "NIKON CORPORATION D100"


def test_tables_of_a_program_are_found() -> None:
    agreement = read_provenance(photograph(quality=85)).findings[0].details["agreement"]
    assert "libjpeg's of quality 85" in agreement


def test_tables_of_another_maker_are_not_called_libjpegs() -> None:
    own = [[3 + i // 2 for i in range(64)], [5 + i for i in range(64)]]
    assert "quantisation" not in read_provenance(photograph(qtables=own)).findings[0].details.get(
        "agreement", ""
    )


@pytest.mark.parametrize("quality", [1, 30, 50, 75, 90, 95, 100])
def test_the_quality_of_libjpegs_tables_is_exact(quality: int) -> None:
    from morelli.provenance._containers import read_metadata

    metadata = read_metadata(saved(picture(), "JPEG", quality=quality))
    assert metadata is not None
    assert libjpeg_quality(metadata.tables) == quality
    changed = {0: (*metadata.tables[0][:-1], metadata.tables[0][-1] % 255 + 1)}
    assert libjpeg_quality(changed) is None


def test_another_size_than_exif_says_is_found() -> None:
    data = photograph(sub=EXPOSED | {0xA002: 8192, 0xA003: 5464})
    assert (
        "8192 × 5464 pixels, the picture has 96 × 64"
        in read_provenance(data).findings[0].details["agreement"]
    )
    turned = photograph(sub=EXPOSED | {0xA002: 64, 0xA003: 96})
    assert "EXIF speaks" not in read_provenance(turned).findings[0].details["agreement"]


def test_a_camera_without_exposure_is_doubted() -> None:
    assert "no exposure" in read_provenance(photograph(sub={})).findings[0].details["agreement"]


def test_camera_data_never_outweigh_a_statement() -> None:
    found = read_provenance(photograph(xmp=xmp(typed("trainedAlgorithmicMedia"))))
    assert found.claims == "generated"
    assert [finding.kind for finding in found.findings] == ["iptc", "camera"]
    assert "easily copied" in found.sentence


def test_a_gain_map_is_named() -> None:
    data = saved(picture(), "MPO", save_all=True, append_images=[picture("L")], exif=exif_of(CANON))
    assert read_provenance(data).findings[0].details["beside the picture"] == "multi-picture index"
    hdr = xmp('xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"')
    assert read_provenance(photograph(xmp=hdr)).findings[0].details["beside the picture"] == "gain map"


def exif_of(tags: dict[int, Any]) -> bytes:
    exif = Image.Exif()
    exif.update(tags)
    return exif.tobytes()


def with_thumbnail(shown: Image.Image) -> bytes:
    """A photograph whose second EXIF directory holds a thumbnail of `shown`, built by hand."""
    small = saved(shown.resize((80, 56)), "JPEG")
    make, model = b"Canon\0", b"Canon EOS R5\0"
    texts = 8 + 2 + 2 * 12 + 4
    second = texts + len(make) + len(model)
    start = second + 2 + 2 * 12 + 4
    order = "little"

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        return (
            tag.to_bytes(2, order)
            + kind.to_bytes(2, order)
            + count.to_bytes(4, order)
            + value.to_bytes(4, order)
        )

    tiff = b"II*\0" + (8).to_bytes(4, order) + (2).to_bytes(2, order)
    tiff += entry(0x010F, 2, len(make), texts) + entry(0x0110, 2, len(model), texts + len(make))
    tiff += second.to_bytes(4, order) + make + model + (2).to_bytes(2, order)
    tiff += entry(0x0201, 4, 1, start) + entry(0x0202, 4, 1, len(small)) + bytes(4) + small
    return saved(structured(), "JPEG", exif=b"Exif\0\0" + tiff)


def structured(seed: int = 0) -> Image.Image:
    blocks = np.random.default_rng(seed).integers(30, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((320, 240), Image.Resampling.BICUBIC)


def test_a_thumbnail_of_the_picture_agrees_and_another_does_not() -> None:
    same = read_provenance(with_thumbnail(structured()), pixels=True).findings[0]
    other = read_provenance(with_thumbnail(structured(1)), pixels=True).findings[0]
    assert same.details["thumbnail"].startswith("shows the picture")
    assert other.details["thumbnail"].startswith("shows another picture")
    assert read_provenance(with_thumbnail(structured())).findings[0].details["thumbnail"].endswith("bytes")


def test_black_bars_around_a_thumbnail_are_cut_off() -> None:
    boxed = Image.new("RGB", (320, 280))
    boxed.paste(structured(), (0, 20))
    alike = thumbnail_agreement(saved(boxed, "JPEG", quality=95), structured())
    assert alike is not None
    assert alike > 0.95


def test_a_damaged_thumbnail_is_no_error() -> None:
    assert thumbnail_agreement(b"\xff\xd8\xff" + bytes(50), structured()) is None
    assert thumbnail_agreement(saved(Image.new("RGB", (80, 60)), "JPEG"), structured()) is None
    with Image.open(io.BytesIO(with_thumbnail(structured()))) as image:
        assert image.size == (320, 240)
