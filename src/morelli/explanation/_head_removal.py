"""Which heads to take out of the embedding: greedily, by what their removal does to other generators.

`final` is the sum of all heads' contributions and of the rest (MLPs, embedding), so the score of a
discriminant w_i that was fitted on generator i is a sum too, s_i = sum_h w_i·v_h + w_i·rest. Its AUC on
generator j is close to

    Φ( (E_j s_i - E_real s_i) / sqrt(Var_j s_i + Var_real s_i) ),

exactly so for normal scores, and means, variances and covariances of the heads' parts of s_i give it in
closed form for every set of heads (mean and difference are linear, the variance quadratic in the set). So
the head whose removal lifts the mean over all pairs i ≠ j most is found without scoring anything again; after
`refit` removals the discriminants are fitted again on what is left. A removed head is replaced by its mean
(mean ablation), which to a discriminant is the same as zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from morelli.explanation._heads import Heads
from morelli.explanation._transfer import Array, Rows, discriminant

REFIT = 16
"""Removals between two fits of the discriminants."""
MOST = 64
"""How many heads may go at most; the others keep the order of their single effects."""


def removal_order(
    heads: Heads,
    fakes: dict[str, Rows],
    ways: Sequence[tuple[Rows, Rows]],
    *,
    ridge: float = 10.0,
    most: int = MOST,
    refit: int = REFIT,
) -> tuple[NDArray[np.intp], Array]:
    """Heads from the one to keep longest to the one to remove first, (m,), and their scores (m,).

    Args:
        heads: contributions with the rest of the embedding beside them (`Heads.beside`).
        fakes: rows of each generator that may be looked at; two at least.
        ways: rows of real images that train and that test, one pair or more.
        ridge: of the discriminant.
        most: removals that are searched.
        refit: removals between two fits.

    The score of a head is how much the predicted AUC falls when it goes: at its turn, or after the last
    removal for the heads that stay.
    """
    m = len(heads)
    most = min(most, m - 1)
    rows = np.unique(np.concatenate([*fakes.values(), *(part for way in ways for part in way)]))
    position = np.full(len(heads.vectors), -1)
    position[rows] = np.arange(len(rows))
    parts = heads.vectors[rows]
    X = heads.rest_of(rows) + parts.sum(axis=1, dtype=np.float64)
    local = [position[r] for r in fakes.values()]
    pairs = [(position[a], position[b]) for a, b in ways]
    alive = np.ones(m, dtype=bool)
    gone: list[int] = []
    score = np.zeros(m)
    while True:
        problems = [_Problem.of(X, parts, local, train, test, ridge=ridge) for train, test in pairs]
        for _ in range(min(refit, most - len(gone))):
            effect = np.mean([problem.effects() for problem in problems], axis=0)
            effect[~alive] = -np.inf
            worst = int(effect.argmax())
            score[worst] = -effect[worst]
            alive[worst] = False
            gone.append(worst)
            X -= parts[:, worst]
            for problem in problems:
                problem.remove(worst)
        if len(gone) >= most:
            break
    effect = np.mean([problem.effects() for problem in problems], axis=0)
    score[alive] = -effect[alive]
    stay = np.flatnonzero(alive)
    order = np.concatenate([stay[np.argsort(effect[stay], kind="stable")], gone[::-1]])
    return order.astype(np.intp), score


@dataclass
class _Problem:
    """What the scores of all discriminants do on all generators, and each head's part in it.

    `difference` (g, g) of means and `variance` (g, g), fakes' plus reals', of training generator i on
    generator j; `head_difference` (g, g, m), `head_covariance` (g, g, m, m) of the heads' parts, and
    `shared` (g, g, m) their covariance with the whole score.
    """

    difference: Array
    variance: Array
    head_difference: Array
    head_covariance: NDArray[np.float32]
    shared: Array

    @classmethod
    def of(
        cls,
        X: Array,
        parts: NDArray[np.float32],
        fakes: Sequence[Rows],
        train: Rows,
        test: Rows,
        *,
        ridge: float,
    ) -> _Problem:
        scale = X[train].std(axis=0) + 1e-9
        real = X[train] / scale
        W = np.stack([discriminant(X[r] / scale, real, ridge=ridge) / scale for r in fakes], axis=1)
        n, m, d = parts.shape
        by_head = (parts.reshape(n * m, d) @ W.astype(np.float32)).reshape(n, m, -1).transpose(2, 0, 1)
        whole = (X @ W).T

        def moments(rows: Rows) -> tuple[Array, Array, Array, Array, Array]:
            c, z = by_head[:, rows].astype(np.float64), whole[:, rows]
            mean, mean_z = c.mean(axis=1), z.mean(axis=1)
            c, z = c - mean[:, None], z - mean_z[:, None]
            count = len(rows)
            return (
                mean,
                c.transpose(0, 2, 1) @ c / count,
                mean_z,
                (z**2).mean(axis=1),
                (z[:, None] @ c)[:, 0] / count,
            )

        real_moments = moments(test)
        g = len(fakes)
        found = cls(
            np.zeros((g, g)),
            np.zeros((g, g)),
            np.zeros((g, g, m)),
            np.zeros((g, g, m, m), dtype=np.float32),
            np.zeros((g, g, m)),
        )
        for j, rows in enumerate(fakes):
            of = moments(rows)
            found.head_difference[:, j] = of[0] - real_moments[0]
            found.head_covariance[:, j] = of[1] + real_moments[1]
            found.difference[:, j] = of[2] - real_moments[2]
            found.variance[:, j] = of[3] + real_moments[3]
            found.shared[:, j] = of[4] + real_moments[4]
        return found

    def effects(self) -> Array:
        """Change of the mean predicted AUC when each head alone goes, (m,)."""
        others = ~np.eye(len(self.difference), dtype=bool)
        own = np.einsum("ijmm->ijm", self.head_covariance)
        variance = np.maximum(self.variance[..., None] - 2 * self.shared + own, 1e-12)
        without = ndtr((self.difference[..., None] - self.head_difference) / np.sqrt(variance))
        now = ndtr(self.difference / np.sqrt(np.maximum(self.variance, 1e-12)))
        return np.asarray((without - now[..., None])[others].mean(axis=0))

    def remove(self, head: int) -> None:
        """Take a head out of all scores; the discriminants stay."""
        self.variance = self.variance - 2 * self.shared[..., head] + self.head_covariance[..., head, head]
        self.difference = self.difference - self.head_difference[..., head]
        self.shared = self.shared - self.head_covariance[..., head]
