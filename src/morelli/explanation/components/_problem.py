"""From labelled features to training tasks and validation problems for the component search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError
from morelli.explanation._transfer import Array, Rows, halves_of, pooled_statistics
from morelli.explanation.components._sweep import SweepProblem
from morelli.metrics import column_aucs


@dataclass(frozen=True)
class TaskData:
    """Features with everything the search needs to make tasks of them.

    `X` (n, d), already scaled and rotated; `fakes` rows per generator; `halves` the two halves of the
    reals: tasks train on one half and are validated on the other, in both directions unless
    `both_ways` is False (half the cost); `ridge` as in `discriminant`.
    """

    X: Array
    fakes: dict[str, Rows]
    halves: tuple[Rows, Rows]
    ridge: float
    both_ways: bool = True

    @property
    def sides(self) -> tuple[int, ...]:
        """Which half a block of tasks trains on."""
        return (0, 1) if self.both_ways else (0,)

    @classmethod
    def build(
        cls,
        X: Array,
        y: NDArray[np.intp],
        generator: NDArray[np.object_],
        groups: NDArray[np.object_],
        names: Sequence[str],
        *,
        ridge: float,
        rng: np.random.Generator,
        both_ways: bool = True,
    ) -> TaskData:
        """Halve the reals by group, or by image where the groups are too few or too unequal for that."""
        reals = np.flatnonzero(y == 0)
        if len(reals) < 4:
            raise UsageError(f"The search needs at least 4 real images to split; got {len(reals)}.")
        halves = halves_of(reals, groups, rng)
        fakes = {g: np.flatnonzero((y == 1) & (generator == g)) for g in names}
        return cls(X, fakes, halves, ridge, both_ways)

    def problem(self, chosen: Sequence[str]) -> SweepProblem:
        """Tasks that train on each of `chosen` and validate on every other one of them.

        T = sides·len(chosen) tasks (training half × generator), V = T problems. A pair is scored when
        generators differ and the real halves differ.
        """
        X, g = self.X, len(chosen)
        covariance, difference, shift = [], [], []
        for half in self.sides:
            train, test = X[self.halves[half]], X[self.halves[1 - half]]
            for name in chosen:
                fake = X[self.fakes[name]]
                c, d = pooled_statistics(fake, train, ridge=self.ridge)
                covariance.append(c)
                difference.append(d)
                shift.append(fake.mean(axis=0) - test.mean(axis=0))
        factors = [self._factor(self.fakes[name]) for name in chosen]
        factors += [self._factor(self.halves[1]), self._factor(self.halves[0])]
        return SweepProblem(
            difference=np.stack(difference),
            covariance=np.stack(covariance),
            shift=np.stack(shift),
            factors=tuple(factors),
            fake=np.tile(np.arange(g), len(self.sides)),
            real=np.repeat([g + s for s in self.sides], g),
            weight=np.kron(np.eye(len(self.sides)), 1 - np.eye(g)),
        )

    def _factor(self, rows: Rows) -> Array:
        X = self.X[rows]
        return np.asarray((X - X.mean(axis=0)) / np.sqrt(len(rows)))

    def scored_on(self, weights: Array, tested: Sequence[str]) -> Array:
        """Exact AUC of task weights (T, d) as made by `problem`, on `tested` generators, (len(tested),).

        Each task is tested against the half of the reals that it was not trained on; the mean is over
        tasks.
        """
        out = np.zeros(len(tested))
        for side, block in zip(self.sides, np.split(weights, len(self.sides)), strict=True):
            real = self.X[self.halves[1 - side]] @ block.T
            for i, name in enumerate(tested):
                fake = self.X[self.fakes[name]] @ block.T
                out[i] += sum(column_aucs(fake, real).tolist()) / len(weights)
        return out

    def exact_score(self, weights: Array, chosen: Sequence[str]) -> float:
        """Mean exact AUC over the scored pairs of `problem(chosen)` for task weights (T, d)."""
        g, total = len(chosen), 0.0
        for side, block in zip(self.sides, np.split(weights, len(self.sides)), strict=True):
            real = self.X[self.halves[1 - side]] @ block.T
            for i, name in enumerate(chosen):
                fake = self.X[self.fakes[name]] @ block.T
                others = np.arange(g) != i
                total += sum(column_aucs(fake[:, others], real[:, others]).tolist())
        return total / (len(self.sides) * g * (g - 1))


def refit(problem: SweepProblem, kept: NDArray[np.intp]) -> Array:
    """Discriminants of all tasks on the components `kept`, zero elsewhere, (T, d)."""
    out = np.zeros_like(problem.difference)
    if len(kept):
        square = problem.covariance[:, kept[:, None], kept]
        out[:, kept] = np.linalg.solve(square, problem.difference[:, kept, None])[:, :, 0]
    return out
