"""Residuals, isotropy, erasure and the transfer harness on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from morelli.errors import UsageError
from morelli.explanation._erasure import leace, one_hot, pca_basis, residual_basis
from morelli.explanation._isotropy import isoscore, isotropy, mean_cosine, partition_ratio, top_share
from morelli.explanation._residuals import fit_residual, permutation_null, residual, residuals
from morelli.explanation._transfer import difference, real_halves, transfer_matrix
from morelli.metrics import two_sample_auc


def cloud(rng, n, d, shift):
    return rng.normal(size=(n, d)) + 5 + np.asarray(shift)


# Residuals


def test_the_residual_points_along_the_planted_shift_and_is_significant():
    rng = np.random.default_rng(0)
    axis = np.zeros(20)
    axis[3] = 3.0
    r = residual(cloud(rng, 80, 20, axis), cloud(rng, 120, 20, 0), permutations=999)
    assert abs(r.direction[3]) > 0.9 and r.direction[3] > 0
    assert r.p_value == pytest.approx(1 / 1000)
    assert r.stability > 0.95
    assert np.linalg.norm(r.direction) == pytest.approx(1)


def test_p_values_are_uniform_when_there_is_nothing_to_find():
    values = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        values.append(residual(cloud(rng, 20, 8, 0), cloud(rng, 30, 8, 0), permutations=199, draws=2).p_value)
    assert 0.35 < np.mean(values) < 0.65
    assert np.mean(np.array(values) <= 0.05) < 0.15


def test_the_permutation_null_equals_relabelling_by_hand():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, 5)) + 1
    null = permutation_null(X, 4, np.random.default_rng(7), permutations=3)
    order = np.argsort(np.random.default_rng(7).random((3, 12)), axis=1)
    for k in range(3):
        fake, real = X[order[k, :4]], X[order[k, 4:]]
        means = []
        for part in (fake, real):
            m = (part / np.linalg.norm(part, axis=1, keepdims=True)).mean(axis=0)
            means.append(m / np.linalg.norm(m))
        assert null[k] == pytest.approx(np.linalg.norm(means[0] - means[1]))


def test_cosines_between_residuals_tell_relatives_from_strangers():
    rng = np.random.default_rng(0)
    a, b = np.eye(20)[0] * 3, np.eye(20)[1] * 3
    X = np.concatenate([cloud(rng, 200, 20, 0), *(cloud(rng, 60, 20, s) for s in (a, a, b))])
    y = np.r_[np.zeros(200), np.ones(180)]
    generator = np.array([""] * 200 + ["a1"] * 60 + ["a2"] * 60 + ["b"] * 60)
    found = residuals(X, y, generator, permutations=99)
    assert found.generators == ("a1", "a2", "b")
    assert found.cosine[0, 1] > 0.9 > 0.3 > abs(found.cosine[0, 2])
    assert (found.low <= found.high + 1e-12).all() and found.low[0, 1] > found.high[0, 2]
    matrix = transfer_matrix(X, y, generator, np.arange(len(X)), fit=fit_residual(), splits=1).mean
    assert matrix[0, 1] > 0.95 and matrix[0, 1] > matrix[0, 2] + 0.2


def test_the_midpoint_threshold_separates_what_is_separable():
    rng = np.random.default_rng(0)
    fake, real = cloud(rng, 50, 6, [9, 0, 0, 0, 0, 0]), cloud(rng, 50, 6, 0)
    r = residual(fake, real, permutations=9)
    assert r.predict(fake).mean() > 0.95 and r.predict(real).mean() < 0.05


# Isotropy


def test_isotropic_gaussians_score_high_and_lines_low():
    rng = np.random.default_rng(0)
    ball = isotropy(rng.normal(size=(20_000, 8)))
    line = isotropy(np.outer(rng.normal(size=500) + 4, np.ones(8)) + 1e-6 * rng.normal(size=(500, 8)))
    assert abs(ball.mean_cosine) < 0.01 and ball.partition_ratio > 0.97 and ball.isoscore > 0.99
    assert ball.top1_share == pytest.approx(1 / 8, abs=0.01)
    assert line.mean_cosine > 0.9 and line.partition_ratio < 0.3
    assert line.isoscore < 0.01 and line.top1_share > 0.999 and line.top10_share == pytest.approx(1)


def test_isotropy_does_not_depend_on_rotation_or_unit():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 6)) * [3, 2, 1, 1, 1, 1] + 1
    Q, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    for one, other in zip(
        isotropy(X).to_json().values(), isotropy(7 * X @ Q).to_json().values(), strict=True
    ):
        assert one == pytest.approx(other, rel=1e-8)


def test_mean_cosine_is_the_mean_over_all_pairs():
    X = np.random.default_rng(0).normal(size=(30, 5)) + 1
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    pairs = (unit @ unit.T)[~np.eye(30, dtype=bool)]
    assert mean_cosine(X) == pytest.approx(pairs.mean())


def test_isoscore_counts_the_dimensions_used():
    """The paper's reading: k of d dimensions used evenly scores (k − 1)/(d − 1)."""
    X = np.zeros((4000, 9))
    X[:, :3] = np.random.default_rng(0).normal(size=(4000, 3))
    assert isoscore(X) == pytest.approx(2 / 8, abs=0.01)


