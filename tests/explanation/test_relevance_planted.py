"""Planted patterns, and how well a map finds them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from morelli.errors import UsageError
from morelli.explanation.relevance import as_input
from morelli.explanation.relevance._planted import coverage, localisation, plant, pointing_hits
from morelli.images import as_seen
from morelli.images.transforms import clip_transform


@pytest.mark.parametrize("pattern", ["checkerboard", "disc", "duplicate"])
def test_only_the_box_changes_and_the_encoder_sees_it_there(photos, pattern):
    transform = clip_transform(224)
    rng = np.random.default_rng(0)
    for _, photo in photos[:4]:
        planted = plant(photo, pattern, rng)
        left, top, right, bottom = planted.box
        before = np.asarray(as_input(photo)).astype(int)
        after = np.asarray(planted.image).astype(int)
        assert (right - left, bottom - top) == (32, 32)
        assert after.shape == before.shape == (224, 224, 3)
        changed = np.abs(after - before).sum(-1) > 0
        inside = np.zeros_like(changed)
        inside[top:bottom, left:right] = True
        assert not changed[~inside].any()
        assert changed[inside].mean() > 0.5
        # The transform neither resizes nor crops any more.
        seen = np.asarray(as_seen(transform(planted.image), transform)).astype(int)
        assert np.abs(seen - after).max() <= 1


def test_a_duplicate_stands_in_the_photograph_twice(photos):
    for seed, (_, photo) in enumerate(photos[:4]):
        planted = plant(photo, "duplicate", np.random.default_rng(seed), side=24)
        before = np.asarray(as_input(photo)).astype(int)
        left, top, right, bottom = planted.box
        piece = np.asarray(planted.image)[top:bottom, left:right].astype(int)
        windows = np.lib.stride_tricks.sliding_window_view(before, (24, 24), axis=(0, 1))
        same = (windows == piece.transpose(2, 0, 1)).all(axis=(2, 3, 4))
        assert same.any()


def test_places_are_drawn_by_the_generator(photos):
    image = photos[0][1]
    boxes = {plant(image, "disc", np.random.default_rng(seed)).box for seed in range(12)}
    assert len(boxes) > 8
    again = [plant(image, "disc", np.random.default_rng(3)) for _ in range(2)]
    assert again[0].box == again[1].box
    assert again[0].image.tobytes() == again[1].image.tobytes()


def test_coverage_is_area():
    whole = coverage((0, 0, 224, 224))
    np.testing.assert_allclose(whole, 1)
    part = coverage((8, 16, 40, 48)).reshape(14, 14)
    assert part.sum() * 16 * 16 == pytest.approx(32 * 32)
    np.testing.assert_allclose(part[1, :4], [0.5, 1, 0.5, 0])
    assert part[0].sum() == part[3].sum() == 0


def test_localisation_of_maps_with_a_known_answer():
    covered = coverage((32, 48, 64, 80))
    rng = np.random.default_rng(0)
    flat, perfect, nothing = np.ones(196), covered.copy(), np.zeros(196)
    found = localisation(np.stack([flat, perfect, nothing]), covered)
    np.testing.assert_allclose(found, [1, 196 / 4, 1])
    random = localisation(rng.random((500, 196)), covered)
    assert random.mean() == pytest.approx(1, abs=0.05)
    peaked = np.stack([perfect, np.eye(196)[0]])
    assert pointing_hits(peaked, covered).tolist() == [True, False]


def test_wrong_requests():
    image = Image.new("RGB", (300, 300))
    with pytest.raises(UsageError, match="pattern is one of"):
        plant(image, "stripes", np.random.default_rng(0))
    with pytest.raises(UsageError, match=r"8\.\.74"):
        plant(image, "disc", np.random.default_rng(0), side=100)
