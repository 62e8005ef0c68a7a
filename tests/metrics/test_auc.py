"""The forms of the AUC and of their curves, intervals and draws: identities, exact where they promise it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from sklearn import metrics as reference

from morelli.errors import UsageError
from morelli.metrics import (
    column_aucs,
    placements,
    roc_auc,
    roc_curve,
    tpr_at_fpr,
    tpr_at_fprs,
    two_sample_auc,
    within_fold_auc,
)
from morelli.metrics.probabilities import calibration_error
from morelli.metrics.resampling import (
    OperatingPoints,
    bootstrap_counts,
    percentile_interval,
    weighted_calibration_error,
)
from morelli.metrics.shares import wilson_interval, wilson_intervals

few = st.sampled_from([-1.5, -0.0, 0.0, 0.25, 2.0])
cases = st.tuples(st.integers(0, 10**6), st.integers(2, 300), st.sampled_from([0, 1, 15]))


def drawn(seed: int, n: int, decimals: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    """Labels of both classes and scores, with many ties where decimals are few."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    y[:2] = 0, 1
    return rng, y, np.round(rng.normal(size=n) + y, decimals)


@settings(max_examples=60, deadline=None)
@given(cases)
def test_all_forms_of_the_area_are_the_same_number(case: tuple[int, int, int]) -> None:
    rng, y, s = drawn(*case)
    fake, real = s[y == 1], s[y == 0]
    area = roc_auc(y, s)
    assert two_sample_auc(fake, real) == area
    assert float(within_fold_auc(y, s, np.zeros(len(y)))) == area
    assert two_sample_auc(fake, real) == mannwhitneyu(fake, real).statistic / (len(fake) * len(real))
    # A pair counts as often as its images do.
    weights = rng.integers(0, 3, (3, len(y)))
    weights[:, :2] = 1
    for weight, found in zip(weights, within_fold_auc(y, s, np.zeros(len(y)), weights), strict=True):
        assert found == roc_auc(np.repeat(y, weight), np.repeat(s, weight))


@settings(deadline=None)
@given(st.lists(few | st.floats(-9, 9, width=32), max_size=40), st.lists(few, max_size=40))
def test_an_area_counts_pairs_and_equal_ones_half(real: list[float], fake: list[float]) -> None:
    r, f = np.array(real, np.float32), np.array(fake, np.float32)
    found = two_sample_auc(f, r)
    if not len(r) or not len(f):
        assert np.isnan(found)
        return
    assert found == pytest.approx((f[:, None] > r).mean() + (f[:, None] == r).mean() / 2, abs=1e-12)


def test_scores_without_order_have_no_area() -> None:
    assert np.isnan(two_sample_auc([0.5, np.nan], [0.1]))
    assert two_sample_auc([np.inf, 0.5], [-np.inf, 0.5]) == 0.875
    with pytest.raises(UsageError, match="same columns"):
        column_aucs(np.zeros((3, 2)), np.zeros((3, 4)))


def test_columns_and_placements_are_areas_one_by_one() -> None:
    rng = np.random.default_rng(0)
    fake, real = np.round(rng.normal(0.5, 1, (41, 5)), 1), np.round(rng.normal(size=(30, 5)), 1)
    one_by_one = [two_sample_auc(fake[:, k], real[:, k]) for k in range(5)]
    assert column_aucs(fake, real).tolist() == one_by_one
    assert placements(fake, real).mean(axis=0) == pytest.approx(one_by_one)
    assert 1 - placements(real, fake).mean(axis=0) == pytest.approx(one_by_one)
    assert np.isnan(placements(fake, real[:0])).all()


def test_scores_of_two_folds_are_never_compared() -> None:
    y, folds = np.array([0, 1, 0, 1, 1]), np.array([0, 0, 1, 1, 2])
    scores = np.array([0.8, 0.9, 0.1, 0.2, 0.0])
    assert float(within_fold_auc(y, scores, folds)) == 1.0  # the last has no real image beside it
    assert roc_auc(y, scores) == 0.5
    assert np.isnan(within_fold_auc(y, scores, np.arange(5)))


@settings(max_examples=30, deadline=None)
@given(cases)
def test_operating_points_are_scikit_learns_with_sample_weights(case: tuple[int, int, int]) -> None:
    rng, y, s = drawn(*case)
    weights = rng.integers(0, 4, (len(y), 3)).astype(float)
    weights[:2] = 1
    points = OperatingPoints.of(y, s, weights)
    for b in range(3):
        w = weights[:, b]
        assert points.auc[b] == pytest.approx(reference.roc_auc_score(y, s, sample_weight=w), abs=1e-12)
        expected = reference.average_precision_score(y, s, sample_weight=w)
        assert points.average_precision[b] == pytest.approx(expected, abs=1e-12)
        false, true, _ = reference.roc_curve(y, s, sample_weight=w, drop_intermediate=False)
        assert points.tpr_within(0.3)[b] == pytest.approx(true[false <= 0.3].max(), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(cases)
def test_curves_pass_through_their_points(case: tuple[int, int, int]) -> None:
    _, y, s = drawn(*case)
    grid = np.array([0.0, 0.05, 0.3, 1.0])
    assert tpr_at_fprs(y, s, grid) == pytest.approx([tpr_at_fpr(y, s, f) for f in grid], abs=1e-12)
    false, true, _ = reference.roc_curve(y, s, drop_intermediate=False)
    curve = roc_curve(y, s, most=len(y))
    assert curve == pytest.approx(np.column_stack([false, true]))
    thin = roc_curve(y, s, most=5)
    assert len(thin) <= 6 and thin[-1].tolist() == [1.0, 1.0]
    assert {tuple(corner) for corner in thin.tolist()} <= {tuple(corner) for corner in curve.tolist()}
    with pytest.raises(UsageError, match="both classes"):
        roc_curve(np.ones(3), s[:2].repeat(2)[:3])
    with pytest.raises(UsageError, match="both classes"):
        tpr_at_fprs([1, 1], [0.1, 0.2], grid)


def test_intervals_of_shares_agree_with_each_other() -> None:
    low, high = wilson_intervals([0, 3, 8, 10], [10, 10, 10, 10], level=0.95)
    for k, hits in enumerate([0, 3, 8, 10]):
        assert (low[k], high[k]) == pytest.approx(wilson_interval(hits, 10, 0.95), abs=1e-9)


def test_equal_weights_give_the_plain_calibration_error() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(400)
    y = (rng.random(400) < p**2).astype(int)
    weights = np.stack([np.full(400, 1 / 400), np.where(y == 1, 0.5 / y.sum(), 0.5 / (1 - y).sum())], axis=1)
    plain, even = weighted_calibration_error(y, p, weights)
    assert plain == pytest.approx(calibration_error(y, p, binning="width"))
    assert even != pytest.approx(plain, abs=1e-3)


def test_draws_of_a_bootstrap_count_everything_once_on_average() -> None:
    counts = bootstrap_counts(8, 4000, np.random.default_rng(0))
    assert set(counts.sum(axis=1)) == {8}
    assert counts.mean(axis=0) == pytest.approx(np.ones(8), abs=0.06)
    assert (counts == 0).mean() == pytest.approx((1 - 1 / 8) ** 8, abs=0.01)
    low, high = percentile_interval(counts, 0.05)
    assert low.shape == (8,) and (low <= high).all()
