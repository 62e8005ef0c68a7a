from __future__ import annotations

from io import BytesIO
from math import ceil

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from morelli.errors import UsageError
from morelli.images import decode
from morelli.images.transforms import (
    _WHOLE_RESIZE_PIXELS,
    CLIP_MEAN,
    CLIP_STD,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Transform,
    clip_transform,
    transform_from_id,
    univfd_transform,
)

SHAPES = [
    (1, 1),
    (2, 3),
    (1, 20),
    (20, 1),
    (17, 130),
    (223, 224),
    (224, 224),
    (225, 224),
    (224, 223),
    (130, 17),
    (449, 451),
    (640, 427),
    (427, 641),
    (1023, 333),
]
MODES = ["1", "L", "LA", "P", "P+transparency", "PA", "RGB", "RGB+key", "RGBA", "CMYK"]


@pytest.fixture(scope="module")
def processor():
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    return CLIPImageProcessorPil


def picture(photo: Image.Image, size: tuple[int, int], mode: str) -> Image.Image:
    """A real photograph in the given size and mode, with partial transparency where the mode has it."""
    image = photo.resize(size)
    ramp = Image.fromarray(np.linspace(0, 255, size[0] * size[1]).reshape(size[::-1]).astype(np.uint8))
    if mode in ("RGBA", "LA", "PA"):
        image.putalpha(ramp)
        return image.convert("LA") if mode == "LA" else image
    if mode == "P+transparency":
        palette = image.quantize(64)
        palette.info["transparency"] = bytes(range(0, 256, 4))
        return palette
    if mode == "RGB+key":
        image.info["transparency"] = image.getpixel((0, 0))
        return image
    return image.quantize(64) if mode == "P" else image.convert(mode)


def saved(image: Image.Image) -> bytes:
    buffer = BytesIO()
    if image.mode == "CMYK":
        image.save(buffer, "TIFF")
    elif "transparency" in image.info:
        image.save(buffer, "PNG", transparency=image.info["transparency"])
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()


def test_clip_equals_transformers_on_every_shape_and_mode(processor, photos):
    reference = processor()
    transform = clip_transform()
    compared = 0
    for index, size in enumerate(SHAPES):
        for offset, mode in enumerate(MODES[index % 2 :: 2]):
            data = saved(picture(photos[(index + offset) % len(photos)][1], size, mode))
            with Image.open(BytesIO(data)) as original:
                original.load()
                expected = reference(original, return_tensors="np")["pixel_values"][0]
            got = transform(decode(data).image)
            assert got.dtype == np.float32
            assert got.shape == (3, 224, 224)
            np.testing.assert_allclose(got, expected, atol=1e-6, rtol=0, err_msg=f"{size} {mode}")
            compared += 1
    assert compared >= 60


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 500),
    st.integers(1, 500),
    st.sampled_from([15, 16, 64, 224, 225]),
    st.sampled_from(["bicubic", "bilinear", "lanczos"]),
    st.integers(0, 2**32 - 1),
)
@example(1, 422, 225, "lanczos", 684)
def test_clip_equals_transformers_in_any_size(processor, width, height, size, resample, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(pixels)
    code = {"bicubic": 3, "bilinear": 2, "lanczos": 1}[resample]
    reference = processor(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}, resample=code
    )
    expected = reference(image, return_tensors="np")["pixel_values"][0]
    apart = np.abs(clip_transform(size, resample=resample)(image) - expected)
    if size * int(size * max(width, height) / min(width, height)) > _WHOLE_RESIZE_PIXELS:
        # Of a strip only the window is made, whose place Pillow takes in float32: values halfway between two
        # grey levels may be rounded to the other one.
        assert apart.max() <= 1.01 / 255 / min(CLIP_STD)
        assert (apart > 1e-6).mean() <= 0.01
    else:
        assert apart.max() <= 1e-6


