"""Pictures that show little: small or of one colour, out of domain; of strips the judged part is named."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from morelli.images import ImageItem
from morelli.inspection import Inspector


def file_of(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("picture", [("RGB", "white"), ("L", "black"), ("RGBA", (90, 40, 200, 0))])
def test_a_picture_of_one_colour_is_out_of_domain(inspector: Inspector, picture: tuple[str, Any]) -> None:
    data = file_of(Image.new(picture[0], (300, 200), picture[1]))
    (detection,) = inspector.detect([ImageItem("a.png", lambda: data)])
    found = inspector.inspect(data)
    assert detection.verdict is not None
    assert found.verdict == detection.verdict.verdict == "out_of_domain"
    assert "one colour" in found.case.reasons[0] and "one colour" in detection.verdict.reasons[0]
    dotted = Image.new(*picture[:1], (300, 200), picture[1])
    dotted.putpixel((7, 11), {"RGB": (1, 2, 3), "L": 9, "RGBA": (0, 0, 0, 255)}[picture[0]])
    assert not any("one colour" in reason for reason in inspector.inspect(file_of(dotted)).case.reasons)


@pytest.mark.parametrize(
    ("size", "part"), [((900, 120), "120 × 120"), ((120, 4000), "120 × 120"), ((300, 120), "")]
)
def test_of_a_strip_the_judged_part_is_named(inspector: Inspector, size: tuple[int, int], part: str) -> None:
    data = file_of(Image.effect_mandelbrot(size, (-2, -1.5, 1, 1.5), 50).convert("RGB"))
    (detection,) = inspector.detect([ImageItem("a.png", lambda: data)])
    assert detection.verdict is not None
    for reasons in (detection.verdict.reasons, inspector.inspect(data).case.reasons):
        named = [reason for reason in reasons if "only the middle" in reason]
        assert len(named) == bool(part) and all(part in reason for reason in named)


@pytest.mark.parametrize(("size", "small"), [((31, 400), True), ((8, 8), True), ((32, 32), False)])
def test_below_thirty_two_pixels_every_picture_is_out_of_domain(
    inspector: Inspector, size: tuple[int, int], small: bool
) -> None:
    picture = Image.effect_mandelbrot((400, 400), (-2, -1.5, 1, 1.5), 50).convert("RGB").resize(size)
    data = file_of(picture)
    (detection,) = inspector.detect([ImageItem("a.png", lambda: data)])
    found = inspector.inspect(data)
    assert detection.verdict is not None
    assert detection.verdict.verdict == found.verdict
    assert detection.verdict.reasons[0] == found.case.reasons[0]
    too_small = f"{size[0]} × {size[1]} pixels is too small" in found.case.reasons[0]
    assert too_small == small
    assert found.verdict == "out_of_domain" or not small
