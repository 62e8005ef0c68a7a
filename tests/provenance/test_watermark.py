from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from morelli.provenance import Finding, InvisibleWatermark, read_provenance
from morelli.provenance._watermark import _MESSAGES
from tests.provenance.made import saved
from tests.wheel_photos import load_photos

STEP = 36


def marked(image: Image.Image, message: str) -> Image.Image:
    """`image` with `message`, embedded as invisible-watermark 0.2.0 does."""
    rgb = np.asarray(image.convert("RGB"), dtype=np.float64)
    rgb = rgb[: rgb.shape[0] // 8 * 8, : rgb.shape[1] // 8 * 8]
    y = rgb @ np.array([0.299, 0.587, 0.114])
    u = np.rint((rgb[..., 2] - y) * 0.492 + 128)
    v = (rgb[..., 0] - y) * 0.877 + 128
    a, b, c, d = u[0::2, 0::2], u[0::2, 1::2], u[1::2, 0::2], u[1::2, 1::2]
    low, rest = (a + b + c + d) / 2, ((a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2)
    number = 0
    for i in range(0, low.shape[0], 4):
        for j in range(0, low.shape[1], 4):
            block = low[i : i + 4, j : j + 4].reshape(-1)
            at = int(np.abs(block[1:]).argmax()) + 1
            size = abs(block[at])
            block[at] = (
                np.sign(block[at]) * (size // STEP + 0.25 + 0.5 * int(message[number % len(message)])) * STEP
            )
            low[i : i + 4, j : j + 4] = block.reshape(4, 4)
            number += 1
    h, w, diagonal = rest
    u = np.empty_like(u)
    u[0::2, 0::2], u[0::2, 1::2] = (low + h + w + diagonal) / 2, (low - h + w - diagonal) / 2
    u[1::2, 0::2], u[1::2, 1::2] = (low + h - w - diagonal) / 2, (low - h - w + diagonal) / 2
    blue, red = (u - 128) / 0.492 + y, (v - 128) / 0.877 + y
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return Image.fromarray(np.clip(np.rint(np.stack([red, green, blue], axis=2)), 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def photographs() -> list[tuple[str, Image.Image]]:
    return load_photos()


@pytest.mark.parametrize(("tool", "message"), [(tool, message) for tool, message, _ in _MESSAGES])
def test_each_message_is_read_in_a_lossless_copy(
    tool: str, message: str, photographs: list[tuple[str, Image.Image]]
) -> None:
    image = dict(photographs)["astronaut"]
    found = read_provenance(saved(marked(image, message), "PNG"), pixels=True)
    assert found.watermarks == {"invisible-watermark": "yes"}
    (finding,) = found.findings
    assert (finding.kind, finding.tool, finding.claims) == ("watermark", tool, "generated")


def test_photographs_carry_none(photographs: list[tuple[str, Image.Image]]) -> None:
    for name, image in photographs:
        assert InvisibleWatermark().read(image)[0] == "no", name


def test_a_random_message_is_not_taken_for_a_known_one(photographs: list[tuple[str, Image.Image]]) -> None:
    bits = "".join(map(str, np.random.default_rng(0).integers(0, 2, 48)))
    assert InvisibleWatermark().read(marked(dict(photographs)["chelsea"], bits)) == ("no", None)


def test_scaling_destroys_it(photographs: list[tuple[str, Image.Image]]) -> None:
    image = marked(dict(photographs)["chelsea"], _MESSAGES[0][1])
    assert InvisibleWatermark().read(image.resize((400, 300)))[0] == "no"


def test_small_pictures_and_damaged_files_are_not_available() -> None:
    assert InvisibleWatermark().read(Image.new("RGB", (255, 255)))[0] == "not available"
    data = saved(Image.new("RGB", (300, 300)), "PNG")
    found = read_provenance(data[:-40], pixels=True)
    assert found.watermarks == {"invisible-watermark": "not available"}
    assert found.notes


def test_readers_plug_in() -> None:
    class Always:
        name = "always"

        def read(self, image: Image.Image) -> tuple[str, Finding | None]:
            assert image.mode == "RGB"
            return "yes", Finding("watermark", "generated", "statement", "There it is.", "pixels", "Always")

    found = read_provenance(saved(Image.new("L", (9, 9)), "PNG"), pixels=True, watermarks=[Always()])  # type: ignore[list-item]
    assert found.watermarks == {"always": "yes"}
    assert found.sentence == "There it is."
    without = read_provenance(saved(Image.new("L", (9, 9)), "PNG"), watermarks=[Always()])  # type: ignore[list-item]
    assert without.watermarks == {}


def test_the_picture_is_decoded_under_limits() -> None:
    from morelli.images import Limits

    buffer = io.BytesIO()
    Image.new("RGB", (500, 500)).save(buffer, "PNG")
    found = read_provenance(buffer.getvalue(), pixels=True, limits=Limits(max_pixels=1000))
    assert found.watermarks == {"invisible-watermark": "not available"}
    assert "max_pixels" in found.notes[0]
