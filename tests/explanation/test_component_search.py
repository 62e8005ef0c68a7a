"""Planted harm is found and removed; noise is not mistaken for gain."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from morelli.errors import UsageError
from morelli.explanation._transfer import difference, discriminant, transfer_matrix
from morelli.explanation.components import ComponentMask
from morelli.explanation.components._mask import fit_masked

CLEAN, PLANTED, GENERATORS = 32, np.arange(32, 48), 10
OPTIONS = {"folds": 3, "stride": 3, "patience": 30, "max_steps": 36}


def features(rng: np.random.Generator, *, harm: bool, signal: float = 0.35):
    """Reals and fakes that share a signal in 16 of 32 components; 16 more shift each generator its own way.

    In a harmful component half of the generators, drawn again for each component, shift up and half down.
    """
    n0, n1, generators = 300, 50, GENERATORS
    d = CLEAN + (len(PLANTED) if harm else 0)
    signs = np.stack([rng.permutation(np.repeat([-1, 1], generators // 2)) for _ in PLANTED])
    real = rng.normal(size=(n0, d))
    fakes, generator = [], [""] * n0
    for g in range(generators):
        fake = rng.normal(size=(n1, d))
        fake[:, :16] += signal
        if harm:
            fake[:, PLANTED] += 1.5 * signs[:, g]
        fakes.append(fake)
        generator += [f"g{g}"] * n1
    X = np.concatenate([real, *fakes])
    y = np.r_[np.zeros(n0), np.ones(n1 * generators)].astype(int)
    groups = np.where(y == 0, np.arange(len(y)) % 20, -1)
    return X, y, np.array(generator, dtype=object), groups


@pytest.fixture(scope="module")
def planted():
    return features(np.random.default_rng(0), harm=True)


def test_planted_harm_is_found_and_transfer_restored(planted):
    X, y, generator, groups = planted
    masks: dict = {}
    harmed = transfer_matrix(X, y, generator, groups, splits=1)
    clean = transfer_matrix(X[:, :CLEAN], y, generator, groups, splits=1)
    nested = transfer_matrix(
        X, y, generator, groups, splits=1, fit=fit_masked(X, y, generator, groups, masks=masks, **OPTIONS)
    )
    assert harmed.off_diagonal() < clean.off_diagonal() - 0.1  # the harm is real
    assert nested.off_diagonal() > clean.off_diagonal() - 0.01
    found = [np.isin(PLANTED, mask.removed_).mean() for mask in masks.values()]
    assert len(found) == 2 * GENERATORS  # one mask per held-out generator and half of the reals
    assert min(found) >= 0.9


def test_forward_search_keeps_planted_harm_out(planted):
    X, y, generator, groups = planted
    mask = ComponentMask(method="forward", controls=0, **OPTIONS).fit(
        X, y, generator=generator, groups=groups
    )
    assert 3 <= len(mask.kept_) <= CLEAN + 2
    assert np.isin(mask.kept_, PLANTED).mean() <= 0.1
    assert mask.order_.tolist() != sorted(mask.order_.tolist())  # the order of entry, not of index


def test_noise_gives_no_gain_when_nested_but_a_gain_when_naive():
    X, y, generator, groups = features(np.random.default_rng(1), harm=False, signal=0.0)
    base = transfer_matrix(X, y, generator, groups, splits=1)
    nested = transfer_matrix(
        X, y, generator, groups, splits=1, fit=fit_masked(X, y, generator, groups, **OPTIONS)
    )

    # Naive: the components are chosen on the very generators and reals that are then tested.
    mask = ComponentMask(n_removed=16).fit(X, y, generator=generator, groups=groups)

    def naive_fit(fake, real, context):
        w = discriminant(mask.transform(fake), mask.transform(real))
        return lambda Z: mask.transform(Z) @ w

    naive = transfer_matrix(X, y, generator, groups, splits=1, fit=naive_fit)
    rng = np.random.default_rng(0)
    assert difference(naive, base, rng).low > 0.02
    honest = difference(nested, base, rng)
    assert abs(honest.value) < 0.015
    assert honest.low <= 0 <= honest.high


@pytest.mark.parametrize("basis", ["pca", "residual"])
def test_rotated_bases_are_orthonormal_and_the_mask_is_linear(planted, basis):
    X, y, generator, groups = planted
    mask = ComponentMask(basis=basis, n_removed=5).fit(X, y, generator=generator, groups=groups)
    np.testing.assert_allclose(mask.basis_.T @ mask.basis_, np.eye(48), atol=1e-9)
    assert mask.transform(X).shape == (len(X), 43)
    np.testing.assert_allclose(mask.transform(X[:3]), (X[:3] / mask.scale_) @ mask.basis_[:, mask.kept_])


def test_disagreement_ranks_the_planted_components_first(planted):
    X, y, generator, groups = planted
    mask = ComponentMask("disagreement", n_removed=len(PLANTED)).fit(X, y, generator=generator, groups=groups)
    # Components without signal disagree too; what must not happen is that shared signal goes first.
    assert np.isin(mask.removed_, np.arange(16)).mean() <= 0.1
    assert np.isin(mask.removed_, PLANTED).sum() >= 6


def test_leace_of_the_generator_leaves_fakes_of_all_generators_with_one_mean(planted):
    X, y, generator, groups = planted
    mask = ComponentMask(method="leace-generator").fit(X, y, generator=generator, groups=groups)
    Z = mask.transform(X)
    means = np.stack([Z[generator == f"g{g}"].mean(axis=0) for g in range(GENERATORS)])
    np.testing.assert_allclose(means, means[:1].repeat(GENERATORS, axis=0), atol=1e-6)
    assert mask.rank_ == 48 - (GENERATORS - 1)


def test_random_control_stands_beside_the_search(planted):
    X, y, generator, groups = planted
    mask = ComponentMask(n_removed=16).fit(X, y, generator=generator, groups=groups)
    mean, low, high = mask.control_
    assert low <= mean <= high < mask.control_reference_
    assert mask.to_json()["kept"] == 32 and mask.criterion_ == "surrogate"


def test_it_is_a_transformer_and_says_what_is_wrong(planted):
    X, y, generator, groups = planted
    assert clone(ComponentMask("variance", n_removed=3)).get_params()["n_removed"] == 3
    mask = ComponentMask(method="variance", n_removed=0).fit(X, y, generator=generator, groups=groups)
    assert mask.kept_.tolist() == list(range(48))
    with pytest.raises(UsageError, match="48 components; got 47"):
        mask.transform(X[:, :47])
    with pytest.raises(UsageError, match="Unknown method"):
        ComponentMask(method="best").fit(X, y, generator=generator, groups=groups)
    with pytest.raises(UsageError, match="Unknown basis"):
        ComponentMask(basis="fourier").fit(X, y, generator=generator, groups=groups)
    with pytest.raises(UsageError, match="n_removed"):
        ComponentMask(n_removed=48).fit(X, y, generator=generator, groups=groups)
