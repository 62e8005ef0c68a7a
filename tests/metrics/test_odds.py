"""Odds without SciPy are SciPy's, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special

from morelli.metrics import odds

REAL = st.floats(allow_nan=False, allow_infinity=False, width=64, min_value=-1e5, max_value=1e5)


def same(ours: object, theirs: object) -> None:
    np.testing.assert_array_equal(np.asarray(ours).view(np.int64), np.asarray(theirs).view(np.int64))


@given(st.floats(allow_nan=False))
def test_expit_has_the_bits_of_scipy(x: float) -> None:
    same(np.float64(odds.expit(x)), special.expit(x))


@given(st.floats(0, 1) | st.sampled_from([0.0, 1.0, 0.3, 0.65, 0.5]))
def test_logit_has_the_bits_of_scipy(p: float) -> None:
    same(np.float64(odds.logit(p)), special.logit(p))


@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=REAL))
def test_sums_of_odds_have_the_bits_of_scipy(x: np.ndarray) -> None:
    for axis in (0, 1, -1):
        same(odds.logsumexp(x, axis=axis), special.logsumexp(x, axis=axis))
        same(odds.softmax(x, axis=axis), special.softmax(x, axis=axis))


@pytest.mark.parametrize("x", [[-np.inf, -np.inf], [np.nan, 0.0], [np.inf, 0.0, 1e5], [-np.inf, 3.0]])
def test_sums_of_impossible_and_unknown_odds_are_those_of_scipy(x: list[float]) -> None:
    np.testing.assert_array_equal(odds.logsumexp([x, x], axis=-1), special.logsumexp([x, x], axis=-1))


@pytest.mark.parametrize("shape", [(), (0,), (3, 4), (5000,), (2, 3000)])
def test_every_shape_is_kept(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape) * 8
    same(odds.expit(x), special.expit(x))
    assert np.shape(odds.expit(x)) == shape
    assert np.shape(odds.logit(odds.expit(x))) == shape


def test_what_is_no_probability_has_no_odds() -> None:
    assert np.isnan(odds.logit([-0.1, 1.1])).all()
