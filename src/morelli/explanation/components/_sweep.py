"""The closed-form engine of the greedy search: every candidate of a step is scored at once.

Write a detector as the linear discriminant ``w = Σ_SS⁻¹ Δ_S`` over the kept components S, with
``Σ`` the (ridge-regularised) pooled covariance and ``Δ`` the difference of class means of one
training task. Removing component j (backward) or adding it (forward) changes w along one known
vector:

    w(j) = w + σ (r_j / R_jj) b_j,      R_ij = b_iᵀ Σ b_j,      r_j = b_jᵀ Δ

- **backward**: ``b_j`` is column j of ``P = Σ_SS⁻¹``; then ``R = P``, ``r = w`` and ``σ = −1``. This is
  the Schur complement of deleting row and column j.
- **forward**: ``b_j = e_j − P Σ_Sj`` (the component, made Σ-orthogonal to those already in);
  ``σ = +1``.

After component k is taken, both cases orthogonalise the other vectors against it, one
Gram–Schmidt step in the metric Σ: ``b_j ← b_j − b_k R_kj / R_kk``. What the score needs (projected
differences of means and variances of the validation problems) follows by rank-one updates, so a step
costs O(tasks · d²) for all d candidates together where refitting costs O(tasks · d · d³).

The paper (Gaintseva et al. 2406.15035) searches greedily over components with logistic regression;
the closed form with discriminants is our own proposal, and so is the Gaussian surrogate of the AUC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_blas_funcs
from scipy.special import ndtr

Array = NDArray[np.floating]
Direction = Literal["backward", "forward"]


@dataclass(frozen=True)
class SweepProblem:
    """Second-order statistics of T training tasks and the validation problems they are scored on.

    `difference` (T, d) class-mean differences Δ; `covariance` (T, d, d) regularised Σ;
    `shift` (V, d) class-mean differences of the validation problems; `factors`, K arrays (n_c, d) with
    ``Z_cᵀ Z_c`` the covariance of one validation class (centred rows over √n); `fake` and `real` (V,)
    say which two of the K classes a problem has; `weight` (T, V) non-negative weight of each pair in
    the score (0: not scored).
    """

    difference: Array
    covariance: Array
    shift: Array
    factors: tuple[Array, ...]
    fake: NDArray[np.intp]
    real: NDArray[np.intp]
    weight: Array

    @property
    def dim(self) -> int:
        """Number of components d."""
        return int(self.difference.shape[1])


def surrogate_auc(margin: Array, variance: Array) -> Array:
    """AUC of two Gaussian score distributions, Φ((μ₁−μ₀)/√(σ₁²+σ₀²)); `variance` is the sum σ₁²+σ₀².

    A score that is constant (variance 0) has AUC ½.
    """
    deviation = np.sqrt(np.maximum(variance, 0))
    ratio = np.divide(margin, deviation, out=np.zeros_like(margin), where=deviation > 1e-12)
    return np.asarray(ndtr(ratio))


def _thin(z: Array) -> Array:
    """A factor with the same ZᵀZ and at most d rows (QR)."""
    return np.asarray(np.linalg.qr(z, mode="r")) if len(z) > z.shape[1] else np.asarray(z)


class Sweep:
    """State of a greedy search; `scores` rates every remaining component, `take` removes or adds one.

    Remaining components are those still in (backward) or still out (forward); after `compact` in the
    backward direction only they are stored, so steps get cheaper as the search goes on.
    """

    def __init__(self, problem: SweepProblem, direction: Direction, *, dtype: type = np.float64) -> None:
        self.problem = problem
        self.direction: Direction = direction
        self.dtype = dtype
        self.taken: list[int] = []
        self.sign = -1.0 if direction == "backward" else 1.0
        self._ger = get_blas_funcs("ger", dtype=np.dtype(dtype))
        self._scored = np.nonzero(problem.weight)
        self._shift: Array = np.ascontiguousarray(problem.shift, dtype=dtype)
        self._factors: list[Array] = [_thin(z).astype(dtype) for z in problem.factors]
        self.ids = np.arange(problem.dim)
        self.live = np.ones(problem.dim, dtype=bool)
        delta: Array = problem.difference.astype(dtype)
        self.B: Array
        self.R: Array
        self.w: Array
        if direction == "backward":
            self.B = np.linalg.inv(np.asarray(problem.covariance, np.float64)).astype(dtype)
            self.R = self.B
            self.w = np.einsum("tij,tj->ti", self.B, delta)
        else:
            self.B = np.broadcast_to(np.eye(problem.dim, dtype=dtype), problem.covariance.shape).copy()
            self.R = problem.covariance.astype(dtype)
            self.w = np.zeros_like(delta)
        self.r = np.einsum("tij,ti->tj", self.B, delta)
        self.q = np.matmul(self._shift, self.B)
        self.margin = self.w @ self._shift.T
        tasks, kinds = len(delta), len(self._factors)
        self.z: Array = np.zeros((tasks, kinds, problem.dim), dtype=dtype)
        self.M = np.zeros_like(self.z)
        self.a: Array = np.zeros((tasks, kinds), dtype=dtype)
        for t, c, factor in self._pairs():
            rows = factor @ self.B[t]  # (n_c, d)
            out = factor @ self.w[t]
            self.a[t, c] = out @ out
            self.z[t, c] = out @ rows
            self.M[t, c] = np.einsum("ij,ij->j", rows, rows)

    def _pairs(self) -> Iterator[tuple[int, int, Array]]:
        for c, factor in enumerate(self._factors):
            for t in range(len(self.w)):
                yield t, c, factor

    def compact(self, *, invert: bool = True) -> None:
        """Stop storing components that are gone (backward; a no-op forward, whose vectors live on all).

        With `invert` the inverses are recomputed, which cancels the rounding of the downdates.
        """
        if self.direction == "forward" or self.live.all():
            return
        keep = self.live
        self.ids = self.ids[keep]
        if invert:
            kept_covariance = np.asarray(self.problem.covariance[:, self.ids[:, None], self.ids], np.float64)
            self.B = np.linalg.inv(kept_covariance).astype(self.dtype)
            delta: Array = self.problem.difference[:, self.ids].astype(self.dtype)
            self.w = np.einsum("tij,tj->ti", self.B, delta)
        else:
            self.B = np.ascontiguousarray(self.B[:, keep][:, :, keep])
            self.w = self.w[:, keep]
        self.R = self.B
        self.r = self.w.copy()
        self._factors = [np.ascontiguousarray(z[:, keep]) for z in self._factors]
        self.q, self.z, self.M = self.q[:, :, keep], self.z[:, :, keep], self.M[:, :, keep]
        self.live = np.ones(len(self.ids), dtype=bool)

    def remaining(self) -> NDArray[np.intp]:
        """Original indices of the components that can still be taken, (m,)."""
        return self.ids[self.live]

    def score(self) -> float:
        """Score of the present selection: weighted mean surrogate AUC over pairs."""
        p = self.problem
        variance = self.a[:, p.fake] + self.a[:, p.real]
        return float((surrogate_auc(self.margin, variance) * p.weight).sum() / p.weight.sum())

    def scores(self) -> Array:
        """Score after taking each remaining component, (m,) in the order of `remaining`."""
        p, keep = self.problem, self.live
        pivot = np.einsum("tjj->tj", self.R)[:, keep]
        kappa = self.sign * np.divide(self.r[:, keep], pivot, out=np.zeros_like(pivot), where=pivot > 0)
        k = kappa[:, None, :]
        per_kind = self.a[:, :, None] + k * (2 * self.z[:, :, keep] + k * self.M[:, :, keep])
        t, v = self._scored
        variance = per_kind[t, p.fake[v]] + per_kind[t, p.real[v]]  # (pairs, m)
        margin = self.margin[t, v][:, None] + kappa[t] * self.q[:, :, keep][t, v]
        weight: Array = p.weight[t, v].astype(self.dtype)
        return np.asarray(weight @ surrogate_auc(margin, variance) / weight.sum())

    def weights_after(self, components: NDArray[np.intp]) -> Array:
        """Detector weights after taking each of `components`, (T, len(components), d); for exact scores."""
        where = np.searchsorted(self.ids, components)
        pivot = np.einsum("tjj->tj", self.R)[:, where]
        kappa = self.sign * self.r[:, where] / pivot
        local = self.w[:, None, :] + kappa[:, :, None] * np.swapaxes(self.B[:, :, where], 1, 2)
        out: Array = np.zeros((len(self.w), len(components), self.problem.dim), dtype=self.dtype)
        out[:, :, self.ids] = local
        return out

    def weights(self) -> Array:
        """Detector weights of the present selection, (T, d)."""
        out: Array = np.zeros((len(self.w), self.problem.dim), dtype=self.dtype)
        out[:, self.ids] = self.w
        return out

    def take(self, component: int) -> None:
        """Remove (backward) or add (forward) one component, by original index."""
        k = int(np.searchsorted(self.ids, component))
        b = np.ascontiguousarray(self.B[:, :, k])  # (T, d)
        pivot = self.R[:, k, k].copy()
        g = self.R[:, k, :] / pivot[:, None]  # (T, d)
        kappa = self.sign * self.r[:, k] / pivot
        cb = np.stack([(b @ z.T) @ z for z in self._factors], axis=1)  # (T, K, d)
        m = np.matmul(cb, self.B)  # (T, K, d): b_jᵀ C b_k
        mk = m[:, :, k].copy()
        zk = self.z[:, :, k].copy()
        kap = kappa[:, None]
        self.w += kap * b
        self.margin += kap * self.q[:, :, k]
        self.a += 2 * kap * zk + kap**2 * mk
        self.z += kap[:, :, None] * m - g[:, None, :] * (zk + kap * mk)[:, :, None]
        self.M += g[:, None, :] ** 2 * mk[:, :, None] - 2 * g[:, None, :] * m
        self.q -= g[:, None, :] * self.q[:, :, k, None]
        self.r -= g * self.r[:, k, None]
        # In place, one pass over memory each (BLAS ger works on columns, so on the transpose here).
        for t in range(len(b)):
            self._ger(-1.0, g[t], b[t], a=self.B[t].T, overwrite_a=1)
            if self.R is not self.B:
                self._ger(-pivot[t], g[t], g[t], a=self.R[t].T, overwrite_a=1)
        self.live[k] = False
        self.taken.append(component)
