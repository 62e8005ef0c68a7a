"""Residuals: the direction in which a generator's images differ from real ones, and how sure it is.

Read (RAVE, train_rave.py, same first author as the paper; the paper itself, in a co-author's words:
"Residual = segment joining the centroids"): every embedding is L2-normalised; each class mean is
normalised again; r = μ_F − μ_R, normalised. Our own proposals: the permutation null of its length, the
bootstrap stability, the midpoint threshold (RAVE uses ⟨μ₊, r⟩).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError
from morelli.explanation._transfer import Context, Fit, Score, generators_of
from morelli.metrics.resampling import bootstrap_counts, percentile_interval

Array = NDArray[np.floating]


def normalize_rows(X: ArrayLike) -> Array:
    """Rows of X (n, d) at unit L2 length; zero rows stay zero."""
    rows = np.asarray(X, dtype=np.float64)
    norm = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 0))


@dataclass(frozen=True)
class Residual:
    """One generator's residual.

    `direction` (d,) unit vector, from real to fake; `length` ‖μ_F − μ_R‖ of the unit means, in [0, 2];
    `threshold` midpoint of the two projected means; `p_value` of the length under permuted labels,
    (1 + exceeding) / (1 + permutations); `null` (permutations,) lengths under permuted labels;
    `stability` mean cosine of bootstrap residuals to this one; `real_mean`, `fake_mean` (d,) unit means.
    """

    generator: str
    direction: Array
    length: float
    threshold: float
    p_value: float
    null: Array
    stability: float
    real_mean: Array
    fake_mean: Array
    n_fake: int
    n_real: int

    def scores(self, X: NDArray[Any]) -> Array:
        """Projection of each row's unit vector on the residual, (n,)."""
        return np.asarray(normalize_rows(X) @ self.direction)

    def predict(self, X: NDArray[Any]) -> NDArray[np.int8]:
        """1 (fake) where the projection exceeds the midpoint threshold, else 0."""
        return (self.scores(X) > self.threshold).astype(np.int8)


def residual_direction(fake: ArrayLike, real: ArrayLike) -> tuple[Array, float, Array, Array]:
    """RAVE's recipe on fakes (n1, d) and reals (n0, d): direction, length, both unit means."""
    mean_fake = normalize_rows(normalize_rows(fake).mean(axis=0))
    mean_real = normalize_rows(normalize_rows(real).mean(axis=0))
    difference = mean_fake - mean_real
    length = float(np.linalg.norm(difference))
    if length == 0:
        raise UsageError("Fake and real features have the same mean direction: there is no residual.")
    return difference / length, length, mean_fake, mean_real


def _lengths(sum_fake: Array, sum_all: Array) -> Array:
    """Residual lengths of many label assignments from the sums of unit rows, (b, d) and (d,)."""
    a, b = normalize_rows(sum_fake), normalize_rows(sum_all - sum_fake)
    return np.asarray(np.sqrt(np.maximum(2 - 2 * np.einsum("bd,bd->b", a, b), 0)))


def permutation_null(
    X: NDArray[Any], n_fake: int, rng: np.random.Generator, *, permutations: int = 2000
) -> Array:
    """Lengths of residuals of random label assignments over the rows X (n, d), (permutations,).

    Vectorised: an assignment is a 0/1 row, so all class sums are one matrix product.
    """
    unit = normalize_rows(X)
    n = len(unit)
    total = unit.sum(axis=0)
    out = np.empty(permutations)
    for start in range(0, permutations, 500):
        size = min(500, permutations - start)
        order = np.argsort(rng.random((size, n)), axis=1)[:, :n_fake]
        chosen = np.zeros((size, n))
        np.put_along_axis(chosen, order, 1, axis=1)
        out[start : start + size] = _lengths(chosen @ unit, total)
    return out


def bootstrap_directions(
    fake: NDArray[Any], real: NDArray[Any], rng: np.random.Generator, *, draws: int = 200
) -> Array:
    """Residual directions of resampled fakes and reals, (draws, d) unit rows (zero where degenerate)."""
    fake, real = normalize_rows(fake), normalize_rows(real)
    a = normalize_rows(bootstrap_counts(len(fake), draws, rng) @ fake)
    b = normalize_rows(bootstrap_counts(len(real), draws, rng) @ real)
    return normalize_rows(a - b)


