"""Pictures in PQ and HLG become pictures of standard range: what is no brighter than white is what it was."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from morelli.images import decode
from tests.images.builders import png_with_chunk
from tests.images.hostile import photo

PICTURE = photo((160, 120))
PRIMARIES = {
    1: np.eye(3),
    9: [[0.627404, 0.329283, 0.043313], [0.069097, 0.919540, 0.011362], [0.016391, 0.088013, 0.895595]],
    12: [[0.822462, 0.177538, 0.0], [0.033194, 0.966806, 0.0], [0.017083, 0.072397, 0.910520]],
}


def light(image: Image.Image) -> np.ndarray:
    """Linear light of an sRGB image, white 1."""
    samples = np.asarray(image) / 255
    return np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)


def pq(nits: np.ndarray) -> np.ndarray:
    """Samples of SMPTE ST 2084."""
    root = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375


def hlg(nits: np.ndarray) -> np.ndarray:
    """Samples of HLG for a display of 1,000 cd/m², after the inverse of its OOTF."""
    share = nits / 1000
    luminance = np.maximum(share @ [0.2627, 0.6780, 0.0593], 1e-9)[..., None]
    scene = share * luminance ** (1 / 1.2 - 1)
    upper = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper)


def stored(samples: np.ndarray, transfer: int, primaries: int, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.rint(samples.clip(0, 1) * 255).astype(np.uint8)).save(file, "PNG", **options)  # type: ignore[arg-type]
    return png_with_chunk(file.getvalue(), b"cICP", bytes([primaries, transfer, 0, 1]))


def bright(image: Image.Image, transfer: int, primaries: int, times: float = 1, **options: object) -> bytes:
    """The image in PQ or HLG, its white `times` as bright as reference white."""
    nits = 203 * times * (light(image) @ np.array(PRIMARIES[primaries]).T)
    return stored(pq(nits) if transfer == 16 else hlg(nits), transfer, primaries, **options)


@pytest.mark.parametrize("primaries", PRIMARIES)
@pytest.mark.parametrize("transfer", [16, 18])
def test_an_ordinary_picture_in_an_hdr_file_is_what_it_was(transfer: int, primaries: int) -> None:
    if transfer == 18 and primaries != 9:
        pytest.skip("HLG is of BT.2020")
    decoded = decode(bright(PICTURE, transfer, primaries))
    assert f"HDR ({'PQ' if transfer == 16 else 'HLG'}) tone-mapped" in decoded.facts.notes
    off = np.abs(np.asarray(decoded.image).astype(int) - np.asarray(PICTURE))
    assert off.mean() < 2 and np.quantile(off, 0.99) <= 12  # eight bits of PQ are coarse in the shadows


def test_highlights_are_compressed_and_the_rest_stays() -> None:
    grey = np.tile(np.linspace(0, 255, 160).round().astype(np.uint8)[None, :, None], (120, 1, 3))
    picture = light(Image.fromarray(grey)) * 203
    picture[:20] *= 12  # a sixth of the picture is as bright as the sky
    shown = np.asarray(decode(stored(pq(picture), 16, 9)).image)[..., 0].astype(int)
    below, above = shown[60], shown[5]
    assert np.abs(below[:80] - grey[60, :80, 0]).max() <= 8  # up to a fifth of white's light
    assert (np.diff(above[4:]) >= -1).all() and (np.diff(below[4:]) >= -1).all()
    assert 240 <= above[-1] <= 255 and below[-1] < above[-1]
    assert len(set(above[60:])) > 8  # nothing is clipped to white


def test_the_file_comes_before_a_profile_that_was_written_beside_it() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain, beside = (decode(bright(PICTURE, 16, 9, **more)) for more in ({}, {"icc_profile": profile}))  # type: ignore[arg-type]
    assert plain.image.tobytes() == beside.image.tobytes()
    assert beside.facts.has_icc


def test_transparency_lies_over_white_after_the_tone_mapping() -> None:
    samples = np.rint(pq(203 * light(PICTURE)) * 255).astype(np.uint8)
    image = Image.fromarray(samples)
    image.putalpha(Image.new("L", image.size, 128))
    file = io.BytesIO()
    image.save(file, "PNG")
    decoded = decode(png_with_chunk(file.getvalue(), b"cICP", bytes([1, 16, 0, 1])))
    wanted = np.asarray(PICTURE) * (128 / 255) + 127
    assert np.abs(np.asarray(decoded.image) - wanted).mean() < 2
