"""The real CLIP ViT-B/16, on few images."""

from __future__ import annotations

import numpy as np
import pytest

from morelli.encoders import TextBank, encoder_for_build, load_encoder
from morelli.encoders.store import info, pull, verify
from morelli.errors import UsageError, WeightsError

pytestmark = pytest.mark.encoder


def _cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.fixture(scope="module")
def photo_vectors(real_encoder, photos):
    return real_encoder.encode(np.stack([real_encoder.transform(image) for _, image in photos]))


@pytest.mark.slow
def test_a_vector_is_the_same_in_batches_of_1_7_and_32(real_encoder, photos):
    # Tiles of the photographs, so that 32 different real pictures make up the batch.
    tiles = []
    for _, image in photos:
        w, h = image.size
        boxes = [
            (0, 0, w // 2, h // 2),
            (w // 2, 0, w, h // 2),
            (0, h // 2, w // 2, h),
            (w // 4, h // 4, w, h),
        ]
        tiles += [image.crop(box) for box in boxes]
    batch = np.stack([real_encoder.transform(tile) for tile in tiles[:32]])
    by_32 = real_encoder.encode(batch)
    by_7 = real_encoder.encode(batch[:7])
    by_1 = np.concatenate([real_encoder.encode(batch[i : i + 1]) for i in (0, 3, 6)])
    assert _cosines(by_7, by_32[:7]).min() >= 0.999999
    assert _cosines(by_1, by_32[[0, 3, 6]]).min() >= 0.999999
    # The pictures themselves differ, so that this says something.
    assert _cosines(by_32[:1].repeat(31, axis=0), by_32[1:]).max() < 0.99


@pytest.mark.shared
def test_known_answers_among_171_names(shared_data, photos, photo_vectors):
    bank = TextBank.load(shared_data / "text_bank.npz")
    assert len(bank) == 191
    coco = bank.select([i for i, source in enumerate(bank.source) if "coco" in source])
    expected = {
        "astronaut": "person",
        "chelsea": "cat",
        "coffee": "cup",
        "motorcycle_left": "motorcycle",
        "motorcycle_right": "motorcycle",
        "flower": "flower",
    }
    nearest = coco.similarities(photo_vectors).argmax(axis=1)
    answers = {name: coco.names[k] for (name, _), k in zip(photos, nearest, strict=True)}
    assert {name: answers[name] for name in expected} == expected


def test_the_cached_weights_are_what_is_pinned(real_encoder):
    assert real_encoder.checkpoint.origin.startswith("package-index")
    assert real_encoder.build.weights.startswith("2d2da5e2")
    assert real_encoder.build.fingerprint == "7d982e376b18b885"
    stored = pull("clip-vit-b16", offline=True)
    assert stored.sha256 == real_encoder.build.weights
    assert [entry.source for entry in info("clip-vit-b16").stored].count(stored.source) == 1
    assert all(check.problem is None for check in verify("clip-vit-b16", lambda message, fraction: None))


def test_a_bundle_finds_its_encoder_offline(real_encoder):
    again = encoder_for_build(real_encoder.build, offline=True)
    assert again.build == real_encoder.build


def test_nothing_cached_is_said_plainly(empty_cache):
    assert info("clip-vit-l14").stored == ()
    with pytest.raises(WeightsError, match="morelli encoders pull clip-vit-l14"):
        verify("clip-vit-l14")
    with pytest.raises(UsageError, match="Registered are"):
        info("nope")


def test_bfloat16_stays_close(real_encoder, photos, photo_vectors):
    coarse = load_encoder("clip-vit-b16", dtype="bfloat16", offline=True)
    batch = np.stack([coarse.transform(image) for _, image in photos[:3]])
    assert _cosines(coarse.encode(batch), photo_vectors[:3]).min() > 0.999
