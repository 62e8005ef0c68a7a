"""How evenly a set of embeddings fills its space, before and after components are removed.

The paper (Gaintseva et al. 2406.15035) is reported to find that isotropy improves when misleading
components go; which measure it uses we have not read, so four common ones are printed side by side.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from morelli.errors import UsageError

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Isotropy:
    """All measures of one matrix; see the functions of the same names."""

    mean_cosine: float
    partition_ratio: float
    isoscore: float
    top1_share: float
    top10_share: float

    def to_json(self) -> dict[str, float]:
        """The five numbers by name."""
        return asdict(self)


def _matrix(values: Array) -> NDArray[np.float64]:
    X: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if X.ndim != 2 or len(X) < 2 or X.shape[1] < 1:
        raise UsageError(f"Isotropy needs a matrix of at least 2 rows and 1 column; got shape {X.shape}.")
    if not np.isfinite(X).all():
        raise UsageError("Isotropy needs finite values; drop the rows with NaN or infinity first.")
    return X


def mean_cosine(X: Array) -> float:
    """Mean cosine between two different rows of X (n, d); 0 when isotropic, 1 when all point one way.

    Exact over all pairs in O(n·d): with unit rows, Σ_{i≠j} cos = ‖Σ u_i‖² − n. Used as the measure
    of anisotropy by Ethayarajh (1909.00512).
    """
    X = _matrix(X)
    norm = np.linalg.norm(X, axis=1, keepdims=True)
    if (norm == 0).any():
        raise UsageError("The cosine of a zero vector is undefined; drop the zero rows first.")
    n = len(X)
    total = (X / norm).sum(axis=0)
    return float((total @ total - n) / (n * (n - 1)))


def partition_ratio(X: Array, *, center: bool = False) -> float:
    """Mu and Viswanath's min_c Z(c) / max_c Z(c), Z(c) = Σ_i exp(c·x_i), in (0, 1]; 1 is isotropic.

    c runs over the eigenvectors of XᵀX, as in "All-but-the-top" (1702.01417, eq. 2 and below). We take
    both signs of each eigenvector, since its sign is arbitrary, and scale X to a mean row norm of 1, so
    that the ratio does not depend on the unit of the features (both are our choices). Computed in
    logarithms: no overflow.
    """
    X = _matrix(X)
    if center:
        X = X - X.mean(axis=0)
    scale = np.linalg.norm(X, axis=1).mean()
    if scale == 0:
        raise UsageError("All rows are zero; their isotropy is undefined.")
    X = X / scale
    _, vectors = np.linalg.eigh(X.T @ X)
    along = X @ vectors
    log_z = np.concatenate([logsumexp(along, axis=0), logsumexp(-along, axis=0)])
    return float(np.exp(log_z.min() - log_z.max()))


def isoscore(X: Array) -> float:
    """IsoScore of Rudman et al. (2108.07344, algorithm 1), in [0, 1]; 1 when all directions vary alike.

    Variances along the principal axes, normalised to length √d; their distance from (1, …, 1) gives
    the isotropy defect δ, then φ = (d − δ²(d − √d))² / d² and ι = (d·φ − 1)/(d − 1). Invariant to
    shifts, rotations and scale.
    """
    X = _matrix(X)
    d = X.shape[1]
    if d == 1:
        return 1.0
    variances = _variances(X)
    length = np.linalg.norm(variances)
    if length == 0:
        raise UsageError("All rows are equal; IsoScore is undefined.")
    unit = np.sqrt(d) * variances / length
    defect = np.linalg.norm(unit - 1) / np.sqrt(2 * (d - np.sqrt(d)))
    phi = (d - defect**2 * (d - np.sqrt(d))) ** 2 / d**2
    return float(np.clip((d * phi - 1) / (d - 1), 0, 1))


def _variances(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variances along all d principal axes, largest first (zeros where n < d)."""
    values = np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2 / len(X)
    out = np.zeros(X.shape[1])
    out[: len(values)] = values
    return out


def top_share(X: Array, k: int) -> float:
    """Share of the variance of X (n, d) that lies in its first k principal components, in (0, 1]."""
    variances = _variances(_matrix(X))
    if variances.sum() == 0:
        raise UsageError("All rows are equal; they have no variance to share.")
    if k < 1:
        raise UsageError(f"k counts principal components and must be at least 1; got {k}.")
    return float(variances[:k].sum() / variances.sum())


def isotropy(X: Array) -> Isotropy:
    """All measures of X (n, d) at once."""
    return Isotropy(mean_cosine(X), partition_ratio(X), isoscore(X), top_share(X, 1), top_share(X, 10))
