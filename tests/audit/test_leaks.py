"""A planted leak is found; different photographs are not called one."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from morelli.audit import leak_report
from morelli.errors import UsageError
from morelli.features import Features
from morelli.images import phash


@pytest.fixture(scope="module")
def planted(photos):
    """Photographs, half on either side; the third is on the test side too, smaller and as JPEG Q60."""
    images = [image.convert("RGB") for _, image in photos]
    buffer = io.BytesIO()
    copy = images[2].resize((images[2].width * 3 // 4, images[2].height * 3 // 4), Image.Resampling.BICUBIC)
    copy.save(buffer, "JPEG", quality=60)
    images.append(Image.open(buffer).convert("RGB"))
    n = len(images)
    rng = np.random.default_rng(0)
    features = Features.from_arrays(
        rng.normal(size=(n, 32)),
        labels=[0] * n,
        phash=[phash(image) for image in images],
        sha256=[hashlib.sha256(image.tobytes()).hexdigest() for image in images],
        uri=[f"photo{i}" for i in range(n)],
        source=[f"camera{i}" for i in range(n)],
    )
    return features, np.arange(0, n // 2), np.arange(n // 2, n)


def test_the_reencoded_image_is_found_and_nothing_else(planted):
    features, train, test = planted
    report = leak_report(features, train, test)
    assert not report.clean
    assert [(p.train_row, p.test_row, p.reason) for p in report.pairs] == [
        (2, len(features) - 1, "perceptual hash")
    ]
    assert leak_report(features, train, test[:-1]).clean
    assert "no leak" in str(leak_report(features, train, test[:-1]))


def test_equal_bytes_close_features_lineage_and_source_are_found():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(6, 64))
    X[5] = X[1] * 2 + 0.01 * rng.normal(size=64)
    features = Features.from_arrays(
        X,
        labels=[1, 1, 0, 1, 0, 0],
        sha256=["a", "b", "c", "a", "d", "e"],
        lineage=["x", "y", None, "y", None, None],
        source=[None, None, "coco", None, "coco", None],
    )
    report = leak_report(features, [0, 1, 2], [3, 4, 5], source=True)
    assert report.counts == {
        "same bytes": 1,
        "perceptual hash": 0,
        "feature cosine": 1,
        "lineage": 1,
        "source": 1,
    }
    by_reason = {p.reason: (p.train_row, p.test_row, p.name) for p in report.pairs}
    assert by_reason["same bytes"] == (0, 3, "")
    assert by_reason["feature cosine"] == (1, 5, "")
    assert by_reason["lineage"] == (1, 3, "y")
    assert by_reason["source"] == (2, 4, "coco")
    assert report.to_json()["clean"] is False
    with pytest.raises(UsageError, match="both sides"):
        leak_report(features, [], [1])


def test_pairs_are_capped_and_counts_are_not():
    features = Features.from_arrays(np.ones((40, 4)), labels=[1] * 40, sha256=[str(i) for i in range(40)])
    report = leak_report(features, np.arange(20), np.arange(20, 40), max_pairs=5)
    assert report.counts["feature cosine"] == 400
    assert sum(p.reason == "feature cosine" for p in report.pairs) == 5
