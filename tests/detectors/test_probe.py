"""The linear probe finds scikit-learn's optimum, chooses C without splitting groups, and folds to weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from morelli.detectors import LinearProbe, _logistic, balanced_weights, cross_fit, grouped_folds
from morelli.detectors._linear_head import fold_affine
from morelli.detectors._weights import draw_weights
from morelli.errors import UsageError
from morelli.metrics.resampling import group_draws


def problem(n: int, d: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * rng.uniform(0.1, 5, d) + rng.normal(size=d) * 3
    y = (
        X[:, :3] @ [1.0, -0.5, 0.2] + rng.normal(size=n) * 2 > np.median(X[:, :3] @ [1.0, -0.5, 0.2])
    ).astype(int)
    return X, y, rng.integers(0, 12, n).astype(str)


@pytest.mark.parametrize(("n", "d"), [(200, 20), (60, 300)])
@pytest.mark.parametrize("C", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_optimum_is_scikit_learns(n: int, d: int, C: float, weighted: bool) -> None:
    X, y, _ = problem(n, d)
    weight = np.random.default_rng(1).uniform(0, 3, n) if weighted else None
    ours = LinearProbe(C=C, class_weight=None).fit(X, y, sample_weight=weight)
    scaler = StandardScaler().fit(X)
    theirs = LogisticRegression(C=C, tol=1e-12, max_iter=100_000)
    theirs.fit(scaler.transform(X), y, sample_weight=weight)
    np.testing.assert_allclose(ours.coef_[0] * scaler.scale_, theirs.coef_[0], atol=1e-4)
    np.testing.assert_allclose(
        ours.decision_function(X), theirs.decision_function(scaler.transform(X)), atol=1e-4
    )
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(scaler.transform(X)), atol=1e-4)


@pytest.mark.parametrize(("n", "d", "rank"), [(400, 60, 60), (90, 300, 300), (300, 80, 5)])
@pytest.mark.parametrize("C", [1e-4, 1.0])
def test_leading_directions_alone_lead_to_the_same_optimum(
    n: int, d: int, rank: int, C: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of wide features of many images only some axes are found; columns may depend on each other."""
    monkeypatch.setattr(_logistic, "MOST_AXES", 50)
    monkeypatch.setattr(_logistic, "LEADING", 16)
    X, y, _ = problem(n, d)
    X = X[:, :rank] @ np.random.default_rng(2).normal(size=(rank, d)) if rank < d else X
    ours = LinearProbe(C=C, class_weight=None, tol=1e-9).fit(X, y)
    assert _logistic.rotate(X).axes is None
    scaler = StandardScaler().fit(X)
    theirs = LogisticRegression(C=C, tol=1e-12, max_iter=100_000).fit(scaler.transform(X), y)
    np.testing.assert_allclose(
        ours.decision_function(X), theirs.decision_function(scaler.transform(X)), atol=1e-4
    )


def test_a_spread_divides_as_its_covariance_does() -> None:
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(9, 3)))[0]
    along, across, total = np.array([4.0, 2.0, 1.0]), 0.3, np.array([0.5, 7.0])
    covariance = (directions * along) @ directions.T + across * (np.eye(9) - directions @ directions.T)
    vectors = rng.normal(size=(9, 2))
    expected = [np.linalg.solve(np.eye(9) + t * covariance, v) for t, v in zip(total, vectors.T, strict=True)]
    found = _logistic.Spread(along, directions, across).divide(vectors, total)
    np.testing.assert_allclose(found.T, expected, atol=1e-12)


def test_unstandardised_and_class_balanced_equal_scikit_learn() -> None:
    X, y, _ = problem(150, 10, 3)
    keep = np.flatnonzero((y == 0) | (np.arange(150) % 3 == 0))
    X, y = X[keep], y[keep]
    ours = LinearProbe(C=0.05, standardize=False).fit(X, y)
    theirs = LogisticRegression(C=0.05, class_weight="balanced", tol=1e-12, max_iter=100_000).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-4)


