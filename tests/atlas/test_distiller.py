"""The distiller: what it learns from planted dimensions, how it stays the same, and what it is saved as."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from morelli.atlas.distiller import DistilledMap, Distiller, default_map_path
from morelli.atlas.distiller._activation import Activation
from morelli.atlas.distiller._cross import cross_distil
from morelli.atlas.distiller._matching import match_dimensions
from morelli.atlas.distiller._training import Layers, Objective
from morelli.detectors import Bundle, LinearProbe, cross_fit, default_bundle_path
from morelli.encoders import Build
from morelli.errors import ArtifactError, UsageError
from morelli.features import FeatureTable
from tests.torch_reference import torch_values

BUILD = Build("tiny", "0" * 64, "clip-224", "float32")
DEFAULT_DIGEST = "0e89c32e395a5e3b6bae4ae9dfbac99b92718bd80cee4d0360b51d3eacb6dd68"


def planted(seed: int = 0, n: int = 600, d: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows with three kinds of fake, each an axis of its own that is present or not; and those axes."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(np.random.default_rng(7).normal(size=(d, 3)))[0]
    y = np.repeat([0, 1], n // 2)
    kind = np.where(y == 1, rng.integers(0, 3, n), -1)
    present = np.stack([kind == k for k in range(3)], axis=1)
    return rng.normal(size=(n, d)) * 0.5 + 3 * present @ axes.T, y, present


@pytest.fixture(scope="module")
def fitted() -> Distiller:
    X, y, _ = planted()
    return Distiller(6, unit=False, random_state=0).fit(X, y)


def test_planted_kinds_are_dimensions_of_their_own(fitted: Distiller) -> None:
    X, _, present = planted(seed=1)
    Z = fitted.transform(X)[:, fitted.w_ > 0]
    r = np.corrcoef(np.column_stack([present, Z]), rowvar=False)[:3, 3:]
    best = r.argmax(axis=1)
    assert len(set(best)) == 3, "each kind has its own dimension"
    assert (r.max(axis=1) > 0.85).all()


def test_order_and_signs_stay_over_seeds(fitted: Distiller) -> None:
    X, y, _ = planted()
    other = Distiller(6, unit=False, random_state=5).fit(X, y)
    found = match_dimensions(fitted.transform(X), other.transform(X), signed=True)
    strong = fitted.share_ > 0.1
    assert strong.sum() >= 3
    assert (found.correlation[strong] > 0.9).all()
    assert (np.sign(other.w_[found.order]) == np.sign(fitted.w_))[strong].all()
    assert (np.diff(fitted.share_) <= 1e-12).all()
    again = Distiller(6, unit=False, random_state=0).fit(X, y)
    np.testing.assert_array_equal(again.A_, fitted.A_)


def test_orthogonality_keeps_dimensions_apart() -> None:
    X, y, _ = planted()

    def overlap(weight: float) -> float:
        Z = Distiller(6, unit=False, orthogonality=weight, distinctness=0, n_seeds=1).fit(X, y).transform(X)
        Z = Z / np.maximum(np.linalg.norm(Z, axis=0), 1e-12)
        gram = Z.T @ Z
        return float((gram - np.diag(np.diag(gram))).__pow__(2).mean())

    assert overlap(3.0) < 0.6 * overlap(0.0)


def test_dimensions_do_not_repeat_each_other_on_new_images() -> None:
    X, y, _ = planted()
    new, _, _ = planted(seed=1)

    def largest(weight: float) -> float:
        Z = Distiller(6, unit=False, distinctness=weight, n_seeds=1).fit(X, y).transform(new)
        r = np.abs(np.corrcoef(Z[:, Z.std(axis=0) > 1e-9], rowvar=False))
        return float(r[np.triu_indices(len(r), 1)].max())

    assert largest(30.0) < 0.5 < largest(0.0)


def test_what_is_fitted_is_a_matter_of_the_images() -> None:
    """The start has no seed: with the number of steps given, another seed changes nothing."""
    X, y, _ = planted(n=200)
    one, other = (Distiller(4, unit=False, max_steps=5, random_state=seed).fit(X, y) for seed in (0, 7))
    np.testing.assert_array_equal(one.A_, other.A_)
    assert ((one.stability_ > 0) & (one.stability_ <= 1)).all()


def test_noise_stops_early_and_structure_does_not() -> None:
    rng = np.random.default_rng(0)
    X, y, _ = planted()
    noise = Distiller(6, unit=False).fit(rng.normal(size=(200, 200)), rng.integers(0, 2, 200))
    assert noise.steps_ < Distiller(6, unit=False).fit(X, y).steps_
    assert noise.steps_ == 5 * (int(np.argmin(noise.held_out_loss_)) + 1)


@pytest.mark.parametrize("activation", ["relu", "identity", "tanh"])
def test_impacts_and_bias_are_the_logit(activation: str) -> None:
    X, y, _ = planted(n=120)
    model = Distiller(5, activation=activation, n_seeds=1).fit(X, y)
    made = model.to_map(BUILD)
    np.testing.assert_allclose(made.impacts(X).sum(axis=1) + made.bias, made.logits(X), atol=1e-5)
    np.testing.assert_allclose(made.logits(X), model.decision_function(X), atol=1e-9)


@pytest.mark.parametrize("activation", ["relu", "identity", "tanh"])
def test_gradient_is_that_of_the_loss(activation: str) -> None:
    rng = np.random.default_rng(1)
    layers = Layers(rng.normal(size=(7, 4)), rng.normal(size=4), rng.normal(size=4), np.asarray(0.2))
    X, y = rng.normal(size=(30, 7)), rng.integers(0, 2, 30).astype(float)
    pairs = (rng.normal(size=(9, 7)), rng.normal(size=(9, 7)))
    objective = Objective(activation, 0.3, 0.1, 2.0, pairs, distinctness=3.0, tolerated=0.05)
    weights = np.full(30, 1 / 30)
    _, gradient = objective.gradient(layers, X, y, weights)
    for i, part in enumerate(layers.parts()):
        step = rng.normal(size=part.shape)
        ends = []
        for sign in (1e-6, -1e-6):
            moved = list(layers.parts())
            moved[i] = part + sign * step
            ends.append(objective.gradient(Layers(*moved), X, y, weights)[0])
        slope = float((gradient.parts()[i] * step).sum())
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_a_map_comes_back_exactly(fitted: Distiller, tmp_path: Path) -> None:
    X, _, _ = planted(n=40)
    made = fitted.to_map(BUILD, record={"made": "by a test"}).renamed({0: "grid"})
    made.save(tmp_path / "map")
    read = DistilledMap.load(tmp_path / "map")
    np.testing.assert_array_equal(read.logits(X), made.logits(X))
    assert (read.names, read.build, read.record) == (made.names, BUILD, {"made": "by a test"})
    made.save(tmp_path / "map")
    with pytest.raises(UsageError, match="is no distilled map"):
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "letter.txt").write_text("mine")
        made.save(tmp_path / "other")


@pytest.mark.parametrize("damage", ["tensors", "weights", "version", "missing", "json"])
def test_damaged_maps_are_refused(fitted: Distiller, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "map"
    fitted.to_map(BUILD).save(folder)
    manifest, tensors = folder / "map.json", folder / "map.safetensors"
    if damage == "tensors":
        data = bytearray(tensors.read_bytes())
        data[-3] ^= 1
        tensors.write_bytes(bytes(data))
    elif damage == "missing":
        tensors.unlink()
    elif damage == "json":
        manifest.write_text("{")
    else:
        document = json.loads(manifest.read_text())
        document["bias" if damage == "weights" else "version"] = 99
        manifest.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="map"):
        DistilledMap.load(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e13])
@pytest.mark.parametrize("part", ["A", "b", "w", "bias"])
def test_numbers_that_would_spread_are_refused(fitted: Distiller, part: str, value: float) -> None:
    made = fitted.to_map(BUILD)
    wrong = np.array(getattr(made, part), dtype=float)
    wrong.flat[0] = value
    with pytest.raises(UsageError, match="holds a number"):
        replace(made, **{part: float(wrong) if part == "bias" else wrong})  # type: ignore[arg-type]


def test_a_group_is_never_seen_by_its_own_fold() -> None:
    X, y, _ = planted(n=120)
    groups = np.arange(120) // 6
    crossed = cross_distil(Distiller(3, unit=False, n_seeds=1), X, y, groups, n_folds=3)
    for group in set(groups):
        assert len(set(crossed.folds[groups == group])) == 1
    np.testing.assert_allclose(crossed.impacts.sum(axis=1) + crossed.bias, crossed.logits)


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("activation", ["tanh", "relu", "identity"])
def test_a_maps_gradients_are_those_of_autograd(activation: Activation, unit: bool) -> None:
    rng = np.random.default_rng(0)
    distilled = DistilledMap(
        kind="final",
        unit=unit,
        A=rng.normal(size=(9, 5)),
        b=rng.normal(size=5) / 4,
        activation=activation,
        w=rng.normal(size=5),
        bias=0.5,
        build=BUILD,
    )
    X = 3 * rng.normal(size=(6, 9))
    z, gradients = distilled.values_and_gradients(X)
    np.testing.assert_array_equal(z, distilled.values(X))
    x = torch.from_numpy(X).requires_grad_()
    theirs = torch_values(distilled)(x)
    np.testing.assert_allclose(z, theirs.detach(), atol=1e-12)
    for k in range(5):
        (expected,) = torch.autograd.grad(theirs[:, k].sum(), x, retain_graph=True)
        np.testing.assert_allclose(gradients[:, k], expected, atol=1e-12)
    # A feature of length zero has no direction; nothing is divided by zero.
    assert np.isfinite(distilled.values_and_gradients(np.zeros((1, 9)))[1]).all()


@pytest.mark.parametrize("activation", ["tanh", "relu", "identity"])
def test_the_folds_maps_give_the_values_held_out(activation: Activation) -> None:
    X, y, _ = planted(n=120)
    model = Distiller(3, unit=False, n_seeds=1, activation=activation)
    crossed = cross_distil(model, X, y, np.arange(120) // 6, n_folds=3)
    for fold, one in enumerate(crossed.fold_maps(BUILD)):
        out = crossed.folds == fold
        np.testing.assert_allclose(one.values(X[out]), crossed.values[out], atol=1e-9)
        np.testing.assert_allclose(one.impacts(X[out]), crossed.impacts[out], atol=1e-9)
        np.testing.assert_allclose(one.logits(X[out]), crossed.logits[out], atol=1e-9)


def test_distilled_ranks_as_the_linear_probe_does(table: FeatureTable) -> None:
    """Out of fold by photograph, on real pictures through the small real CLIP."""
    from sklearn.metrics import roc_auc_score

    features = table.load(kinds=["final"])
    X, y, groups = features.matrix("final"), features.labels.astype(int), features.groups()
    probe = cross_fit(LinearProbe(C="cv"), X, y, groups, 3, 0)
    crossed = cross_distil(Distiller(n_seeds=1), X, y, groups, n_folds=3)
    assert roc_auc_score(y, crossed.logits) >= roc_auc_score(y, probe.logits) - 0.02


def test_the_default_map_is_the_one_that_was_measured() -> None:
    made = DistilledMap.load(default_map_path())
    document = json.loads((default_map_path() / "map.json").read_text())
    assert document["digest"] == DEFAULT_DIGEST
    assert made.build == Bundle.load(default_bundle_path()).build
    assert (made.kind, made.n_dimensions, made.d) == ("final", 16, 512)
    assert made.record["held_out"] and made.record["words"]
    assert sum(file.stat().st_size for file in default_map_path().glob("map.*")) < 300_000
    X = np.random.default_rng(0).normal(size=(20, 512))
    np.testing.assert_allclose(made.impacts(X).sum(axis=1) + made.bias, made.logits(X), atol=1e-5)