def test_isotropy_refuses_what_it_cannot_measure():
    with pytest.raises(UsageError, match="at least 2 rows"):
        isoscore(np.ones((1, 3)))
    with pytest.raises(UsageError, match="zero rows"):
        mean_cosine(np.zeros((3, 3)))
    with pytest.raises(UsageError, match="finite"):
        partition_ratio(np.full((3, 3), np.nan))
    with pytest.raises(UsageError, match="variance"):
        top_share(np.ones((3, 3)), 1)


# Erasure and bases


def test_leace_leaves_no_linear_trace_and_changes_as_little_as_it_can():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, size=600)
    X = rng.normal(size=(600, 12)) @ rng.normal(size=(12, 12)) + np.eye(12)[labels] * 3
    eraser = leace(X, one_hot(labels))
    Z = eraser(X)
    assert eraser.rank == 2
    assert LogisticRegression(max_iter=2000).fit(X, labels).score(X, labels) > 0.7
    probe = LogisticRegression(max_iter=2000, C=1e6).fit(Z, labels)
    assert probe.score(Z, labels) <= np.bincount(labels).max() / 600 + 0.01
    # Any other oblique erasure of the same means moves the points further: compare the orthogonal one.
    means = np.stack([X[labels == k].mean(axis=0) for k in range(3)])
    _, _, axes = np.linalg.svd(means - means.mean(axis=0))
    centred = X - X.mean(axis=0)
    metric = np.linalg.inv(centred.T @ centred / 600)  # LEACE is optimal in every norm, this one too
    plain = centred @ axes[:2].T @ axes[:2]
    cost = [np.einsum("ij,jk,ik->", m, metric, m) for m in (X - Z, plain)]
    assert cost[0] <= cost[1] + 1e-9


def test_bases_are_orthonormal_and_lead_with_what_they_promise():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 7)) * np.arange(7, 0, -1)
    directions = rng.normal(size=(3, 7))
    Q = residual_basis(directions, X)
    np.testing.assert_allclose(Q.T @ Q, np.eye(7), atol=1e-10)
    np.testing.assert_allclose(directions @ Q[:, 3:], 0, atol=1e-9)
    P = pca_basis(X)
    spread = ((X - X.mean(axis=0)) @ P).var(axis=0)
    assert (np.diff(spread) <= 1e-9).all()


# Transfer


def test_auc_equals_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    fake, real = rng.integers(0, 6, 50) + 1, rng.integers(0, 6, 70)
    expected = roc_auc_score(np.r_[np.ones(50), np.zeros(70)], np.r_[fake, real])
    assert two_sample_auc(fake, real) == pytest.approx(expected)


def test_real_groups_never_stand_on_both_sides():
    groups = np.repeat(list("abcdef"), [30, 10, 20, 5, 25, 10])
    for a, b in real_halves(groups, 5, np.random.default_rng(0)):
        assert not set(groups[a]) & set(groups[b])
        assert len(a) + len(b) == 100 and min(len(a), len(b)) >= 30
    with pytest.raises(UsageError, match="halved"):
        real_halves(np.repeat(["a", "b"], [95, 5]), 1, np.random.default_rng(0))


def test_paired_difference_knows_a_gain_from_none():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 10))
    y = np.r_[np.zeros(200), np.ones(300)]
    generator = np.array([""] * 200 + [f"g{k}" for k in range(6) for _ in range(50)])
    weak, strong = X.copy(), X.copy()
    weak[y == 1, 0] += 0.5
    strong[y == 1, 0] += 1.5
    one, two = (transfer_matrix(Z, y, generator, np.arange(500), splits=1) for Z in (weak, strong))
    gain = difference(two, one, np.random.default_rng(0))
    assert gain.low > 0.05 and gain.share == 1.0
    none = difference(one, one, np.random.default_rng(0))
    assert (none.value, none.low, none.high) == (0, 0, 0)
    assert np.isnan(np.diagonal(one.mean)).all()
    full = transfer_matrix(strong, y, generator, np.arange(500), splits=1, diagonal=True)
    assert full.diagonal() > 0.7
    low, high = two.interval(np.random.default_rng(0))
    assert low < two.off_diagonal() < high
