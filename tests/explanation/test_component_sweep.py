"""The closed-form sweep equals refitting every candidate from scratch."""

from __future__ import annotations

import numpy as np
import pytest

from morelli.explanation._transfer import pooled_statistics
from morelli.explanation.components._problem import TaskData
from morelli.explanation.components._search import SearchOptions, steps
from morelli.explanation.components._sweep import Sweep, SweepProblem, surrogate_auc
from morelli.metrics import two_sample_auc

DIRECTIONS = ["backward", "forward"]


def random_problem(rng: np.random.Generator, d: int = 14) -> SweepProblem:
    def spd() -> np.ndarray:
        a = rng.normal(size=(2 * d, d))
        return a.T @ a / (2 * d) + 0.1 * np.eye(d)

    return SweepProblem(
        difference=rng.normal(size=(3, d)),
        covariance=np.stack([spd() for _ in range(3)]),
        shift=rng.normal(size=(4, d)),
        factors=tuple(rng.normal(size=(n, d)) / np.sqrt(n) for n in (3, 30, 5, 12, 40, 7)),
        fake=np.array([0, 1, 2, 3]),
        real=np.array([4, 5, 4, 5]),
        weight=(rng.random((3, 4)) > 0.3).astype(float),
    )


def naive_score(p: SweepProblem, kept: list[int]) -> float:
    """Refit every discriminant on `kept` and score it the long way."""
    S, total = np.array(sorted(kept), dtype=int), 0.0
    for t in range(len(p.difference)):
        w = np.linalg.solve(p.covariance[t][np.ix_(S, S)], p.difference[t, S]) if len(S) else np.zeros(0)
        for v in range(len(p.shift)):
            variance = sum(((p.factors[c][:, S] @ w) ** 2).sum() for c in (p.fake[v], p.real[v]))
            value = surrogate_auc(np.array([w @ p.shift[v, S]]), np.array([variance]))[0]
            total += p.weight[t, v] * value
    return float(total / p.weight.sum())


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_candidate_of_every_step_equals_the_refit(direction, seed):
    p = random_problem(np.random.default_rng(seed))
    sweep = Sweep(p, direction)
    kept = list(range(p.dim)) if direction == "backward" else []
    for step in range(p.dim - 1):
        if step in (4, 8):
            sweep.compact(invert=step == 8)
        rest = sweep.remaining()
        refits = [
            naive_score(p, [k for k in kept if k != j] if direction == "backward" else [*kept, int(j)])
            for j in rest
        ]
        np.testing.assert_allclose(sweep.scores(), refits, atol=1e-9)
        best = int(rest[int(np.argmax(refits))])
        np.testing.assert_allclose(
            sweep.weights_after(np.array([best]))[:, 0], _after(sweep, best), atol=1e-9
        )
        kept = [k for k in kept if k != best] if direction == "backward" else [*kept, best]
        assert sweep.score() == pytest.approx(naive_score(p, kept), abs=1e-9)


def _after(sweep: Sweep, component: int) -> np.ndarray:
    sweep.take(component)
    return sweep.weights()


def small_data(rng: np.random.Generator, d: int = 9) -> tuple[TaskData, list[str]]:
    n0, n1, names = 60, 20, ["a", "b", "c"]
    X = rng.normal(size=(n0 + 3 * n1, d)) + 0.4 * (np.arange(n0 + 3 * n1) >= n0)[:, None]
    y = np.r_[np.zeros(n0), np.ones(3 * n1)].astype(int)
    generator = np.array([""] * n0 + [g for g in names for _ in range(n1)], dtype=object)
    return TaskData.build(X, y, generator, np.arange(len(X)), names, ridge=1.0, rng=rng), names


@pytest.mark.parametrize("method", DIRECTIONS)
def test_the_whole_greedy_path_equals_the_naive_greedy_refit_by_exact_auc(method):
    """With every candidate re-scored by exact AUC, the search is the plain one."""
    data, names = small_data(np.random.default_rng(3))
    d = data.X.shape[1]

    def plain(kept: list[int]) -> float:
        values = []
        for side in (0, 1):
            train, test = data.halves[side], data.halves[1 - side]
            for g in names:
                covariance, delta = pooled_statistics(data.X[data.fakes[g]], data.X[train], ridge=1.0)
                w = np.linalg.solve(covariance[np.ix_(kept, kept)], delta[kept])
                values += [
                    two_sample_auc(data.X[np.ix_(data.fakes[h], kept)] @ w, data.X[np.ix_(test, kept)] @ w)
                    for h in names
                    if h != g
                ]
        return float(np.mean(values))

    kept = list(range(d)) if method == "backward" else []
    options = SearchOptions(method=method, exact_top=d, precision=np.float64)
    for component, weights in steps(data, names, options, np.random.default_rng(0)):
        options_left = (
            {j: plain([k for k in kept if k != j]) for j in kept}
            if method == "backward"
            else {j: plain([*kept, j]) for j in range(d) if j not in kept}
        )
        assert options_left[component] == pytest.approx(max(options_left.values()), abs=1e-12)
        kept = [k for k in kept if k != component] if method == "backward" else [*kept, component]
        assert data.exact_score(weights(), names) == pytest.approx(plain(kept), abs=1e-9)


def test_single_precision_follows_the_double_precision_path():
    """Float32 with compaction chooses the same components on well-conditioned features."""
    data, names = small_data(np.random.default_rng(5), d=40)
    paths = [
        [c for c, _ in steps(data, names, SearchOptions(precision=p), np.random.default_rng(0))]
        for p in (np.float32, np.float64)
    ]
    assert paths[0][:30] == paths[1][:30]


def test_the_surrogate_is_the_auc_of_gaussian_scores():
    rng = np.random.default_rng(0)
    fake, real = rng.normal(1.0, 2.0, 20_000), rng.normal(0.0, 1.0, 20_000)
    assert surrogate_auc(np.array([1.0]), np.array([5.0]))[0] == pytest.approx(
        two_sample_auc(fake, real), abs=0.01
    )
    assert surrogate_auc(np.array([0.0]), np.array([0.0]))[0] == 0.5
