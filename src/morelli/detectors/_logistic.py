"""Many regularised logistic regressions on one design matrix, solved together.

Choosing C by grouped cross-validation and drawing bootstrap heads means fitting the same rows
a hundred times with other weights. All of them live in the row space of X, so X is rotated once
into its principal axes, where the Hessian is nearly diagonal; then every problem is one column of
a batched Newton method whose inner solver is conjugate gradients with that diagonal as its
preconditioner. A fold is a column of weights with zeros on the rows held out.

Of wide features of many images all axes would take longer to find than all else. Then only the leading ones
are found, on some of the rows, and they serve as the preconditioner of a problem that stays in the features'
own coordinates: what is minimised is the same.

Rows given in float32 are rotated and kept in float32, which halves memory and time: Newton's directions
come from float32 products, because a direction need not be exact; gradients and losses, which decide where
it ends, from float64 ones where the answer is to be exact, see `ROUGH`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, eigh, solve_triangular
from scipy.special import expit

Array = NDArray[np.float64]
Rows = NDArray[np.floating]
BLOCK = 4096
"""Rows that are held in float64 at once."""
MOST_AXES = 4096
"""With more, finding them all takes longer than what they save."""
LEADING = 1024
"""Directions that are found instead."""
ROUGH = 1e-4
"""A tolerance from which float32 products of float32 rows do: what they round is a hundredth of it."""


@dataclass(frozen=True)
class Basis:
    """X standardised and rotated: ``(X - mean) / scale == coordinates @ axes.T`` up to rounding.

    mean, scale: (d,). axes: (d, r) orthonormal, r = rank <= min(n, d); None where nothing is rotated and
    r = d. coordinates: (n, r), float32 if X is. spread: what the solver may expect of them.
    """

    mean: Array
    scale: Array
    axes: Array | None
    coordinates: Rows
    spread: Spread

    def unfold(self, a: Array, b: Array) -> tuple[Array, Array]:
        """Weights (B, d) and biases (B,) on raw features, from coefficients (r, B) on the axes."""
        weights = (a if self.axes is None else self.axes @ a).T / self.scale
        return weights, b - weights @ self.mean


@dataclass(frozen=True)
class Spread:
    """Mean squares of coordinates: along the axes themselves, or along some directions and across them.

    along: (r,), or (k,) for the orthonormal `directions` (r, k). across: of any direction orthogonal to
    these; without `directions` there is none.
    """

    along: Array
    directions: Array | None = None
    across: float = 0.0

    def divide(self, vectors: Array, total: Array) -> Array:
        """(1 + total_j G)⁻¹ of column j of vectors (r, B), G being the covariance that this describes."""
        along = 1.0 / (1.0 + self.along[:, None] * total)
        if self.directions is None:
            return np.asarray(along * vectors)
        across = 1.0 / (1.0 + self.across * total)
        return np.asarray(
            across * vectors + self.directions @ ((along - across) * (self.directions.T @ vectors))
        )


def rotate(X: Rows, *, standardize: bool = True) -> Basis:
    """Principal axes of X (n, d), through the smaller of the two Gram matrices.

    With more than `MOST_AXES` of them X is standardised and not rotated.
    """
    if X.dtype not in (np.float32, np.float64):
        X = np.asarray(X, dtype=np.float64)
    n, d = X.shape
    mean, scale = np.zeros(d), np.ones(d)
    if standardize:
        mean = X.mean(axis=0, dtype=np.float64)
        scale = np.sqrt(sum(np.square(X[rows] - mean).sum(axis=0) for rows in _blocks(n)) / n)
        # A constant column has a deviation of pure rounding error; dividing by it would blow it up.
        scale[scale <= 10 * np.finfo(np.float64).eps * np.maximum(1.0, np.abs(mean))] = 1.0

    def centred(rows: slice) -> Array:
        return np.asarray((X[rows] - mean) / scale)

    if min(n, d) > MOST_AXES:
        coordinates = np.empty((n, d), X.dtype)
        for rows in _blocks(n):
            coordinates[rows] = centred(rows)
        return Basis(mean, scale, None, coordinates, _leading(coordinates))
    if n < d:
        whole = centred(slice(None))
        gram = whole @ whole.T
    else:
        gram = np.zeros((d, d))
        for rows in _blocks(n):
            block = centred(rows)
            gram += block.T @ block
    values, vectors = eigh(gram, driver="evd", overwrite_a=True, check_finite=False)
    del gram
    largest = max(float(values[-1]), 0.0)
    keep = values > largest * 1e-13
    if not keep.any():
        return Basis(mean, scale, np.zeros((d, 1)), np.zeros((n, 1), X.dtype), Spread(np.zeros(1)))
    values, vectors = values[keep][::-1], vectors[:, keep][:, ::-1]
    spread = Spread(values / n)
    if n < d:
        singular = np.sqrt(values)
        axes = (whole.T @ vectors) / singular
        return Basis(mean, scale, axes, (vectors * singular).astype(X.dtype), spread)
    coordinates = np.empty((n, len(values)), X.dtype)
    turn = vectors.astype(X.dtype, copy=False)
    for rows in _blocks(n):
        coordinates[rows] = centred(rows).astype(X.dtype, copy=False) @ turn
    return Basis(mean, scale, vectors, coordinates, spread)


def _leading(Z: Rows) -> Spread:
    """The leading directions of standardised rows (n, d), by subspace iteration on some of the rows.

    After Halko, Martinsson & Tropp (2011), "Finding structure with randomness", algorithm 4.4.
    """
    some = np.asarray(Z[:: math.ceil(len(Z) / (4 * LEADING))], dtype=np.float32)
    start = np.random.default_rng(0).normal(size=(Z.shape[1], min(LEADING, *some.shape)))
    directions = start.astype(np.float32)
    for _ in range(4):
        directions = _orthonormal(some.T @ (some @ directions)).astype(np.float32)
    projected = (some @ directions).astype(np.float64)
    values, turn = eigh(projected.T @ projected / len(some))
    rest = float(np.square(some, dtype=np.float64).sum() / len(some) - values.sum())
    across = max(rest, 0.0) / max(1, Z.shape[1] - len(values))
    return Spread(np.maximum(values, 0.0), _orthonormal(directions) @ turn, across)


def _orthonormal(Y: Rows) -> Array:
    """An orthonormal basis of the columns of Y (d, k), by Cholesky's factor of their Gram matrix, twice.

    For tall matrices this takes a fraction of the time of Householder's reflections, which serve columns
    that depend on each other.
    """
    Q = np.asarray(Y, dtype=np.float64)
    try:
        for _ in range(2):
            Q = solve_triangular(cholesky(Q.T @ Q), Q.T, trans="T").T
    except np.linalg.LinAlgError:
        Q = np.linalg.qr(Q)[0]
    return np.asarray(Q)


def _blocks(n: int) -> Iterator[slice]:
    """Slices of at most `BLOCK` rows of n."""
    return (slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK))


def solve_many(
    basis: Basis,
    y: Array,
    S: Array,
    C: Array,
    *,
    tol: float = 1e-6,
    max_iter: int = 100,
) -> tuple[Array, Array, int]:
    """Minimise ``C_j sum_i S_ij log(1 + exp(-(2 y_i - 1) (Z_i a_j + b_j))) + |a_j|^2 / 2`` for every j.

    This is scikit-learn's LogisticRegression (the intercept is not penalised).

    Args:
        basis: whose coordinates Z (n, r) are, from `rotate`; they may be those of some of its rows.
        y: (n,) in {0, 1}, or (n, B), one column per problem.
        S: (n, B) sample weights, one column per problem. C: (B,) inverse regularisation.
        tol: largest error of a_j in the norm of its own Hessian (Newton decrement).

    Returns:
        a (r, B), b (B,) and the number of Newton steps.
    """
    Z = basis.coordinates
    S = np.asarray(S, dtype=np.float64)
    n_problems = S.shape[1]
    y = np.broadcast_to(y if y.ndim == 2 else y[:, None], S.shape)
    C = np.broadcast_to(np.asarray(C, dtype=np.float64), (n_problems,))
    exact = Z.dtype == np.float64 or tol < ROUGH
    a = np.zeros((Z.shape[1], n_problems))
    share = np.clip((S * y).sum(axis=0) / np.maximum(S.sum(axis=0), 1e-300), 1e-6, 1 - 1e-6)
    b = np.log(share / (1 - share))
    f = np.tile(b, (len(Z), 1))
    active = np.arange(n_problems)
    steps = 0
    for _ in range(max_iter):
        steps += 1
        weights, target = S[:, active] * C[active], y[:, active]
        p = expit(f)
        residual = weights * (p - target)
        gradient = _transposed_times(Z, residual, exact=exact) + a[:, active]
        gradient_b = residual.sum(axis=0)
        curvature = weights * p * (1 - p)
        step, step_b = _newton_direction(Z, gradient, gradient_b, curvature, basis.spread, tol=tol)
        slope = np.einsum("ij,ij->j", gradient, step) + gradient_b * step_b
        change = _times(Z, step, exact=exact) + step_b
        length = _line_search(f, change, a[:, active], step, weights, target, slope)
        a[:, active] += length * step
        b[active] += length * step_b
        running = -slope > tol**2
        active, f = active[running], (f + length * change)[:, running]
        if not active.size:
            break
    return a, b, steps


def _times(Z: Rows, a: Array, *, exact: bool) -> Array:
    """Z (n, r) times a (r, B), in float64 where it is to be exact."""
    dtype = np.float64 if exact else Z.dtype
    product = np.empty((len(Z), a.shape[1]))
    factor = a.astype(dtype, copy=False)
    for rows in _blocks(len(Z)):
        product[rows] = Z[rows].astype(dtype, copy=False) @ factor
    return product


def _transposed_times(Z: Rows, f: Array, *, exact: bool) -> Array:
    """Z (n, r) transposed times f (n, B), in float64 where it is to be exact, and summed so over blocks."""
    dtype = np.float64 if exact else Z.dtype
    product = np.zeros((Z.shape[1], f.shape[1]))
    for rows in _blocks(len(Z)):
        product += Z[rows].astype(dtype, copy=False).T @ f[rows].astype(dtype, copy=False)
    return product


def _newton_direction(
    Z: Rows, gradient: Array, gradient_b: Array, curvature: Array, spread: Spread, *, tol: float
) -> tuple[Array, Array]:
    """Preconditioned conjugate gradients on (Z' H Z + 1) step = -gradient, all problems at once."""
    total = curvature.sum(axis=0)
    inverse_b = 1.0 / np.maximum(total, 1e-12)
    x, x_b = np.zeros_like(gradient), np.zeros_like(gradient_b)
    r, r_b = -gradient, -gradient_b
    z, z_b = spread.divide(r, total), inverse_b * r_b
    q, q_b = z, z_b
    rho = np.einsum("ij,ij->j", r, z) + r_b * z_b
    # Eisenstat–Walker: far from the optimum a rough direction is enough, close to it an exact one pays;
    # none need be more exact than the answer.
    goal = np.maximum(rho * np.minimum(0.1, np.sqrt(np.maximum(rho, 0.0))), max(0.1 * tol**2, 1e-28))
    for _ in range(200):
        on = np.flatnonzero(rho > goal)
        if not on.size:
            break
        along, along_b = q[:, on], q_b[on]
        inner = curvature[:, on] * (Z @ along.astype(Z.dtype, copy=False) + along_b)
        h = Z.T @ inner.astype(Z.dtype, copy=False) + along
        h_b = inner.sum(axis=0)
        bend = np.einsum("ij,ij->j", along, h) + along_b * h_b
        alpha = np.where(bend > 0, rho[on] / np.where(bend > 0, bend, 1.0), 0.0)
        x[:, on] += alpha * along
        x_b[on] += alpha * along_b
        r[:, on] -= alpha * h
        r_b[on] -= alpha * h_b
        z, z_b = spread.divide(r[:, on], total[on]), inverse_b[on] * r_b[on]
        fresh = np.einsum("ij,ij->j", r[:, on], z) + r_b[on] * z_b
        beta = fresh / rho[on]
        q[:, on] = z + beta * along
        q_b[on] = z_b + beta * along_b
        rho[on] = fresh
    return x, x_b


def _line_search(  # noqa: PLR0917 - the pieces of one formula
    f: Array, direction: Array, a: Array, step: Array, weights: Array, y: Array, slope: Array
) -> Array:
    """Step lengths (B,) that satisfy Armijo's rule, halving from 1."""
    start = (weights * (np.logaddexp(0, f) - y * f)).sum(axis=0)
    cross = np.einsum("ij,ij->j", a, step)
    square = np.einsum("ij,ij->j", step, step)
    length = np.ones_like(slope)
    for _ in range(40):
        moved = f + length * direction
        loss = (weights * (np.logaddexp(0, moved) - y * moved)).sum(axis=0)
        change = loss - start + length * cross + 0.5 * length**2 * square
        # Rounding of the loss itself must not reject the last, tiny steps.
        poor = change > 1e-4 * length * slope + 1e-11 * np.maximum(1.0, np.abs(start))
        if not poor.any():
            break
        length = np.where(poor, 0.5 * length, length)
    return length
