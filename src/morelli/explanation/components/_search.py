"""Orders of removal (greedy, ranked, random) and the honest choice of how far to go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError
from morelli.explanation._transfer import Array
from morelli.explanation.components._problem import TaskData, refit
from morelli.explanation.components._sweep import Sweep

Method = Literal["backward", "forward", "variance", "disagreement", "random"]
METHODS: tuple[str, ...] = get_args(Method)
COMPACT_EVERY, INVERT_EVERY = 24, 96  # steps: less memory to pass over; less rounding


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    `method`: ``backward`` and ``forward`` are greedy (paper; its direction and criterion were not
    read); ``variance`` removes the largest pooled within-class variance first, ``disagreement`` the
    components whose fake-minus-real difference agrees least between generators, ``random`` is the
    control (all three ours). `max_steps` bounds the path (None: all but one). `patience`: steps
    without a better held-out AUC after which a path stops. `folds`: folds over generators for the
    choice of the number. `exact_top`: the surrogate's best candidates of a step that are re-scored by
    exact AUC (0: the surrogate decides). `precision`: numpy float type of the sweep. `stride`: held-out
    AUC is measured every so many steps.
    """

    method: Method = "backward"
    max_steps: int | None = None
    patience: int = 60
    folds: int = 4
    exact_top: int = 0
    stride: int = 5
    precision: type = np.float32

    def check(self) -> None:
        """Raise UsageError for values that cannot work."""
        if self.method not in METHODS:
            raise UsageError(f"Unknown method {self.method!r}; use one of {', '.join(METHODS)}.")
        if self.folds < 2 or self.stride < 1 or self.patience < 1 or self.exact_top < 0:
            raise UsageError("Use folds >= 2, stride >= 1, patience >= 1 and exact_top >= 0.")


Step = tuple[int, Callable[[], Array]]


def steps(
    data: TaskData, chosen: Sequence[str], options: SearchOptions, rng: np.random.Generator
) -> Iterator[Step]:
    """Yield (component, weights) per removal (forward: addition); ``weights()`` gives the tasks' (T, d).

    The weights are those of the present step: call before asking for the next.
    """
    problem = data.problem(chosen)
    if options.method in ("backward", "forward"):
        yield from _greedy(data, chosen, options)
        return
    order = _ranking(data, chosen, options.method, rng)
    kept = np.ones(problem.dim, dtype=bool)
    for component in order[:-1]:
        kept[component] = False
        yield int(component), partial(refit, problem, np.flatnonzero(kept))


def _greedy(data: TaskData, chosen: Sequence[str], options: SearchOptions) -> Iterator[Step]:
    direction: Literal["backward", "forward"] = "forward" if options.method == "forward" else "backward"
    sweep = Sweep(data.problem(chosen), direction, dtype=options.precision)
    count = sweep.problem.dim - (direction == "backward")
    for step in range(count):
        candidates, scores = sweep.remaining(), sweep.scores()
        best = int(candidates[scores.argmax()])
        if options.exact_top > 1:
            top = np.sort(candidates[np.argsort(scores)[-options.exact_top :]])
            weights = sweep.weights_after(top)
            exact = [data.exact_score(weights[:, i], chosen) for i in range(len(top))]
            best = int(top[int(np.argmax(exact))])
        sweep.take(best)
        if step % COMPACT_EVERY == COMPACT_EVERY - 1:
            sweep.compact(invert=step % INVERT_EVERY == INVERT_EVERY - 1)
        yield best, sweep.weights


def _ranking(
    data: TaskData, chosen: Sequence[str], method: Method, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Components in the order of removal, (d,)."""
    d = data.X.shape[1]
    if method == "random":
        return rng.permutation(d)
    real = np.concatenate(data.halves)
    if method == "variance":
        groups = [data.X[real]] + [data.X[data.fakes[g]] for g in chosen]
        pooled = sum(((x - x.mean(axis=0)) ** 2).sum(axis=0) for x in groups)
        return np.asarray(np.argsort(-np.asarray(pooled), kind="stable"))
    mean = data.X[real].mean(axis=0)
    deviation = data.X[real].std(axis=0) + 1e-12
    effect = np.stack([data.X[data.fakes[g]].mean(axis=0) - mean for g in chosen]) / deviation
    agreement = np.abs(effect.mean(axis=0)) / (effect.std(axis=0) + 1e-12)
    return np.asarray(np.argsort(agreement, kind="stable"))


@dataclass(frozen=True)
class Choice:
    """The number of steps chosen on held-out generators, and why.

    `steps` (m,) numbers of steps at which was measured (0 first; forward: the empty set has AUC ½ and
    the baseline is all components); `curve` (m,) mean held-out AUC; `gain` and `error` of the chosen
    number over the baseline, with the standard error over held-out generators; `baseline` AUC of all
    components; `chosen` number of steps (-1: keep everything).
    """

    steps: NDArray[np.intp]
    curve: Array
    baseline: float
    chosen: int
    gain: float
    error: float


def choose_number(
    data: TaskData, names: Sequence[str], options: SearchOptions, rng: np.random.Generator
) -> Choice:
    """Cross-fit over generators: order on some, measure on the others, then the one-standard-error rule.

    Of all numbers of steps whose held-out AUC is behind the best by at most one standard error of that
    (paired) difference, the one that removes least is taken; when the best gain does not exceed its own
    standard error, nothing is removed. Generators are the unit of the error, since images of one
    generator err together.
    """
    names = list(rng.permutation(np.asarray(names, dtype=object)))
    folds = [names[i :: options.folds] for i in range(min(options.folds, len(names)))]
    per_generator: list[list[float]] = []
    baselines: list[float] = []
    for held in folds:
        chosen = [g for g in names if g not in held]
        if len(chosen) < 2:
            raise UsageError(
                "The search needs at least two generators beside those of each fold; use fewer folds."
            )
        base = data.scored_on(refit(data.problem(chosen), np.arange(data.X.shape[1])), held)
        start = np.full(len(held), 0.5) if options.method == "forward" else base
        curve, best, best_at = [start], -np.inf, 0
        for step, (_, weights) in enumerate(steps(data, chosen, options, rng), start=1):
            if step % options.stride == 0:
                curve.append(data.scored_on(weights(), held))
                if curve[-1].mean() > best:
                    best, best_at = float(curve[-1].mean()), step
            if step - best_at >= options.patience or step == options.max_steps:
                break
        baselines.extend(base)
        per_generator.extend(np.stack(curve, axis=1).tolist())
    length = max(map(len, per_generator))
    table = np.array([c + [c[-1]] * (length - len(c)) for c in per_generator])  # (g, m)
    gains = table - np.array(baselines)[:, None]
    mean, error = gains.mean(axis=0), _standard_error(gains)
    best_index = int(mean.argmax())
    numbers = np.arange(length) * options.stride
    index = 0  # keep everything
    if mean[best_index] > error[best_index]:
        behind = gains[:, best_index, None] - gains
        near = np.flatnonzero(behind.mean(axis=0) <= _standard_error(behind))
        # Fewest components removed: the earliest step backwards, the latest forwards.
        index = int(near[-1] if options.method == "forward" else near[0])
    return Choice(
        steps=numbers,
        curve=table.mean(axis=0),
        baseline=float(np.mean(baselines)),
        chosen=int(numbers[index]) if index else -1,
        gain=float(mean[index]) if index else 0.0,
        error=float(error[index]) if index else 0.0,
    )


def _standard_error(values: Array) -> Array:
    """Standard error over the first axis, (g, m) -> (m,)."""
    return np.asarray(values.std(axis=0, ddof=1) / np.sqrt(len(values)))