def test_grouped_choice_of_c_resists_group_shortcuts() -> None:
    """Features that only recognise the group are worthless outside it, and only grouped folds see that."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 12)
    y = (groups % 2).astype(int)
    X = np.concatenate(
        [
            rng.normal(size=(20, 60))[groups] + 0.1 * rng.normal(size=(240, 60)),
            rng.normal(size=(240, 1)) + y[:, None],
        ],
        axis=1,
    )
    alone = LinearProbe().fit(X, y)
    kept = LinearProbe().fit(X, y, groups=groups)
    assert kept.C_ < alone.C_
    fresh = np.concatenate(
        [rng.normal(size=(400, 60)), rng.normal(size=(400, 1)) + (np.arange(400) % 2)[:, None]], 1
    )
    truth = np.arange(400) % 2
    assert roc_auc_score(truth, kept.decision_function(fresh)) >= roc_auc_score(
        truth, alone.decision_function(fresh)
    )


@pytest.mark.parametrize("scoring", ["log_loss", "roc_auc"])
def test_held_out_scores_of_the_path_are_those_of_separate_fits(scoring: str) -> None:
    X, y, groups = problem(120, 15, 5)
    grid = (1e-3, 1e-2, 1e-1)
    probe = LinearProbe(grid=grid, scoring=scoring, n_folds=4, standardize=False).fit(X, y, groups=groups)
    folds = grouped_folds(y, groups, 4, 0)
    weights = balanced_weights(y)
    for C, score in zip(grid, probe.cv_scores_, strict=True):
        z = np.zeros(len(y))
        for fold in range(4):
            rest = folds != fold
            model = LogisticRegression(C=C, tol=1e-12, max_iter=100_000)
            z[~rest] = model.fit(X[rest], y[rest], sample_weight=weights[rest]).decision_function(X[~rest])
        if scoring == "roc_auc":
            assert score == pytest.approx(roc_auc_score(y, z, sample_weight=weights), abs=2e-3)
        else:
            assert -score == pytest.approx(np.average(np.logaddexp(0, z) - y * z, weights=weights), abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9), st.booleans())
def test_folds_keep_groups_whole(seed: int, n_folds: int, by_source: bool) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 80)
    groups = np.array([f"{label}-{g}" for label, g in zip(y, rng.integers(0, 9, 80), strict=True)])
    names = groups if by_source else np.arange(80)
    folds = grouped_folds(y, names, n_folds, seed)
    for group in np.unique(names):
        assert len(np.unique(folds[names == group])) == 1
    assert set(folds) == set(range(folds.max() + 1))
    assert (folds == grouped_folds(y, names, n_folds, seed)).all()


def test_too_few_groups_say_so() -> None:
    with pytest.raises(UsageError, match="two groups of each class"):
        grouped_folds([0, 0, 1, 1], ["a", "a", "b", "c"], 5)


def test_out_of_fold_scores_come_from_estimators_that_never_saw_the_group() -> None:
    X, y, groups = problem(90, 6, 2)
    crossed = cross_fit(LinearProbe(C=0.1), X, y, groups, 3, 0)
    for fold, one in enumerate(crossed.estimators):
        held_out = crossed.folds == fold
        assert not set(groups[held_out]) & set(groups[~held_out])
        np.testing.assert_array_equal(crossed.logits[held_out], one.decision_function(X[held_out]))
        again = LinearProbe(C=0.1).fit(X[~held_out], y[~held_out])
        np.testing.assert_allclose(one.coef_, again.coef_, rtol=1e-9)


@pytest.mark.parametrize(("by_group", "power"), [("image", 1.0), ("sqrt", 0.5), ("equal", 0.0)])
def test_a_group_of_m_images_counts_as_told(by_group: str, power: float) -> None:
    sizes = {"a": 1, "b": 4, "c": 16, "d": 9, "e": 25}
    groups = np.concatenate([[name] * size for name, size in sizes.items()])
    y = np.isin(groups, ["d", "e"]).astype(int)
    weights = balanced_weights(y, groups, by_group=by_group)
    assert weights.mean() == pytest.approx(1)
    assert weights[y == 0].sum() == pytest.approx(weights[y == 1].sum())
    share = {name: weights[groups == name].sum() for name in sizes}
    assert share["c"] / share["b"] == pytest.approx(4**power)
    assert share["e"] / share["d"] == pytest.approx((25 / 9) ** power)


def test_bootstrap_heads_are_the_fits_of_their_draws() -> None:
    X, y, groups = problem(100, 8, 4)
    draws = group_draws(y, groups, 5, np.random.default_rng(0))
    probe = LinearProbe(C=0.03, class_weight=None, standardize=False)
    weights, biases = probe.fit_heads(X, y, draws, C=0.03)
    for column in range(5):
        rows = np.repeat(np.arange(100), draws[:, column])
        one = LogisticRegression(C=0.03, tol=1e-12, max_iter=100_000).fit(X[rows], y[rows])
        np.testing.assert_allclose(weights[column], one.coef_[0], atol=1e-3)
        np.testing.assert_allclose(biases[column], one.intercept_[0], atol=1e-2)


def test_draws_take_whole_groups_of_both_classes() -> None:
    y = np.repeat([0, 1], 60)
    groups = np.array([f"{label}/{i % 7}" for i, label in enumerate(y)])
    draws = group_draws(y, groups, 200, np.random.default_rng(0))
    for group in np.unique(groups):
        assert (draws[groups == group] == draws[groups == group][0]).all()
    firsts = [np.flatnonzero(groups == group)[0] for group in np.unique(groups)]
    per_class = np.array([[draws[i] for i in firsts if y[i] == c] for c in (0, 1)]).sum(axis=1)
    assert (per_class == 7).all()
    assert draws.mean() == pytest.approx(1, abs=0.05)


def test_a_chain_of_affine_stages_folds_to_weights() -> None:
    X, y, _ = problem(120, 20, 6)
    X[:, 5] = 1.5
    chain = make_pipeline(VarianceThreshold(), StandardScaler(), PCA(8), LogisticRegression(C=0.1)).fit(X, y)
    weights, bias = fold_affine(chain, X)
    np.testing.assert_allclose(X @ weights + bias, chain.decision_function(X), atol=1e-8)
    assert weights[5] == pytest.approx(0, abs=1e-9)


def test_what_is_not_affine_does_not_fold() -> None:
    X, y, _ = problem(60, 5, 7)
    with pytest.raises(UsageError, match="not affine"):
        fold_affine(SVC().fit(X, y), X)


def test_a_wide_problem_is_solved_in_seconds() -> None:
    """The path over C and folds costs little more than the rotation, whatever the dimension."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4000)).astype(np.float32)
    y = (X[:, 0] + rng.normal(size=400) > 0).astype(int)
    probe = LinearProbe().fit(X, y, groups=np.arange(400) % 40)
    assert probe.coef_.shape == (1, 4000)
    assert probe.n_iter_ < 30


