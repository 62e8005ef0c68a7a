"""Pictures of a few pixels: out of domain, whatever the detector makes of their interpolation."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from morelli.images import ImageItem
from morelli.inspection import Inspector


@pytest.mark.parametrize(("size", "small"), [((31, 400), True), ((8, 8), True), ((32, 32), False)])
def test_below_thirty_two_pixels_every_picture_is_out_of_domain(
    inspector: Inspector, size: tuple[int, int], small: bool
) -> None:
    picture = Image.effect_mandelbrot((400, 400), (-2, -1.5, 1, 1.5), 50).convert("RGB").resize(size)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    data = buffer.getvalue()
    (detection,) = inspector.detect([ImageItem("a.png", lambda: data)])
    found = inspector.inspect(data)
    assert detection.verdict is not None
    assert detection.verdict.verdict == found.verdict
    assert detection.verdict.reasons[0] == found.case.reasons[0]
    too_small = f"{size[0]} × {size[1]} pixels is too small" in found.case.reasons[0]
    assert too_small == small
    assert found.verdict == "out_of_domain" or not small
