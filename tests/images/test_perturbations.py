from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from morelli.errors import ImageError, UsageError
from morelli.images import Perturbation, perturbation

SPECS = [
    "jpeg:85",
    "webp:75",
    "blur:2.0",
    "blur:0",
    "resize:0.5",
    "downup:0.5",
    "crop:0.8",
    "centercrop:0.8",
    "noise:4",
    "longside:200",
    "align:288,85",
    "screenshot",
    "social:whatsapp",
    "longside:640+jpeg:88",
    "crop:0.9+blur:0.5+jpeg:70",
    "align:180-320,75-100+jpeg:88+mirror:0.5",
    "longside:100-200",
    "resize:0.25-0.5",
    "redelivered:2",
]


@pytest.fixture(scope="module")
def photo(photos) -> Image.Image:
    return photos[1][1]


@pytest.mark.parametrize("spec", SPECS)
def test_the_id_names_it_and_the_seed_decides(photo, spec):
    change = perturbation(spec)
    assert isinstance(change, Perturbation)
    assert perturbation(change.id).id == change.id
    once = change(photo, np.random.default_rng(3))
    again = perturbation(change.id)(photo, np.random.default_rng(3))
    assert once.mode == "RGB"
    assert once.tobytes() == again.tobytes()
    before = photo.tobytes()
    assert photo.tobytes() == before


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["blur", "noise", "resize", "downup", "crop", "centercrop"]),
    st.floats(0.01, 1, allow_nan=False),
)
def test_ids_of_any_value_come_back(name, value):
    first = perturbation(f"{name}:{value!r}")
    assert perturbation(first.id).id == first.id


def test_jpeg_is_what_pillow_writes(photo):
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=60, subsampling="4:2:0")
    with Image.open(buffer) as expected:
        got = perturbation("jpeg:60")(photo, np.random.default_rng(0))
        assert got.tobytes() == expected.convert("RGB").tobytes()


def test_blur_is_univfds(photo):
    expected = np.array(photo)
    for channel in range(3):
        gaussian_filter(expected[:, :, channel], output=expected[:, :, channel], sigma=1.5)
    got = perturbation("blur:1.5")(photo, np.random.default_rng(0))
    np.testing.assert_array_equal(np.asarray(got), expected)
    assert perturbation("blur:0")(photo, np.random.default_rng(0)).tobytes() == photo.tobytes()


def test_sizes(photo):
    rng = np.random.default_rng(0)
    width, height = photo.size
    assert perturbation("resize:0.5")(photo, rng).size == (round(width / 2), round(height / 2))
    assert perturbation("downup:0.25")(photo, rng).size == photo.size
    assert perturbation("crop:0.8")(photo, rng).size == (round(width * 0.8), round(height * 0.8))
    assert max(perturbation("longside:200")(photo, rng).size) == 200
    assert perturbation("longside:9000")(photo, rng).tobytes() == photo.tobytes()
    assert min(perturbation("align:288,85")(photo, rng).size) == 288
    small = photo.resize((100, 60))
    assert min(perturbation("align:288,85")(small, rng).size) == 288


def test_crops_lie_in_the_picture_and_move(photo):
    pixels = np.asarray(photo)
    places = set()
    for seed in range(6):
        got = np.asarray(perturbation("crop:0.5")(photo, np.random.default_rng(seed)))
        height = got.shape[0]
        window = np.lib.stride_tricks.sliding_window_view(pixels[..., 0], (height, 1))[..., 0]
        hits = np.argwhere((window == got[:, 0, 0]).all(axis=-1))
        assert len(hits)
        places.add(tuple(hits[0]))
    assert len(places) > 1


def test_a_range_draws_a_value_for_each_image_and_both_ends_occur(photo):
    sides = {
        max(perturbation("longside:100-103")(photo, np.random.default_rng(seed)).size) for seed in range(40)
    }
    assert sides == {100, 101, 102, 103}
    factors = [
        perturbation("resize:0.25-0.5")(photo, np.random.default_rng(seed)).width / photo.width
        for seed in range(40)
    ]
    assert 0.24 < min(factors) < 0.3 and 0.45 < max(factors) < 0.51


def test_a_picture_is_mirrored_with_the_probability_given(photo):
    turned = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes()
    assert perturbation("mirror:1")(photo, np.random.default_rng(0)).tobytes() == turned
    assert perturbation("mirror:0")(photo, np.random.default_rng(0)).tobytes() == photo.tobytes()
    half = [
        perturbation("mirror:0.5")(photo, np.random.default_rng(seed)).tobytes() == turned
        for seed in range(60)
    ]
    assert 15 <= sum(half) <= 45


def test_redeliveries_differ_by_image_and_by_their_number(photo):
    one = [perturbation("redelivered:1")(photo, np.random.default_rng(seed)) for seed in range(12)]
    assert len({image.tobytes() for image in one}) == 12
    assert len({image.size for image in one}) > 4
    three = perturbation("redelivered:3")(photo, np.random.default_rng(0))
    assert three.tobytes() not in {image.tobytes() for image in one}


def test_noise_has_its_sigma():
    grey = Image.new("RGB", (300, 300), (128, 128, 128))
    got = np.asarray(perturbation("noise:4")(grey, np.random.default_rng(0)), float) - 128
    assert abs(got.mean()) < 0.05
    assert abs(got.std() - 4) < 0.1


def test_chains_run_in_order(photo):
    rng = np.random.default_rng
    chained = perturbation("longside:200+jpeg:50")(photo, rng(0))
    stepwise = perturbation("jpeg:50")(perturbation("longside:200")(photo, rng(0)), rng(0))
    assert chained.tobytes() == stepwise.tobytes()


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "jpg:85",
        "jpeg",
        "jpeg:0",
        "jpeg:101",
        "jpeg:8.5",
        "blur:-1",
        "blur:nan",
        "resize:0",
        "crop:1.2",
        "align:288",
        "noise:x",
        "social:myspace",
        "screenshot:2",
        "jpeg:85+",
        "+",
        "resize:inf",
        "jpeg:90-50",
        "jpeg:50-",
        "jpeg:50-60-70",
        "longside:100-200.5",
        "resize:0.5-9",
        "redelivered",
        "redelivered:9",
        "mirror:2",
    ],
)
def test_nonsense_is_refused_in_words(spec):
    with pytest.raises(UsageError):
        perturbation(spec)


@pytest.mark.parametrize("spec", ["align:288,85", "resize:8"])
def test_extreme_shapes_are_an_image_error(spec):
    with pytest.raises(ImageError) as error:
        perturbation(spec)(Image.new("RGB", (2, 20_000)), np.random.default_rng(0))
    assert error.value.reason == "extreme_shape"


@pytest.mark.parametrize("spec", SPECS)
def test_a_single_pixel_survives(spec):
    got = perturbation(spec)(Image.new("RGB", (1, 1), "red"), np.random.default_rng(0))
    assert min(got.size) >= 1