def test_other_processors_are_reached_by_options(processor, photos):
    image = photos[0][1]
    dino = processor(
        size={"shortest_edge": 256},
        crop_size={"height": 224, "width": 224},
        image_mean=IMAGENET_MEAN,
        image_std=IMAGENET_STD,
    )
    ours = clip_transform(224, IMAGENET_MEAN, IMAGENET_STD, short=256)
    np.testing.assert_allclose(ours(image), dino(image, return_tensors="np")["pixel_values"][0], atol=1e-6)
    siglip = processor(
        size={"height": 224, "width": 224}, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    ours = clip_transform(224, (0.5,) * 3, (0.5,) * 3, resize="square")
    np.testing.assert_allclose(ours(image), siglip(image, return_tensors="np")["pixel_values"][0], atol=1e-6)
    padded = processor(size={"shortest_edge": 100}, crop_size={"height": 225, "width": 225})
    ours = clip_transform(225, short=100)
    np.testing.assert_allclose(ours(image), padded(image, return_tensors="np")["pixel_values"][0], atol=1e-6)


def centre_crop_as_torchvision(pixels: np.ndarray, crop: int) -> np.ndarray:
    """torchvision.transforms.functional.center_crop, with its own formulas, on (h, w, 3)."""
    height, width = pixels.shape[:2]
    if crop > width or crop > height:
        left, top = (
            ((crop - width) // 2 if crop > width else 0),
            ((crop - height) // 2 if crop > height else 0),
        )
        right = (crop - width + 1) // 2 if crop > width else 0
        bottom = (crop - height + 1) // 2 if crop > height else 0
        pixels = np.pad(pixels, ((top, bottom), (left, right), (0, 0)))
        height, width = pixels.shape[:2]
        if crop == width and crop == height:
            return pixels
    top, left = round((height - crop) / 2.0), round((width - crop) / 2.0)
    return pixels[top : top + crop, left : left + crop]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_univfd_is_centre_crop_pad_and_normalise(width, height, size, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    cropped = centre_crop_as_torchvision(pixels, size)
    scaled = cropped.astype(np.float32) / np.float32(255)
    expected = (scaled - np.float32(CLIP_MEAN)) / np.float32(CLIP_STD)
    got = univfd_transform(size)(Image.fromarray(pixels))
    np.testing.assert_array_equal(got, expected.transpose(2, 0, 1))


def test_padding_is_black_before_normalisation():
    got = univfd_transform(8)(Image.new("RGB", (2, 2), "white"))
    np.testing.assert_allclose(got[:, 0, 0], -np.array(CLIP_MEAN) / np.array(CLIP_STD), rtol=1e-5)


@pytest.mark.parametrize(
    "transform",
    [
        clip_transform(),
        clip_transform(336),
        clip_transform(224, resample="bilinear"),
        clip_transform(224, resize="square"),
        clip_transform(224, IMAGENET_MEAN, IMAGENET_STD, short=256),
        clip_transform(256, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), resize="square"),
        clip_transform(224, (0.1, 1e-7, 0.25), (0.3, 0.4, 1 / 3)),
        univfd_transform(),
        univfd_transform(336),
    ],
    ids=lambda t: t.id,
)
def test_an_id_gives_the_same_transform(transform, photos):
    again = transform_from_id(transform.id)
    assert isinstance(again, Transform)
    assert again.id == transform.id
    assert again.size == transform.size
    image = photos[1][1]
    np.testing.assert_array_equal(again(image), transform(image))


def test_ids_are_what_the_features_on_disk_say():
    assert clip_transform().id == "clip-224-bicubic-crop-v1"
    assert univfd_transform().id == "univfd-224-crop-v1"
    assert (
        clip_transform(224, IMAGENET_MEAN, IMAGENET_STD, short=256).id
        == "clip-224-bicubic-crop256-imagenet-v1"
    )


@pytest.mark.parametrize(
    "id",
    [
        "",
        "clip",
        "clip-224-bicubic-crop-v2",
        "clip-224-cubic-crop-v1",
        "clip-224-bicubic-crop224-v1",
        "clip-0-bicubic-crop-v1",
        "univfd-99999-crop-v1",
        "clip-224-bicubic-crop-m1,2s3-v1",
    ],
)
def test_unknown_ids_are_refused(id):
    with pytest.raises(UsageError):
        transform_from_id(id)


@pytest.mark.parametrize("upright", [True, False])
def test_extreme_strips_do_not_need_the_whole_resize(upright):
    rng = np.random.default_rng(0)
    long = 150_001
    pixels = rng.integers(0, 256, (long, 2, 3), np.uint8)
    image = Image.fromarray(pixels if upright else pixels.transpose(1, 0, 2).copy())
    got = clip_transform(32)(image)
    # The middle of the strip is all that the crop sees; a short strip around it gives the same picture.
    middle = pixels[long // 2 - 500 : long // 2 + 501]
    small = Image.fromarray(middle if upright else middle.transpose(1, 0, 2).copy())
    expected = clip_transform(32)(small)
    assert got.shape == (3, 32, 32)
    step = 1 / 255 / min(CLIP_STD)
    assert np.abs(got - expected).max() <= 2.1 * step


def test_other_modes_than_rgb_are_refused():
    with pytest.raises(UsageError, match="decode"):
        clip_transform()(Image.new("L", (8, 8)))


def test_padding_rounding_is_that_of_transformers():
    # Odd padding goes in front: transformers takes ceil, torchvision floor.
    image = Image.new("RGB", (2, 2), "white")
    got = clip_transform(5, short=2)(image)
    white = got[0].max()
    rows = np.flatnonzero((got[0] == white).any(axis=1))
    assert rows.tolist() == [ceil(3 / 2) + 0, ceil(3 / 2) + 1]
