"""Transfer of a detector that all known generators train together, to generators held out of it.

One detector per generator (`transfer_matrix`) is the paper's protocol and shows what one generator teaches.
In use a detector is fitted on every generator at hand. It is also the control that a choice made on
validation generators needs: whatever they tell a choice, they would tell a detector that is trained on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError
from morelli.explanation._one_core import on_one_core
from morelli.explanation._transfer import Array, Context, Difference, Fit, Rows, middle
from morelli.metrics import two_sample_auc
from morelli.metrics.resampling import bootstrap_counts


@dataclass(frozen=True)
class PooledTransfer:
    """AUC (s, g) per split direction and generator, of a detector that did not see the generator's fold."""

    generators: tuple[str, ...]
    cells: Array

    @property
    def ood(self) -> float:
        """Mean over generators and split directions."""
        return float(self.cells.mean())

    def interval(
        self, rng: np.random.Generator, *, draws: int = 2000, level: float = 0.9
    ) -> tuple[float, float]:
        """Percentile interval of the mean; generators and split directions are drawn with replacement."""
        return middle(_draws(self.cells, rng, draws), level)


def pooled_difference(
    variant: PooledTransfer,
    baseline: PooledTransfer,
    rng: np.random.Generator,
    *,
    draws: int = 2000,
    level: float = 0.9,
) -> Difference:
    """Paired difference of the means, variant minus baseline, over the same generators and splits."""
    if variant.generators != baseline.generators or variant.cells.shape != baseline.cells.shape:
        raise UsageError("Pooled transfer can be compared only over the same generators and splits.")
    drawn = _draws(variant.cells - baseline.cells, rng, draws)
    return Difference.of(variant.ood - baseline.ood, drawn, level)


def _draws(cells: Array, rng: np.random.Generator, draws: int) -> Array:
    s, g = cells.shape
    generators = bootstrap_counts(g, draws, rng) / g
    splits = bootstrap_counts(s, draws, rng) / s
    return np.asarray(np.einsum("bs,sg,bg->b", splits, cells, generators, optimize=True))


@dataclass(frozen=True)
class FoldedRows:
    """Who trains and who is tested: fakes' rows by generator, folds of generators, halves of the reals."""

    fakes: dict[str, Rows]
    folds: Sequence[Sequence[str]]
    directions: Sequence[tuple[Rows, Rows]]

    def known(self, number: int) -> Rows:
        """Fakes of all generators outside this fold."""
        return np.concatenate([rows for g, rows in self.fakes.items() if g not in self.folds[number]])

    def context(self, number: int, train: Rows, trained_on: str) -> Context:
        """What a recipe may know when it is scored on this fold."""
        tested = self.folds[number][0]
        others = np.concatenate([rows for g, rows in self.fakes.items() if g != tested])
        return Context(trained_on, tested, train, others)


def pooled_transfer(fit: Fit, X: NDArray[Any], rows: FoldedRows) -> PooledTransfer:
    """Train on all generators outside a fold and half of the reals; test on the fold and the other half.

    `fit` must keep the whole fold of the tested generator out of its choices (`held_out_together`).
    """
    X = np.asarray(X, dtype=np.float64)
    names = list(rows.fakes)
    cells = np.full((len(rows.directions), len(names)), np.nan)
    for s, (train, test) in enumerate(rows.directions):
        for number, fold in enumerate(rows.folds):
            known = rows.known(number)
            with on_one_core():
                score = fit(X[known], X[train], rows.context(number, train, f"all but fold {number}"))
            real = score(X[test])
            for name in fold:
                cells[s, names.index(name)] = two_sample_auc(score(X[rows.fakes[name]]), real)
    return PooledTransfer(tuple(names), cells)


def precompute_choices(
    fit: Callable[..., Any], X: NDArray[Any], rows: FoldedRows, *, workers: int = 2
) -> None:
    """Make every choice of a nested recipe once, several at a time, before its cells are filled.

    A choice (a search over components, a ranking of heads) belongs to a fold and a half of the reals, not to
    a training generator; its linear algebra runs on one core each, so choices can run beside each other.
    """
    X = np.asarray(X, dtype=np.float64)

    def one(task: tuple[int, Rows]) -> None:
        number, train = task
        known = rows.known(number)
        fit(X[known], X[train], rows.context(number, train, f"all but fold {number}"))

    tasks = [(number, train) for train, _ in rows.directions for number in range(len(rows.folds))]
    with on_one_core(), ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, tasks))
