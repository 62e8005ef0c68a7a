"""Probabilities mean frequencies; thresholds keep what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binom

from morelli.detectors import Calibration, conformal_miss_threshold, conformal_threshold, fit_calibration
from morelli.detectors._calibration import cross_fitted_probabilities
from morelli.errors import ArtifactError, UsageError
from morelli.metrics.probabilities import calibration_error

METHODS = ["platt", "temperature", "beta", "isotonic"]


def miscalibrated(n: int, seed: int = 0, share: float = 0.5):
    """Logits twice too large and shifted; the truth follows sigmoid(z / 2 - 0.5) at even odds."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=4 * n) * 1.5
    y = (rng.random(4 * n) < expit(true)).astype(int)
    fakes, reals = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    rows = np.concatenate([fakes[: int(n * share)], reals[: n - int(n * share)]])
    return 2 * true[rows] + 1.0, y[rows], true[rows]


@pytest.mark.parametrize("method", METHODS)
def test_calibration_lowers_the_error_on_other_images(method: str) -> None:
    z, y, _ = miscalibrated(4000)
    if method == "temperature":
        z = z - 1.0  # one factor cannot take away a shift
    fitted = fit_calibration(z[::2], y[::2], method)
    before = calibration_error(y[1::2], expit(z[1::2]), binning="width")
    after = calibration_error(y[1::2], fitted.probability(z[1::2]), binning="width")
    assert after < 0.04 < before


@pytest.mark.parametrize("method", METHODS)
def test_class_counts_do_not_leak_into_the_probability(method: str) -> None:
    z, y, _ = miscalibrated(6000)
    rare_z, rare_y, _ = miscalibrated(6000, share=0.1)
    even, rare = fit_calibration(z, y, method), fit_calibration(rare_z, rare_y, method)
    grid = np.linspace(-2, 3, 7)
    np.testing.assert_allclose(rare.probability(grid), even.probability(grid), atol=0.08)


def test_platt_recovers_slope_and_offset() -> None:
    z, y, _ = miscalibrated(20_000)
    fitted = fit_calibration(z, y, "platt")
    assert fitted.parameters["slope"] == pytest.approx(0.5, abs=0.03)
    assert fitted.parameters["offset"] == pytest.approx(-0.5, abs=0.06)


def test_platt_scales_scores_of_any_size() -> None:
    z, y, _ = miscalibrated(3000)
    large, small = fit_calibration(z, y), fit_calibration(z * 1e-3 + 5, y)
    np.testing.assert_allclose(small.probability(z * 1e-3 + 5), large.probability(z), atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.001, 0.999), st.floats(-8, 8))
def test_the_base_rate_shifts_odds_as_bayes_says(rate: float, z: float) -> None:
    even = Calibration()
    p, q = float(even.probability([z])[0]), float(even.probability([z], rate)[0])
    bayes = p * rate / (p * rate + (1 - p) * (1 - rate))
    assert q == pytest.approx(bayes, abs=1e-9)
    other = Calibration(prior=0.2)
    assert float(other.log_odds([z], 0.2)[0]) == pytest.approx(z)
    assert float(other.log_odds([z], rate)[0]) == pytest.approx(z + logit(rate) - logit(0.2))


@pytest.mark.parametrize("method", ["none", *METHODS])
def test_json_round_trip_and_monotony(method: str) -> None:
    z, y, _ = miscalibrated(500)
    fitted = fit_calibration(z, y, method)
    again = Calibration.from_json(fitted.to_json())
    grid = np.linspace(-10, 10, 200)
    np.testing.assert_array_equal(again.probability(grid), fitted.probability(grid))
    assert (np.diff(fitted.probability(grid)) >= 0).all()
    assert ((fitted.probability(grid) > 0) & (fitted.probability(grid) < 1)).all()


@pytest.mark.parametrize(
    "bad",
    [
        {"method": "magic", "parameters": {}, "prior": 0.5},
        {"method": "platt", "parameters": {"slope": 1.0}, "prior": 0.5},
        {"method": "platt", "parameters": {"slope": float("nan"), "offset": 0.0}, "prior": 0.5},
        {"method": "platt", "parameters": {"slope": "x", "offset": 0.0}, "prior": 0.5},
        {"method": "none", "parameters": {}, "prior": 1.0},
        {"method": "temperature", "parameters": {"temperature": -1.0}, "prior": 0.5},
        {"method": "isotonic", "parameters": {"knots": [1.0, 0.0], "log_odds": [0.0, 1.0]}, "prior": 0.5},
    ],
)
def test_a_damaged_calibration_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ArtifactError):
        Calibration.from_json(bad)


def test_logits_the_wrong_way_round_are_refused() -> None:
    z, y, _ = miscalibrated(500)
    with pytest.raises(UsageError, match="real images above"):
        fit_calibration(-z, y)


def test_cross_fitted_probabilities_never_use_their_own_fold() -> None:
    z, y, _ = miscalibrated(300)
    folds = np.arange(300) % 5
    p = cross_fitted_probabilities(z, y, folds)
    changed = y.copy()
    changed[folds == 2] = 1 - changed[folds == 2]
    q = cross_fitted_probabilities(z, changed, folds)
    np.testing.assert_array_equal(p[folds == 2], q[folds == 2])
    assert not np.allclose(p[folds == 3], q[folds == 3])


@pytest.mark.parametrize(("n", "fpr"), [(19, 0.05), (100, 0.05), (137, 0.01), (690, 0.05), (690, 0.01)])
def test_the_threshold_keeps_its_rate_in_expectation(n: int, fpr: float) -> None:
    rng = np.random.default_rng(n)
    rates = [1 - conformal_threshold(rng.random(n), fpr).logit for _ in range(4000)]
    standard_error = np.std(rates) / np.sqrt(len(rates))
    assert np.mean(rates) <= fpr + 3 * standard_error
    assert np.mean(rates) >= fpr - 1 / (n + 1) - 3 * standard_error, (
        "no more conservative than n forces it to be"
    )


def test_too_few_images_are_told_what_they_can_promise() -> None:
    found = conformal_threshold(np.arange(10.0), 0.01)
    assert not found.guaranteed
    assert found.logit == 9.0
    assert "10 held-out images cannot promise 1 %" in found.note
    assert found.upper == pytest.approx(1 - 0.05 ** (1 / 10))


def test_the_upper_bound_is_clopper_pearsons() -> None:
    scores = np.concatenate([np.zeros(96), np.ones(4) * 2])
    found = conformal_threshold(scores, 0.05)
    assert found.observed == 0.04
    assert binom.cdf(4, 100, found.upper) == pytest.approx(0.05, abs=1e-6)


def test_ties_never_raise_the_rate() -> None:
    saturated = np.array([0.0] * 50 + [1.0] * 50)
    found = conformal_threshold(saturated, 0.05)
    assert (saturated > found.logit).mean() == 0
    missed = conformal_miss_threshold(saturated, 0.05)
    assert (saturated <= missed.logit).mean() == 0