def test_each_class_counts_half_in_every_draw() -> None:
    _, y, groups = problem(100, 8, 4)
    draws = group_draws(y, groups, 5, np.random.default_rng(0))
    own = balanced_weights(y, groups, by_group="sqrt")
    weights = draw_weights(y, own, draws)
    for value in (0, 1):
        assert weights[y == value].sum(axis=0) == pytest.approx(np.full(5, len(y) / 2))
    some = np.flatnonzero((y == 1) & (draws[:, 0] > 0))
    expected = own[some] * draws[some, 0]
    assert weights[some, 0] / weights[some, 0].sum() == pytest.approx(expected / expected.sum())
    with pytest.raises(UsageError, match="holds no real images"):
        draw_weights(y, own, np.column_stack([draws[:, 0], y == 1]))


@pytest.mark.parametrize("tol", [1e-2, 1e-3, 1e-5])
def test_a_solution_is_within_its_tolerance_of_the_optimum(tol: float) -> None:
    X, y, groups = problem(600, 40, 7)
    weights = draw_weights(y, np.ones(600), group_draws(y, groups, 6, np.random.default_rng(0)))
    C = np.full(6, 0.02)
    exact = _logistic.rotate(X)
    rough = _logistic.Basis(
        exact.mean, exact.scale, exact.axes, exact.coordinates.astype(np.float32), exact.spread
    )
    a, b, _ = _logistic.solve_many(exact, y.astype(float), weights, C, tol=1e-10)
    near, near_b, _ = _logistic.solve_many(rough, y.astype(float), weights, C, tol=tol)
    for j in range(6):
        p = 1 / (1 + np.exp(-(exact.coordinates @ a[:, j] + b[j])))
        curvature = C[j] * weights[:, j] * p * (1 - p)
        away, away_b = near[:, j] - a[:, j], near_b[j] - b[j]
        moved = exact.coordinates @ away + away_b
        assert np.sqrt((curvature * moved**2).sum() + away @ away) < tol
