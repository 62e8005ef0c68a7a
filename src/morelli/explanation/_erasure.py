"""Bases to search components in, and linear erasure of what should not decide.

LEACE is Belrose et al., "LEACE: perfect linear concept erasure in closed form" (2306.03819, theorem
4.2): x ↦ x − W⁺ P W (x − μ), W the whitening of x and P the projection on the whitened
cross-covariance with the concept; afterwards no linear classifier can do better than a constant.
The rotated bases and the choice of what to erase (the generator's identity among fakes, the source's
among reals) are our own proposals for the paper's "removing harmful components".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError

Array = NDArray[np.floating]
BasisName = Literal["identity", "pca", "residual"]


@dataclass(frozen=True)
class Eraser:
    """Affine map x ↦ x − (x − mean) @ left @ right with left (d, k), right (k, d); rank k is erased."""

    mean: Array
    left: Array
    right: Array

    @property
    def rank(self) -> int:
        """Number of dimensions erased."""
        return int(self.right.shape[0])

    def __call__(self, X: NDArray[Any]) -> Array:
        """Erase from X (n, d)."""
        X = np.asarray(X, dtype=np.float64)
        return np.asarray(X - ((X - self.mean) @ self.left) @ self.right)


def one_hot(concept: NDArray[Any]) -> Array:
    """(n, classes) indicator matrix of labels (n,), for `leace`."""
    names, inverse = np.unique(np.asarray(concept), return_inverse=True)
    return np.asarray(np.eye(len(names))[inverse])


def leace(X: NDArray[Any], Z: NDArray[Any], *, tolerance: float = 1e-6) -> Eraser:
    """Least-squares concept erasure of Z (n, k) from X (n, d) (2306.03819, theorem 4.2).

    `tolerance`: relative eigenvalues below it count as zero, in the whitening and in the rank.
    """
    X, Z = np.asarray(X, dtype=np.float64), np.asarray(Z, dtype=np.float64)
    if X.ndim != 2 or Z.ndim != 2 or len(X) != len(Z):
        raise UsageError(f"LEACE needs X (n, d) and Z (n, k) of as many rows; got {X.shape} and {Z.shape}.")
    mean = X.mean(axis=0)
    Xc, Zc = X - mean, Z - Z.mean(axis=0)
    values, V = np.linalg.eigh(Xc.T @ Xc / len(X))
    keep = values > tolerance * values.max()
    root = np.sqrt(values[keep])
    V = V[:, keep]
    whiten, unwhiten = V / root, V * root  # W = whiten.T, W⁺ = unwhiten
    cross = whiten.T @ (Xc.T @ Zc / len(X))
    U, s, _ = np.linalg.svd(cross, full_matrices=False)
    U = U[:, s > tolerance * max(s.max(initial=0.0), tolerance)]
    return Eraser(mean, whiten @ U, (unwhiten @ U).T)


def pca_basis(X: NDArray[Any]) -> Array:
    """Principal axes of X (n, d) as orthonormal columns (d, d), most variance first."""
    X = np.asarray(X, dtype=np.float64)
    Xc = X - X.mean(axis=0)
    _, V = np.linalg.eigh(Xc.T @ Xc)
    return np.asarray(V[:, ::-1])


def residual_basis(directions: NDArray[Any], X: NDArray[Any]) -> Array:
    """Orthonormal columns (d, d): principal axes of the residuals first, then those of X in the rest.

    `directions` (g, d) are residuals of generators: the first column is what they share most, the
    columns up to their rank what they differ in, the others principal axes of X orthogonal to all of
    them.
    """
    directions, X = np.asarray(directions, dtype=np.float64), np.asarray(X, dtype=np.float64)
    _, s, axes = np.linalg.svd(directions, full_matrices=False)
    axes = axes[s > 1e-9 * s.max()]
    rest = X - X.mean(axis=0)
    rest = rest - (rest @ axes.T) @ axes
    _, V = np.linalg.eigh(rest.T @ rest)
    V = V[:, ::-1][:, : X.shape[1] - len(axes)]
    # eigh leaves the null space of `rest` last; it contains `axes`, so re-orthogonalise for safety.
    Q, R = np.linalg.qr(np.concatenate([axes.T, V], axis=1))
    return np.asarray(Q * np.where(np.diagonal(R) < 0, -1, 1))


def generator_axes(
    fakes: Sequence[Array], rng: np.random.Generator, *, draws: int = 20, quantile: float = 0.95
) -> Array:
    """Orthonormal axes (k, d) in which generators differ by more than sampling, the longest first.

    `fakes` are the images (n_i, d) of one generator each. Principal axes of the deviations of their means
    from the mean of means: nuisance attribute projection (Solomonoff, Campbell and Boardman 2005) with the
    generator as the nuisance. An axis counts while its length exceeds that of the longest axis of means of
    shuffled images, every generator centred first (parallel analysis, Horn 1965): otherwise a few dozen
    noisy means would span a small space whole, and nothing would be left in it.
    """

    def svd(groups: Sequence[Array]) -> tuple[Array, Array]:
        means = np.stack([rows.mean(axis=0) for rows in groups])
        _, lengths, axes = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
        return lengths, axes

    lengths, axes = svd(fakes)
    centred = np.concatenate([rows - rows.mean(axis=0) for rows in fakes])
    edges = np.cumsum([len(rows) for rows in fakes])[:-1]
    longest = [svd(np.split(rng.permutation(centred), edges))[0][0] for _ in range(draws)]
    return np.asarray(axes[lengths > max(float(np.quantile(longest, quantile)), 1e-12)])
