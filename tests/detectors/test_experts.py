"""Experts by year: exact parts, joint logits, thresholds for new groups, and their bundle as a folder."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from morelli.detectors import (
    Bundle,
    LinearProbe,
    Recipe,
    conformal_miss_threshold,
    conformal_threshold,
    cross_fit,
    fit_bundle,
)
from morelli.detectors._expert_head import ExpertHead
from morelli.detectors._expert_probe import ExpertProbe, expert_codes, fit_shifts, joined
from morelli.errors import UsageError
from morelli.features import Features

WIDTH = 12


@pytest.fixture(scope="module")
def two_traces() -> Features:
    """Old generators leave a trace in one direction, new ones in another; real images reach into neither."""
    rng = np.random.default_rng(7)
    rows, labels, lineage, source, era = [], [], [], [], []
    for g in range(10):
        mean = rng.normal(0, 0.3, WIDTH)
        for _ in range(30):
            rows.append(mean + rng.normal(0, 1, WIDTH))
            labels.append(0), lineage.append(None), source.append(f"camera {g}"), era.append(None)
        # An old trace comes with the lack of the new one, so that one direction cannot serve both.
        old, axis = (g < 5), (0 if g < 5 else 1)
        for _ in range(30):
            x = mean + rng.normal(0, 1, WIDTH)
            x[axis] += 4
            x[1 - axis] -= 3
            rows.append(x)
            labels.append(1), lineage.append(f"line {g}"), source.append(None)
            era.append("2019-2020" if old else "2024")
    return Features.from_arrays(
        np.asarray(rows, np.float32), labels=labels, lineage=lineage, source=source, era=era
    )


def fitted(features: Features, **changes):
    recipe = Recipe(
        estimator=ExpertProbe(C=0.05), n_draws=8, n_folds=5, new_groups=True, fpr=0.1,
        miss_rate=0.1,
    )  # fmt: skip
    return fit_bundle(features, replace(recipe, **changes))


def test_experts_find_what_one_direction_cannot(two_traces):
    experts = fitted(two_traces).bundle
    one = cross_fit(LinearProbe(C=0.05), two_traces.matrix(), two_traces.labels, two_traces.groups())
    assert roc_auc_score(two_traces.labels, one.logits) < 0.8
    assert experts.metrics["auc"]["value"] > 0.9
    assert experts.head.experts == ("until 2022", "2023 and later")


def test_each_expert_is_the_logistic_regression_of_its_own_rows(two_traces):
    from sklearn.linear_model import LogisticRegression

    X, y = two_traces.matrix().astype(float), np.asarray(two_traces.labels)
    codes, _ = expert_codes(y, two_traces.column("era").tolist(), (2023,))
    weights, biases = ExpertProbe(C=0.1, group_weight="image", tol=1e-8).fit_heads(
        X, codes, two_traces.groups(), np.ones((len(y), 1))
    )
    scale, mean = X.std(axis=0), X.mean(axis=0)
    for k in (1, 2):
        rows = (codes == 0) | (codes == k)
        model = LogisticRegression(C=0.1, class_weight="balanced", tol=1e-10, max_iter=5000)
        model.fit((X[rows] - mean) / scale, y[rows])
        assert np.allclose(weights[0, k - 1] * scale, model.coef_[0], atol=1e-3)
        assert np.isclose(biases[0, k - 1] + weights[0, k - 1] @ mean, model.intercept_[0], atol=1e-3)


def test_rows_in_float32_give_the_heads_of_the_same_rows_in_float64(two_traces):
    X = two_traces.matrix()
    assert X.dtype == np.float32
    codes, _ = expert_codes(two_traces.labels, two_traces.column("era").tolist(), (2023,))
    groups, once = two_traces.groups(), np.ones((len(X), 1))
    short, long = (
        ExpertProbe(C=0.1, tol=1e-4).fit_heads(rows, codes, groups, once)
        for rows in (X, X.astype(np.float64))
    )
    for one, other in zip(short, long, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * np.abs(other).max())


def test_rows_without_weight_play_no_part(two_traces):
    X = two_traces.matrix()
    codes, _ = expert_codes(two_traces.labels, two_traces.column("era").tolist(), (2023,))
    groups, trains = two_traces.groups(), np.arange(len(X)) % 3 > 0
    far = np.where(trains[:, None], X, X + 1000)

    def heads(X, rows, weight=None):
        once = np.ones((len(X), 1))
        return ExpertProbe(C=0.1).fit_heads(X, codes[rows], groups[rows], once, weight)

    for one, other in zip(heads(X[trains], trains), heads(far, slice(None), trains), strict=True):
        assert np.array_equal(one, other)


def test_a_fold_is_scored_by_experts_that_never_saw_it(two_traces):
    """Experts fitted without the rows of a fold rank that fold as its held-out logits do."""
    run = fitted(two_traces)
    fold = run.folds == 0
    one = two_traces.take(np.flatnonzero(~fold))
    alone = fit_bundle(
        one,
        Recipe(estimator=ExpertProbe(C=0.05, tol=1e-8), n_draws=0),
        folds=np.unique(run.folds[~fold], return_inverse=True)[1],
    )
    inside = run.logits[fold]
    outside = alone.bundle.head.logits(two_traces.matrix()[fold])
    assert np.corrcoef(inside, outside)[0, 1] > 0.999


def test_views_train_by_their_weight(two_traces):
    """Weights 1 and 1 are a list of both views, 1 and 0 a list of the first; 1 and 3 are neither."""
    rng = np.random.default_rng(3)
    columns = {name: two_traces.column(name).tolist() for name in ("lineage", "source", "era")}
    views = Features.concat(
        [
            Features.from_arrays(
                (two_traces.matrix() + noise * rng.normal(size=(600, WIDTH))).astype(np.float32),
                labels=two_traces.labels,
                sha256=[f"{image:064x}" for image in range(600)],
                perturbation=[name] * 600,
                **columns,
            )
            for name, noise in (("plain", 0), ("noisy", 2))
        ]
    )

    def trained(on):
        return fitted(views, trained=on, scored=["plain"], n_draws=0)

    both, first = trained(["plain", "noisy"]).logits, trained(["plain"]).logits
    assert np.array_equal(trained({"plain": 1.0, "noisy": 1.0}).logits, both)
    assert np.array_equal(trained({"plain": 0.5, "noisy": 0.0}).logits, first)
    run = trained({"plain": 1.0, "noisy": 3.0})
    agreeing = [np.corrcoef(logits, first)[0, 1] for logits in (run.logits, both)]
    assert agreeing[0] < agreeing[1] < 0.995
    recipe = Recipe(estimator=ExpertProbe(), trained={"plain": 1.0, "noisy": 3.0})
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))).trained == recipe.trained


def test_a_lineage_goes_to_the_expert_that_the_recipe_names(two_traces):
    """Old traces by a generator of today spoil the expert of today, and no longer do at the older one."""
    late = ["line 3", "line 4"]
    lineage = two_traces.column("lineage")
    dated = Features.from_arrays(
        two_traces.matrix(),
        labels=two_traces.labels,
        era=np.where(np.isin(lineage, late), "2024", two_traces.column("era")).tolist(),
        lineage=lineage.tolist(),
        source=two_traces.column("source").tolist(),
    )
    by_year = fitted(two_traces).bundle.head
    named = fitted(dated, expert_of=dict.fromkeys(late, 1))
    assert np.array_equal(named.bundle.head.weights, by_year.weights)
    assert not np.allclose(fitted(dated).bundle.head.weights, by_year.weights)
    again = Recipe.from_json(json.loads(json.dumps(named.bundle.recipe)))
    assert again.expert_of == dict.fromkeys(late, 1)
    with pytest.raises(UsageError, match="expert 3 of line 3; there are 2"):
        fitted(dated, expert_of={"line 3": 3})
    with pytest.raises(UsageError, match="lines, a lineage that no generated image has"):
        fitted(dated, expert_of={"lines": 1})


def test_local_weights_give_the_logit_exactly():
    rng = np.random.default_rng(0)
    head = ExpertHead(("a", "b", "c"), rng.normal(size=(3, 6)), rng.normal(size=3))
    X = rng.normal(size=(20, 6)) * 3
    weights, biases = head.local(X)
    assert np.allclose((X * weights).sum(axis=1) + biases, head.logits(X), atol=1e-12)
    step = 1e-6
    for axis in range(6):
        moved = X.copy()
        moved[:, axis] += step
        slope = (head.logits(moved) - head.logits(X)) / step
        assert np.allclose(slope, weights[:, axis], atol=1e-4)


def test_shifts_mend_a_prior_that_is_off():
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], 400)
    z = rng.normal(0, 1, (800, 2)) - 3
    z[400:600, 0] += 6
    z[600:, 1] += 6
    spoilt = z + np.array([3.0, -3.0])
    even = np.ones(800)
    shifts = fit_shifts(spoilt, y, even)
    assert abs(shifts.sum()) < 1e-9
    gap = (shifts[1] - shifts[0]) - 6
    assert abs(gap) < 1
    assert np.corrcoef(joined(spoilt, shifts), joined(z, np.zeros(2)))[0, 1] > 0.99


def test_years_divide_generators():
    codes, names = expert_codes(
        [0, 1, 1, 1, 1], ["2024", "2017-2020", "2021-2022", "2023", None], [2021, 2023]
    )
    assert codes.tolist() == [0, 1, 2, 3, 3]
    assert names == ("until 2020", "2021 to 2022", "2023 and later")
    with pytest.raises(UsageError, match="until 2016"):
        expert_codes([0, 1], [None, "2024"], [2017])


def test_a_bundle_of_experts_comes_back_from_its_folder(two_traces, tmp_path):
    bundle = fitted(two_traces).bundle
    bundle.save(tmp_path / "b")
    again = Bundle.load(tmp_path / "b")
    assert again.head.experts == bundle.head.experts
    assert np.array_equal(again.logits(two_traces), bundle.logits(two_traces))
    assert np.array_equal(again.intervals(two_traces), bundle.intervals(two_traces))
    assert again.with_fpr(0.2).ai == bundle.with_fpr(0.2).ai
    assert "generators until 2022" in (tmp_path / "b" / "MODEL_CARD.md").read_text()


def test_thresholds_for_a_new_group_keep_their_rate():
    """Groups of very different level and size: the chance over new groups stays within the rate."""
    rng = np.random.default_rng(3)
    rates, plain = [], []
    for _ in range(300):
        levels, sizes = rng.normal(0, 1, 60), rng.choice([2, 5, 100], 60)
        parts = [level + rng.normal(0, 0.3, n) for level, n in zip(levels, sizes, strict=True)]
        scores = np.concatenate(parts)
        groups = np.repeat(np.arange(60), sizes)
        new = rng.normal(0, 1, 500) + rng.normal(0, 0.3, 500)
        rates.append((new > conformal_threshold(scores, 0.1, groups=groups).logit).mean())
        plain.append((new > conformal_threshold(scores, 0.1).logit).mean())
    assert 0.07 < np.mean(rates) < 0.102
    assert np.std(plain) > np.std(rates)


def test_few_groups_cannot_promise_a_small_rate():
    scores, groups = np.arange(40.0), np.repeat(np.arange(8), 5)
    found = conformal_threshold(scores, 0.05, groups=groups)
    assert not found.guaranteed and found.logit == 39.0
    assert "8 groups cannot promise 5 %" in found.note
    one_each = conformal_threshold(np.arange(1.0, 100), 0.05, groups=np.arange(99))
    assert one_each.logit == conformal_threshold(np.arange(1.0, 100), 0.05).logit
    missed = conformal_miss_threshold(np.arange(1.0, 100), 0.05, groups=np.arange(99))
    assert missed.logit == conformal_miss_threshold(np.arange(1.0, 100), 0.05).logit


def test_experts_are_refitted_on_every_split_of_an_evaluation(two_traces, tmp_path):
    from morelli.evaluation._detector_specs import refitted
    from morelli.evaluation._protocols import leave_one_lineage_out

    candidate, _ = refitted(fitted(two_traces).bundle, "mine", two_traces.vectors)
    assert isinstance(candidate.detector, ExpertProbe)
    assert candidate.detector.years == (2023,)
    rows = leave_one_lineage_out(two_traces, [candidate])
    assert roc_auc_score(rows.labels, rows.logits) > 0.85


def test_a_verdict_says_which_expert_spoke(two_traces):
    bundle = fitted(two_traces).bundle
    eras = two_traces.column("era")
    right = said = 0
    for verdict, era in zip(bundle.verdicts(two_traces), eras, strict=True):
        named = [reason for reason in verdict.reasons if reason.startswith("it resembles")]
        assert bool(named) == (verdict.verdict == "ai")
        if named and era is not None:
            said += 1
            right += ("until 2022" in named[0]) == (era == "2019-2020")
    assert right / said > 0.9
