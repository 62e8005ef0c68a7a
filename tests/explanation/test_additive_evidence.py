"""Additive evidence and faithfulness: parts sum exactly, and the detector follows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from morelli.detectors import Bundle, LinearProbe, Recipe, default_bundle_path, fit_bundle
from morelli.errors import ArtifactError, BuildMismatchError, UsageError
from morelli.explanation import (
    ConceptSpace,
    bundle_evidence,
    bundle_faithfulness,
    bundle_space,
    shipped_space,
)
from morelli.explanation._additive import additive_evidence
from morelli.explanation._faithfulness import concept_faithfulness
from morelli.explanation._shipped_space import save_typical
from morelli.explanation.concepts import ConceptBank, default_concepts_path
from morelli.features import Features

D = 24


def world(seed: int = 0, n: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (n, D) around a common mean; fakes are moved along axis 2 and a little along axis 9."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    X = np.r_[np.zeros(D - 1), 6.0] + rng.normal(size=(n, D))
    X[:, 2] += 1.6 * y
    X[:, 9] += 0.5 * y
    return X, y


def bank(kind: str = "final") -> ConceptBank:
    directions = np.eye(D)[[2, 5, 9]]
    directions[1, 2] = 0.4  # two of the three resemble each other, as edits do
    return ConceptBank.of(["dotted", "striped", "round"], directions, kind=kind)


@pytest.mark.parametrize("ridge", [0.0, 0.05, 2.0])
def test_bias_parts_and_rest_sum_to_the_logit(ridge: float) -> None:
    X, y = world()
    rng = np.random.default_rng(1)
    w, b = 3 * rng.normal(size=D), 0.7
    space = ConceptSpace.of(bank(), ["final"], [D], X[y == 0], ridge=ridge)
    for one, row in zip(additive_evidence(X, w, b, space), X, strict=True):
        assert one.logit == pytest.approx(row @ w + b, abs=1e-9)
        assert one.bias + one.named + one.rest == pytest.approx(one.logit, abs=1e-6)
        assert one.bias == pytest.approx(X[y == 0].mean(axis=0) @ w + b)
        sizes = [abs(part.logit) for part in one.parts]
        assert sizes == sorted(sizes, reverse=True)
        assert all(part.amount >= 0 for part in one.parts)


def test_a_part_is_what_the_logit_loses_when_the_concept_is_removed() -> None:
    X, y = world()
    w = np.random.default_rng(1).normal(size=D)
    space = ConceptSpace.of(bank(), ["final"], [D], X[y == 0])
    found = additive_evidence(X[:5], w, 0.0, space)
    for name in space.names:
        changed = (X[:5] - space.displacement(X[:5], name)) @ w
        for one, now in zip(found, changed, strict=True):
            part = next(p for p in one.parts if p.name in (name, f"not {name}"))
            assert one.logit - now == pytest.approx(part.logit, abs=1e-9)


def test_the_concept_that_the_detector_uses_is_faithful_and_an_unused_one_is_not() -> None:
    X, y = world(n=400)
    probe = LinearProbe(C=1.0).fit(X, y)
    w = probe.coef_[0]
    space = ConceptSpace.of(ConceptBank.of(["dotted", "idle"], np.eye(D)[[2, 20]]), ["final"], [D], X[y == 0])
    used, idle = (
        concept_faithfulness(X, probe.decision_function, w, space, name, draws=300)
        for name in ("dotted", "idle")
    )
    assert used.faithful
    assert used.error < 1e-8
    assert used.p_value < 0.02
    assert used.moved > 2 * used.control_moved.mean()
    assert not idle.faithful
    assert idle.p_value > 0.2
    isotropic = concept_faithfulness(
        X, probe.decision_function, w, space, "dotted", control="isotropic", draws=300
    )
    assert isotropic.faithful
    with pytest.raises(UsageError, match="control"):
        concept_faithfulness(X, probe.decision_function, w, space, "dotted", control="none")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no concept 'missing'"):
        concept_faithfulness(X, probe.decision_function, w, space, "missing")


def test_evidence_from_the_wrong_head_is_caught() -> None:
    """The detector does not listen to what the weights claim: prediction and observation part."""
    X, y = world(n=400)
    w = LinearProbe(C=1.0).fit(X, y).coef_[0]
    space = ConceptSpace.of(bank(), ["final"], [D], X[y == 0])

    def other(Z: np.ndarray) -> np.ndarray:
        return np.asarray(4 * np.abs(Z[:, 2] - X[:, 2].mean()) - 3)

    outcome = concept_faithfulness(X, other, w, space, "dotted", draws=100)
    assert outcome.error > 1
    assert not outcome.faithful


def features(kinds: tuple[str, ...] = ("final",)) -> Features:
    X, y = world(n=200)
    rng = np.random.default_rng(7)
    vectors = {kind: X + 0.3 * i * rng.normal(size=X.shape) for i, kind in enumerate(kinds)}
    lineage = [f"g{i % 8}" if label else None for i, label in enumerate(y)]
    source = [None if label else f"s{i % 8}" for i, label in enumerate(y)]
    return Features.from_arrays(vectors, labels=y, generator=lineage, lineage=lineage, source=source)


@pytest.mark.parametrize("kinds", [("final",), ("layer:2", "layer:3")])
def test_a_fitted_bundle_is_explained_and_put_to_the_test(kinds: tuple[str, ...], tmp_path: Path) -> None:
    data = features(kinds)
    bundle = fit_bundle(
        data, Recipe(name="t", kinds=kinds, estimator=LinearProbe(C=1.0), bank_kinds=kinds)
    ).bundle
    real = data.take(data.labels == 0)
    space = bundle_space(bundle, [bank(kind) for kind in kinds], real)
    assert space.names == ("dotted", "striped", "round")
    assert len(space.directions) == 3 * len(kinds)
    found = bundle_evidence(bundle, data, space)
    np.testing.assert_allclose([one.logit for one in found], bundle.logits(data), atol=1e-5)
    np.testing.assert_allclose(
        [one.bias + one.named + one.rest for one in found], bundle.logits(data), atol=1e-5
    )
    fakes = [one for one, label in zip(found, data.labels, strict=True) if label == 1]
    assert sum(one.parts[0].name == "dotted" and one.parts[0].logit > 0 for one in fakes) > 0.6 * len(fakes)
    outcome = bundle_faithfulness(bundle, data, space, ["dotted"], draws=100)[0]
    assert outcome.faithful
    assert outcome.error < 1e-4
    fake = data.labels == 1
    alone = bundle_faithfulness(bundle, data.take(fake), space, ["dotted"], draws=50)[0]
    assert alone.probability_change < -0.1
    assert expit(0.0) == 0.5
    document = outcome.to_json()
    assert document["faithful"] is True
    assert "random directions" in outcome.sentence()


def test_other_spaces_and_neighbour_bundles_are_refused() -> None:
    data = features()
    recipe = Recipe(name="t", kinds=("final",), estimator=LinearProbe(C=1.0), bank_kinds=("final",))
    bundle = fit_bundle(data, recipe).bundle
    with pytest.raises(UsageError, match="layer:9"):
        bundle_space(bundle, bank("layer:9"), data)
    with pytest.raises(BuildMismatchError):
        bundle_space(bundle, ConceptBank.of(["a"], np.eye(3)[:1]), data)
    from morelli.detectors import NearestNeighborDetector

    near = fit_bundle(
        data,
        Recipe(name="k", kinds=("final",), estimator=NearestNeighborDetector(k=3), bank_kinds=("final",)),
    ).bundle
    with pytest.raises(UsageError, match="nearest neighbours"):
        bundle_space(near, bank(), data)


def test_what_is_typical_can_be_kept_without_the_images(tmp_path: Path) -> None:
    data = features(("layer:3", "final"))
    recipe = Recipe(name="t", kinds=("layer:3", "final"), estimator=LinearProbe(C=1.0), bank_kinds=("final",))
    fit_bundle(data, recipe).bundle.save(tmp_path / "bundle")
    bundle, real = Bundle.load(tmp_path / "bundle"), data.take(data.labels == 0)
    bank().save(tmp_path / "bank")
    save_typical(bundle, real, tmp_path / "bank")
    kept = shipped_space(bundle, tmp_path / "bank")
    assert kept is not None
    for one, other in zip(
        bundle_evidence(bundle, data, kept),
        bundle_evidence(bundle, data, bundle_space(bundle, bank(), real)),
        strict=True,
    ):
        assert one.bias == pytest.approx(other.bias, abs=1e-4)
        by_name = {part.name: part.logit for part in other.parts}
        assert {part.name: part.logit for part in one.parts} == pytest.approx(by_name, abs=1e-4)
    assert shipped_space(Bundle.load(default_bundle_path()), tmp_path / "bank") is None
    (tmp_path / "bank" / "typical-real.safetensors").write_bytes(b"cut")
    with pytest.raises(ArtifactError, match="typical-real"):
        shipped_space(bundle, tmp_path / "bank")


def test_the_shipped_concepts_fit_the_shipped_detector() -> None:
    bundle = Bundle.load(default_bundle_path())
    space = shipped_space(bundle)
    assert space is not None and bundle.head is not None
    assert set(space.names) == set(ConceptBank.load(default_concepts_path()).names)
    X = space.reference + np.random.default_rng(0).normal(0, 0.1, (3, len(space.reference)))
    weights, biases = bundle.head.local(X)
    for one, logit in zip(additive_evidence(X, weights, biases, space), bundle.head.logits(X), strict=True):
        assert one.bias + one.named + one.rest == pytest.approx(logit)
