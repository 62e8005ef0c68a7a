"""scikit-learn's own checks; what does not apply is listed with its reason."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from morelli.detectors import ExpertProbe, LinearProbe, NearestNeighborDetector, UnivFDProbe

WEIGHTS = "check_sample_weight_equivalence_on_dense_data"
EXCEPTIONS: dict[str, dict[str, str]] = {
    "LinearProbe": {WEIGHTS: "folds and standardisation go by rows, so a row of weight 2 is not two rows"},
    "NearestNeighborDetector": {},
    "UnivFDProbe": {WEIGHTS: "mini-batches go by rows, so a row of weight 2 is not two rows"},
}


@pytest.mark.parametrize(
    "estimator",
    [
        LinearProbe(),
        LinearProbe(C=0.1, class_weight=None),
        NearestNeighborDetector(),
        NearestNeighborDetector(3, voting="majority"),
        UnivFDProbe(max_epochs=20),
    ],
    ids=repr,
)
def test_scikit_learn_accepts_the_estimator(estimator: Any) -> None:
    expected = EXCEPTIONS[type(estimator).__name__]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks feed warnings on purpose
        results = check_estimator(estimator, expected_failed_checks=expected, on_skip=None, on_fail=None)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert not failed
    assert {r["check_name"] for r in results if r["status"] == "xfail"} <= set(expected)
    assert sum(r["status"] == "passed" for r in results) > 40


@pytest.mark.parametrize("estimator", [LinearProbe(C=1.0), UnivFDProbe(max_epochs=2)], ids=repr)
@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ([1, 1, 1, -1], "negative numbers"),
        ([1, 1, 1, np.nan], "NaN"),
        ([0, 0, 0, 0], "zero for every row"),
        ([1, 1, 1], r"shape \(3,\), expected \(4,\)"),
    ],
)
def test_weights_that_mean_nothing_are_refused(estimator: Any, weights: list[float], says: str) -> None:
    X, y = np.eye(4), [0, 1, 0, 1]
    with pytest.raises(ValueError, match=says):
        clone(estimator).fit(X, y, sample_weight=weights)


def test_experts_refuse_what_the_other_estimators_refuse() -> None:
    X = np.random.default_rng(0).normal(size=(40, 3))
    y, groups = np.arange(40) % 2, np.arange(40) // 4
    eras = [None if label == 0 else ("2021", "2024")[i % 4 == 1] for i, label in enumerate(y)]
    probe = ExpertProbe(n_folds=2)
    with pytest.raises(NotFittedError):
        probe.decision_function(X)
    probe.fit(X, y, eras=eras, groups=[f"{label} {group}" for label, group in zip(y, groups, strict=True)])
    assert probe.n_features_in_ == 3
    for wrong, says in ((X[:, :2], "2 features"), (np.full((1, 3), np.nan), "NaN"), (X[0], "1D array")):
        with pytest.raises(ValueError, match=says):
            probe.predict(wrong)