def residual(
    fake: NDArray[Any],
    real: NDArray[Any],
    *,
    generator: str = "",
    permutations: int = 2000,
    draws: int = 200,
    random_state: int = 0,
) -> Residual:
    """The residual of one generator, with its permutation null and bootstrap stability."""
    fake, real = np.asarray(fake, dtype=np.float64), np.asarray(real, dtype=np.float64)
    if fake.ndim != 2 or real.ndim != 2 or not len(fake) or not len(real) or fake.shape[1] != real.shape[1]:
        raise UsageError(
            f"A residual needs fake (n, d) and real (m, d) features; got {fake.shape}, {real.shape}."
        )
    rng = np.random.default_rng(random_state)
    direction, length, mean_fake, mean_real = residual_direction(fake, real)
    null = permutation_null(np.concatenate([fake, real]), len(fake), rng, permutations=permutations)
    stability = float((bootstrap_directions(fake, real, rng, draws=draws) @ direction).mean())
    return Residual(
        generator=generator,
        direction=direction,
        length=length,
        threshold=float((mean_fake + mean_real) @ direction / 2),
        p_value=float((1 + (null >= length).sum()) / (1 + len(null))),
        null=null,
        stability=stability,
        real_mean=mean_real,
        fake_mean=mean_fake,
        n_fake=len(fake),
        n_real=len(real),
    )


@dataclass(frozen=True)
class ResidualSet:
    """Residuals of several generators against the same reals.

    `cosine` (g, g) between residuals; `low`, `high` (g, g) its bootstrap interval; the reals are
    resampled together for all generators, since they share them (a shared source of cosine that the
    interval then contains).
    """

    residuals: tuple[Residual, ...]
    cosine: Array
    low: Array
    high: Array

    @property
    def generators(self) -> tuple[str, ...]:
        """Names, in the order of rows and columns."""
        return tuple(r.generator for r in self.residuals)

    def directions(self) -> Array:
        """(g, d) unit rows."""
        return np.stack([r.direction for r in self.residuals])


def residuals(
    X: NDArray[Any],
    y: NDArray[Any],
    generator: NDArray[Any],
    *,
    generators: Sequence[str] | None = None,
    least: int = 10,
    permutations: int = 2000,
    draws: int = 200,
    random_state: int = 0,
) -> ResidualSet:
    """Residuals of every generator with at least `least` fakes in X (n, d), each against all reals."""
    X = np.asarray(X, dtype=np.float64)
    y, generator = np.asarray(y).astype(np.intp), np.asarray(generator).astype(object)
    names = tuple(generators) if generators is not None else generators_of(y, generator, least)
    if not names:
        raise UsageError(
            f"No generator has {least} fakes; lower `least` (--least) or merge generators into lineages."
        )
    real = X[y == 0]
    fakes = [X[(y == 1) & (generator == g)] for g in names]
    found = tuple(
        residual(f, real, generator=g, permutations=permutations, draws=draws, random_state=random_state + i)
        for i, (g, f) in enumerate(zip(names, fakes, strict=True))
    )
    direction = np.stack([r.direction for r in found])
    rng = np.random.default_rng(random_state)
    unit_real = normalize_rows(real)
    b = normalize_rows(bootstrap_counts(len(unit_real), draws, rng) @ unit_real)
    drawn = []
    for f in fakes:
        a = normalize_rows(bootstrap_counts(len(f), draws, rng) @ normalize_rows(f))
        drawn.append(normalize_rows(a - b))
    R = np.stack(drawn)  # (g, draws, d)
    low, high = percentile_interval(np.einsum("gbd,hbd->bgh", R, R))
    return ResidualSet(found, direction @ direction.T, low, high)


def fit_residual() -> Fit:
    """Residual classifier as a recipe for `transfer_matrix`: score = projection minus midpoint threshold."""

    def fit(fake: Array, real: Array, context: Context) -> Score:
        direction, _, mean_fake, mean_real = residual_direction(fake, real)
        threshold = (mean_fake + mean_real) @ direction / 2
        return lambda X: np.asarray(normalize_rows(X) @ direction - threshold)

    return fit
