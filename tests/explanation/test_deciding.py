"""The deciding logit as a sum: exact, from the same bias, by concepts and blocks and by where it was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from morelli.detectors import Bundle, ExpertProbe, LinearProbe, NearestNeighborDetector, Recipe, fit_bundle
from morelli.encoders import Encoder, load_encoder
from morelli.errors import ArtifactError, UsageError
from morelli.explanation._additive import bundle_space
from morelli.explanation._shipped_space import shipped_space
from morelli.explanation.concepts import ConceptBank
from morelli.explanation.deciding import (
    LogitSum,
    TypicalParts,
    expert_parts,
    logit_reading,
    logit_sums,
    shipped_typical_parts,
)
from morelli.features import Features

KINDS = ("layer:2", "layer:3", "headraw:2.1", "headraw:2.2", "headraw:3.1", "final")


@pytest.fixture(scope="module")
def encoder(tiny_clip_dir: Path) -> Encoder:
    return load_encoder(tiny_clip_dir)


@pytest.fixture(scope="module")
def pixels(encoder: Encoder, collection: Path) -> np.ndarray:
    files = [
        *sorted((collection / "real").rglob("*.png"))[:12],
        *sorted((collection / "fake").rglob("*.png"))[:12],
    ]
    return np.stack([encoder.transform(Image.open(file).convert("RGB")) for file in files])


@pytest.fixture(scope="module")
def features(encoder: Encoder, pixels: np.ndarray) -> Features:
    labels = np.arange(len(pixels)) // 12
    groups = [f"g{i % 4}" for i in range(len(pixels))]
    return Features.from_arrays(
        encoder.trace(pixels, kinds=KINDS),
        build=encoder.build,
        labels=labels,
        lineage=[g if label else None for g, label in zip(groups, labels, strict=True)],
        source=[None if label else g for g, label in zip(groups, labels, strict=True)],
        era=[("2018", "2024")[i % 2] if label else None for i, label in enumerate(labels)],
    )


def fitted(features: Features, estimator: object, kinds: Sequence[str] = KINDS) -> Bundle:
    recipe = Recipe(name="t", kinds=tuple(kinds), estimator=estimator, bank_kinds=("final",), n_draws=2)
    return fit_bundle(features, recipe).bundle


@pytest.fixture(scope="module")
def experts(features: Features) -> Bundle:
    return fitted(features, ExpertProbe(n_folds=2, C=0.1))


def total(one: LogitSum) -> float:
    return one.bias + sum(part.logit for part in one.parts)


def test_both_sums_are_the_logit_from_one_bias(
    experts: Bundle, features: Features, encoder: Encoder, pixels: np.ndarray
) -> None:
    real = features.take(features.labels == 0)
    d = encoder.dim
    bank = ConceptBank.of(["a", "b"], np.random.default_rng(0).normal(size=(2, d)), build=encoder.build)
    space = bundle_space(experts, bank, real)
    parts = [
        expert_parts(experts, features.take([i]), encoder, pixels[i])
        for i in np.flatnonzero(features.labels == 0)
    ]
    typical = TypicalParts.of(parts)
    sums = logit_sums(experts, features, space)
    logits = experts.logits(features)
    assert experts.head is not None and len(np.atleast_2d(experts.head.weights)) == 2
    readings = [
        logit_reading(experts, features.take([i]), encoder, pixels[i], typical) for i in range(len(features))
    ]
    for one, reading, logit in zip(sums, readings, logits, strict=True):
        assert one.logit == logit and reading.sum.logit == pytest.approx(logit, abs=1e-9)
        assert total(one) == pytest.approx(logit, abs=1e-9)
        assert total(reading.sum) == pytest.approx(logit, abs=1e-9)
        assert reading.sum.bias == pytest.approx(one.bias, abs=1e-4)
        assert abs(reading.rounding) < 1e-4
        picture = sum(part.logit for part in reading.sum.parts if part.name.startswith("Picture"))
        assert reading.map.sum() == pytest.approx(picture, abs=1e-9)
        assert {
            *("a", "b", "Block 2", "Block 3", "Heads of block 2", "Heads of block 3"),
            "Final embedding, without a name",
        } >= {part.name for part in one.parts if part.amount is None}
    # Beside what is typical: over the real images the experts' maps are zero in the mean.
    means = np.mean([each.patches - typical.patches for each in parts], axis=0)
    assert np.abs(means).max() < 1e-9
    # What a sum starts with is what its weights give the mean real image.
    weights, biases = experts.head.local(features.matrix(KINDS))
    mean = real.matrix(KINDS).astype(float).mean(axis=0)
    np.testing.assert_allclose([one.bias for one in sums], biases + weights @ mean, atol=1e-9)


@pytest.mark.parametrize("unit", [False, True])
def test_a_linear_head_is_one_expert(
    features: Features, encoder: Encoder, pixels: np.ndarray, unit: bool
) -> None:
    bundle = replace(fitted(features, LinearProbe(C=0.1), ["layer:3"]), unit=unit)
    (one,) = logit_sums(bundle, features.take([3]))
    reading = logit_reading(bundle, features.take([3]), encoder, pixels[3])
    assert one.bias == reading.sum.bias == bundle.head.bias  # type: ignore[union-attr]
    for found in (one, reading.sum):
        assert total(found) == pytest.approx(bundle.logits(features)[3], abs=1e-4)
    assert [part.name for part in one.parts] == ["Block 3"]


def test_typical_parts_are_kept_checked_and_bound_to_their_detector(
    experts: Bundle, features: Features, encoder: Encoder, pixels: np.ndarray, tmp_path: Path
) -> None:
    experts.save(tmp_path / "bundle")
    bundle = Bundle.load(tmp_path / "bundle")
    typical = TypicalParts.of([expert_parts(bundle, features.take([0]), encoder, pixels[0])])
    moved = typical.starting_at(np.array([1.0, 2.0]))
    np.testing.assert_allclose(moved.total, [1.0, 2.0])
    path = moved.save(bundle, 1, tmp_path)
    kept = shipped_typical_parts(bundle, tmp_path)
    assert kept is not None
    np.testing.assert_array_equal(kept.patches, typical.patches)
    assert shipped_typical_parts(replace(bundle, name="other"), tmp_path) is None
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ArtifactError, match="install Morelli again"):
        shipped_typical_parts(bundle, tmp_path)


def test_the_shipped_parts_start_where_the_shipped_concepts_do() -> None:
    from morelli.detectors import default_bundle_path

    bundle = Bundle.load(default_bundle_path())
    typical, space = shipped_typical_parts(bundle), shipped_space(bundle)
    assert typical is not None and space is not None and bundle.head is not None
    np.testing.assert_allclose(typical.total, bundle.head.weights @ space.reference, atol=1e-9)
    assert typical.patches.shape == (2, 12, 196)


def test_what_cannot_be_taken_apart_is_refused(
    experts: Bundle, features: Features, encoder: Encoder, pixels: np.ndarray
) -> None:
    near = fitted(features, NearestNeighborDetector(k=3), ["final"])
    with pytest.raises(UsageError, match="nearest neighbours"):
        logit_sums(near, features)
    with pytest.raises(UsageError, match="one image"):
        logit_reading(experts, features, encoder, pixels[0])
    far = int(np.argmax(np.abs(experts.logits(features) - experts.logits(features)[0])))
    with pytest.raises(UsageError, match="pixels are not those"):
        logit_reading(experts, features.take([0]), encoder, pixels[far])
