"""Cross-generator transfer of a direction-fitting recipe: train on one generator, test on the others.

Read in summaries of the paper (Gaintseva et al. 2406.15035): one classifier per generator and its
score on the other generators, whose mean is the out-of-distribution (OOD) score. Our own choices, which
those do not state: reals are split in two by group (source), so no real of a training source is ever a
test real; the area under the ROC curve is the score; each split is used in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError
from morelli.explanation._one_core import on_one_core
from morelli.metrics import two_sample_auc
from morelli.metrics.resampling import bootstrap_counts, percentile_interval

Array = NDArray[np.floating]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Context:
    """What one cell's training may know besides its own rows.

    `train` is the training generator, `test` the generator that is scored and must be kept out of
    every choice, `reals` the rows of real images that may be used, `fakes` the rows of all fakes of
    other generators than `test`.
    """

    train: str
    test: str
    reals: Rows
    fakes: Rows


Score = Callable[[Array], Array]
"""Maps (m, d) features to (m,) scores, larger is more fake."""

Fit = Callable[[Array, Array, Context], Score]
"""Takes the fakes (n1, d) and reals (n0, d) of one training task and the context, returns a score."""


def discriminant(fake: Array, real: Array, *, ridge: float = 10.0) -> Array:
    """Ridge-regularised linear discriminant (Σ + λ·tr(Σ)/d·I)⁻¹(μ_F − μ_R), (d,).

    Σ pools the two classes' covariances by their sizes. `ridge` λ is relative to the mean variance.
    """
    covariance, difference = pooled_statistics(fake, real, ridge=ridge)
    return np.asarray(np.linalg.solve(covariance, difference))


def pooled_statistics(fake: Array, real: Array, *, ridge: float) -> tuple[Array, Array]:
    """The regularised pooled covariance (d, d) and the difference of means (d,) of one training task."""
    if len(fake) + len(real) < 3 or not len(fake) or not len(real):
        raise UsageError("A training task needs at least one fake, one real and three images in all.")
    difference = fake.mean(axis=0) - real.mean(axis=0)
    rows = np.concatenate([fake - fake.mean(axis=0), real - real.mean(axis=0)])
    covariance = rows.T @ rows / len(rows)
    covariance[np.diag_indices_from(covariance)] += ridge * np.trace(covariance) / len(covariance) + 1e-12
    return covariance, difference


def real_halves(
    groups: NDArray[Any], splits: int, rng: np.random.Generator, *, least: float = 0.3
) -> list[tuple[Rows, Rows]]:
    """`splits` random halvings of rows by `groups` (n,), each half holding at least `least` of the rows.

    Returns pairs of row positions. Raises UsageError where no such halving exists (one huge group).
    """
    names, inverse = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(inverse)
    out: list[tuple[Rows, Rows]] = []
    for _ in range(1000 * splits):
        side = rng.random(len(names)) < 0.5
        share = sizes[side].sum() / sizes.sum()
        if least <= share <= 1 - least:
            out.append((np.flatnonzero(side[inverse]), np.flatnonzero(~side[inverse])))
        if len(out) == splits:
            return out
    raise UsageError(
        f"The {len(names)} groups of real images cannot be halved with at least {least:.0%} on each side; "
        "give finer groups (each image its own group, if need be)."
    )


def halves_of(rows: Rows, groups: NDArray[Any], rng: np.random.Generator) -> tuple[Rows, Rows]:
    """`rows` halved by their `groups` (n,), or row by row where groups are too few or too unequal."""
    try:
        a, b = real_halves(np.asarray(groups)[rows], 1, rng)[0]
    except UsageError:
        a, b = real_halves(np.arange(len(rows)), 1, rng)[0]
    return rows[a], rows[b]


@dataclass(frozen=True)
class TransferMatrix:
    """AUC per (split direction, training generator, test generator), (s, g, g); NaN: not computed."""

    generators: tuple[str, ...]
    cells: Array
    sizes: NDArray[np.intp]

    @property
    def mean(self) -> Array:
        """(g, g) mean over splits."""
        return np.asarray(self.cells.mean(axis=0))

    def off_diagonal(self) -> float:
        """The OOD score: mean of all cells whose training and test generators differ."""
        return _off_mean(self.mean)

    def diagonal(self) -> float:
        """Mean of the cells whose generators are the same; NaN unless computed with `diagonal=True`."""
        return float(np.diagonal(self.mean).mean())

    def interval(
        self, rng: np.random.Generator, *, draws: int = 2000, level: float = 0.9
    ) -> tuple[float, float]:
        """Percentile interval of the OOD score, bootstrap clustered by generator (see `difference`)."""
        return middle(_draws(self.cells, rng, draws), level)

    def to_json(self) -> dict[str, Any]:
        """Means over splits as plain JSON values; cells that were not computed are null."""
        cells = [[None if np.isnan(v) else round(float(v), 5) for v in line] for line in self.mean]
        return {"train": list(self.generators), "test": list(self.generators), "auc": cells}


@dataclass(frozen=True)
class Difference:
    """A paired difference of two OOD scores with its clustered interval; `share` > 0 in draws."""

    value: float
    low: float
    high: float
    share: float

    @classmethod
    def of(cls, value: float, drawn: Array, level: float) -> Difference:
        """From the difference itself and bootstrap draws of it (b,)."""
        low, high = middle(drawn, level)
        return cls(value, low, high, float((drawn > 0).mean()))

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def _off_mean(M: Array) -> float:
    return float(M[~np.eye(len(M), dtype=bool)].mean())


def _draws(cells: Array, rng: np.random.Generator, draws: int) -> Array:
    """Off-diagonal means under resampling of generators (in both roles at once) and split directions."""
    splits, g, _ = cells.shape
    counts = bootstrap_counts(g, draws, rng).astype(float)
    chosen = bootstrap_counts(splits, draws, rng) / splits
    filled = np.where(np.eye(g, dtype=bool), 0, cells)
    # Pairs of the same drawn generator are left out: they would be in-distribution cells.
    top = np.einsum("bs,sij,bi,bj->b", chosen, filled, counts, counts, optimize=True)
    pairs = counts.sum(axis=1) ** 2 - (counts**2).sum(axis=1)
    ok = pairs > 0
    return np.asarray(top[ok] / pairs[ok])


def middle(drawn: Array, level: float) -> tuple[float, float]:
    """Ends of the middle `level` of bootstrap draws."""
    low, high = percentile_interval(drawn, (1 - level) / 2).tolist()
    return low, high


def difference(
    variant: TransferMatrix,
    baseline: TransferMatrix,
    rng: np.random.Generator,
    *,
    draws: int = 2000,
    level: float = 0.9,
) -> Difference:
    """Paired difference of OOD scores, variant minus baseline, with a bootstrap interval.

    Generators are the clusters (a drawn generator counts in both its roles, rows and columns); splits
    of the reals are resampled beside them. Both matrices must be of the same generators and splits.
    """
    if variant.generators != baseline.generators or variant.cells.shape != baseline.cells.shape:
        raise UsageError("Transfer matrices can be compared only over the same generators and splits.")
    drawn = _draws(variant.cells - baseline.cells, rng, draws)
    return Difference.of(variant.off_diagonal() - baseline.off_diagonal(), drawn, level)


def generators_of(y: NDArray[np.intp], generator: NDArray[np.object_], least: int) -> tuple[str, ...]:
    """Names of the generators with at least `least` fakes, sorted."""
    names, counts = np.unique(generator[y == 1].astype(str), return_counts=True)
    return tuple(str(n) for n, c in zip(names, counts, strict=True) if c >= least)


def directions(
    y: NDArray[np.intp], groups: NDArray[Any], splits: int, rng: np.random.Generator
) -> list[tuple[Rows, Rows]]:
    """Rows of real images that train and that test: `splits` halvings by `groups` (n,), each both ways."""
    reals = np.flatnonzero(np.asarray(y) == 0)
    halves = [(reals[a], reals[b]) for a, b in real_halves(np.asarray(groups)[reals], splits, rng)]
    return [pair for a, b in halves for pair in ((a, b), (b, a))]


def transfer_matrix(
    X: NDArray[Any],
    y: NDArray[Any],
    generator: NDArray[Any],
    groups: NDArray[Any],
    *,
    fit: Fit | None = None,
    generators: Sequence[str] | None = None,
    least: int = 10,
    splits: int = 3,
    diagonal: bool = False,
    random_state: int = 0,
) -> TransferMatrix:
    """Train on generator a and half of the reals, test on generator b and the other half: AUC of each.

    `X` (n, d); `y` (n,) labels, real 0, fake 1; `generator` (n,) names what counts as one generator
    among fakes (ignored for reals; lineages keep relatives together); `groups` (n,) splits the reals
    (sources). `fit` defaults to `discriminant` on standardised features. Each of `splits` halvings is
    used in both directions, so cells are (2·splits, g, g). The same `random_state` gives the same
    splits, hence paired matrices. With `diagonal=True` generators are halved by images for their own
    cell; otherwise the diagonal is NaN.
    """
    X = np.asarray(X, dtype=np.float64)
    y = np.asarray(y).astype(np.intp)
    generator, groups = np.asarray(generator).astype(object), np.asarray(groups)
    if X.ndim != 2 or not len(X) == len(y) == len(generator) == len(groups):
        raise UsageError("X (n, d), y, generator and groups must have the same number of rows.")
    names = tuple(generators) if generators is not None else generators_of(y, generator, least)
    if len(names) < 2:
        raise UsageError(
            f"Transfer needs two generators with at least {least} fakes each; found {len(names)}."
        )
    fit = fit or fit_discriminant()
    rng = np.random.default_rng(random_state)
    rows = {g: np.flatnonzero((y == 1) & (generator == g)) for g in names}
    pairs = directions(y, groups, splits, rng)
    order = {g: rng.permutation(r) for g, r in rows.items()}
    cells = np.full((len(pairs), len(names), len(names)), np.nan)
    parts = {g: X[r] for g, r in rows.items()}
    for s, (train, test) in enumerate(pairs):
        trained, tested = X[train], X[test]
        # A recipe may return one score for many cells: it then meets the reals once.
        seen: dict[int, tuple[Score, Array]] = {}
        for j, h in enumerate(names):
            others = np.concatenate([rows[g] for g in names if g != h])
            for i, g in enumerate(names):
                if g == h and not diagonal:
                    continue
                own, scored = parts[g], parts[h]
                if g == h:
                    half = len(own) // 2
                    own, scored = X[order[g][:half]], X[order[g][half:]]
                with on_one_core():  # many small solves
                    score = fit(own, trained, Context(g, h, train, others))
                if id(score) not in seen:
                    seen[id(score)] = (score, score(tested))
                cells[s, i, j] = two_sample_auc(score(scored), seen[id(score)][1])
    return TransferMatrix(names, cells, np.array([len(rows[g]) for g in names]))


def fit_discriminant(*, ridge: float = 10.0, standardize: bool = True) -> Fit:
    """The default recipe: `discriminant` on features scaled by the training reals' standard deviation."""

    def fit(fake: Array, real: Array, context: Context) -> Score:
        scale = real.std(axis=0) + 1e-9 if standardize else np.ones(real.shape[1])
        w = discriminant(fake / scale, real / scale, ridge=ridge) / scale
        return lambda X: np.asarray(X @ w)

    return fit
