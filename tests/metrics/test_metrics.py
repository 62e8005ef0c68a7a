"""Metrics against scikit-learn, weighted rounds against scikit-learn's sample weights, and identities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from morelli.errors import UsageError
from morelli.metrics import average_precision, best_threshold, rates_at, roc_auc, tpr_at_fpr
from morelli.metrics._ranking import Ranked
from morelli.metrics._scores import threshold_at_fpr
from morelli.metrics.probabilities import (
    brier,
    calibration_error,
    log_loss,
    reliability_curve,
    risk_coverage_curve,
)
from morelli.metrics.shares import positive_predictive_value, wilson_interval


def _reference_tpr(y, s, fpr, weights=None):
    false, true, _ = reference.roc_curve(y, s, drop_intermediate=False, sample_weight=weights)
    return true[false <= fpr + 1e-9].max()


def _case(seed, n, decimals):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    y[:2] = 0, 1
    return rng, y, np.round(rng.normal(size=n) + y, decimals)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 300), st.sampled_from([0, 1, 2, 15]))
def test_ranking_metrics_agree_with_scikit_learn_ties_included(seed, n, decimals):
    _, y, s = _case(seed, n, decimals)
    assert roc_auc(y, s) == pytest.approx(reference.roc_auc_score(y, s), abs=1e-12)
    assert average_precision(y, s) == pytest.approx(reference.average_precision_score(y, s), abs=1e-12)
    for fpr in (0.0, 0.01, 0.05, 0.3, 1.0):
        assert tpr_at_fpr(y, s, fpr) == pytest.approx(_reference_tpr(y, s, fpr), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 120), st.sampled_from([0, 1, 15]))
def test_weighted_rounds_agree_with_sample_weights(seed, n, decimals):
    rng, y, s = _case(seed, n, decimals)
    w = rng.integers(0, 4, (3, n)).astype(float)
    w[:, :2] = 1
    group = rng.integers(0, 3, n)
    ranked = Ranked(y, s, group, 3)
    cumulative = ranked.cumulative_reals(w[:, ranked.real_rows])
    pooled = ranked.pooled(cumulative, w[:, ranked.fake_rows], (0.05,))
    groups = ranked.grouped(cumulative, w[:, ranked.grouped_rows])
    for b in range(3):
        v = w[b].copy()
        for c in (0, 1):  # each class keeps its observed share
            v[y == c] *= (y == c).sum() / v[y == c].sum()
        assert pooled.auc[b] == pytest.approx(reference.roc_auc_score(y, s, sample_weight=v), abs=1e-12)
        expected = reference.average_precision_score(y, s, sample_weight=v)
        assert pooled.average_precision[b] == pytest.approx(expected, abs=1e-12)
        assert pooled.tpr_at_fpr[0.05][b] == pytest.approx(_reference_tpr(y, s, 0.05, v), abs=1e-12)
        for g in range(3):
            keep = (y == 0) | (group == g)
            if w[b][(y == 1) & (group == g)].sum() == 0:
                continue
            v = w[b].copy()
            v[y == 0] /= v[y == 0].sum()
            v[keep & (y == 1)] /= v[keep & (y == 1)].sum()
            auc = reference.roc_auc_score(y[keep], s[keep], sample_weight=v[keep])
            ap = reference.average_precision_score(y[keep], s[keep], sample_weight=v[keep])
            assert groups.auc[b, g] == pytest.approx(auc, abs=1e-12)
            assert groups.average_precision[b, g] == pytest.approx(ap, abs=1e-12)


def test_probability_metrics_agree_with_scikit_learn():
    rng = np.random.default_rng(3)
    y, p = rng.integers(0, 2, 500), rng.random(500)
    p[:20] = np.repeat([0.0, 1.0], 10)
    assert brier(y, p) == pytest.approx(reference.brier_score_loss(y, p), abs=1e-12)
    assert log_loss(y, p) == pytest.approx(reference.log_loss(y, p), abs=1e-12)
    rates = rates_at(y, p, 0.5)
    assert rates.balanced_accuracy == pytest.approx(reference.balanced_accuracy_score(y, p > 0.5), abs=1e-12)
    assert rates.accuracy == pytest.approx(reference.accuracy_score(y, p > 0.5), abs=1e-12)


def test_calibration_error_of_a_worked_example():
    # Width bins of a quarter: 0.1, 0.2 hold one generated of two (gap 0.35); 0.9 holds 2 of 2 (gap 0.1).
    y, p = np.array([0, 1, 1, 1]), np.array([0.1, 0.2, 0.9, 0.9])
    assert calibration_error(y, p, bins=4, binning="width") == pytest.approx((2 * 0.35 + 2 * 0.1) / 4)
    curve = reliability_curve(y, p, bins=2, binning="mass")
    assert [(b.n, b.share_generated) for b in curve] == [(2, 0.5), (2, 1.0)]


def test_equal_mass_bins_are_of_equal_mass_and_never_split_ties():
    rng = np.random.default_rng(0)
    p = rng.random(3000)
    sizes = [b.n for b in reliability_curve(rng.integers(0, 2, 3000), p, bins=15)]
    assert len(sizes) == 15
    assert max(sizes) - min(sizes) <= 1
    tied = np.repeat([0.2, 0.7], 50)
    assert len(reliability_curve(np.tile([0, 1], 50), tied, bins=15)) == 2


def test_threshold_at_fpr_keeps_its_promise_on_ties():
    y = np.array([0] * 100 + [1] * 10)
    s = np.concatenate([np.repeat(np.arange(10), 10), np.full(10, 9)]).astype(float)
    for fpr in (0.0, 0.05, 0.1, 0.15):
        t = threshold_at_fpr(y, s, fpr)
        assert (s[y == 0] > t).mean() <= fpr
    assert threshold_at_fpr(y, s, 0.1) == 8.0
    assert tpr_at_fpr(y, s, 0.05) == 0.0  # all fakes share the score of a tenth of the reals


def test_thresholds_of_hand_worked_scores():
    y = np.array([0, 0, 1, 1])
    assert best_threshold(y, [0.1, 0.2, 0.8, 0.9]) == (0.5, 1.0)  # all between 0.2 and 0.8 are equal: 0.5
    assert best_threshold(y, [0.6, 0.65, 0.75, 0.9]) == (pytest.approx(0.7), 1.0)  # apart, 0.5 is not best
    # Reals 0.1, 0.7, fakes 0.6, 0.9: 0.6 gives 3 of 4, and so does 0.5.
    assert best_threshold(y, [0.1, 0.7, 0.6, 0.9]) == (0.5, 0.75)
    # Reals 0.6, 0.7, fakes 0.65, 0.9: at 0.5 two are right; 0.65 and 0.9 give three, 0.65 is nearer.
    assert best_threshold(y, [0.6, 0.7, 0.65, 0.9]) == (0.65, 0.75)
    with pytest.raises(UsageError, match="held-in"):
        best_threshold([], [])


def test_predictive_value_and_abstention():
    assert positive_predictive_value(0.9, 0.1, 0.1) == pytest.approx(0.5)
    y, p = np.array([1, 0, 1, 0]), np.array([0.99, 0.05, 0.4, 0.45])
    curve = risk_coverage_curve(y, p, points=4)
    assert [c.error for c in curve] == [0.0, 0.0, pytest.approx(1 / 3), pytest.approx(1 / 4)]


def test_wilson_interval_of_a_textbook_value():
    low, high = wilson_interval(8, 10, 0.95)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))


def test_bad_input_is_named():
    with pytest.raises(UsageError, match="same length"):
        roc_auc([0, 1], [0.5])
    with pytest.raises(UsageError, match="finite"):
        roc_auc([0, 1], [0.5, np.nan])
    with pytest.raises(UsageError, match="sigmoid"):
        brier([0, 1], [0.5, 1.5])
    assert np.isnan(roc_auc([1, 1], [0.1, 0.2]))
