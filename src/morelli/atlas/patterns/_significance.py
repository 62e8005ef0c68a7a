"""Whether a prototype belongs to one class more than chance, and how sure its figures are, by whole groups.

Images of one lineage or source resemble each other, so what is permuted and resampled is the group. The
statistic of a prototype is the share of generated images that carry it minus the share of real ones, divided
by its standard error over groups. Groups differ much in size (a few large sources of real images, many small
generators), and only the studentised difference has about the same null distribution whichever are large
(Chung and Romano 2013). p-values are corrected for the number of prototypes by the step-down maximum of
Westfall and Young (1993, algorithm 4.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.metrics.resampling import bootstrap_counts

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Array = NDArray[Any]
TAIL = 0.05
"""Share of a bootstrap beyond each end of an interval."""
_CELLS = 8_000_000
SIGNIFICANT = 0.05
"""Corrected p-value up to which a prototype belongs to one class more than chance would have it."""


@dataclass(frozen=True)
class Units:
    """What stays together: labelled images of one group and one label.

    Attributes:
        code: (n,) unit of each image, −1 where it has no label.
        label: (u,) 0 or 1. size: (u,) images.
    """

    code: NDArray[np.int64]
    label: NDArray[np.int8]
    size: NDArray[np.float64]

    @classmethod
    def of(cls, labels: Array, groups: ArrayLike | None) -> Units:
        """Units of labels (n,) with −1 for unknown; without groups every image is its own."""
        known = np.flatnonzero(labels >= 0)
        if groups is None:
            named = np.arange(len(known))
        else:
            named = np.unique(np.asarray(groups).astype(str)[known], return_inverse=True)[1]
        # A group that near-duplicates span is of both classes; each side of it has a label of its own.
        pairs, units = np.unique(named * 2 + labels[known], return_inverse=True)
        code = np.full(len(labels), -1, dtype=np.int64)
        code[known] = units
        return cls(code, (pairs % 2).astype(np.int8), np.bincount(units).astype(float))

    def __len__(self) -> int:
        return len(self.label)

    def sums(self, assignment: Array, m: int, weight: Array | None = None) -> csr_array:
        """Sums (u, m) over each unit's images that carry each prototype: of 1, or of `weight` (n, K)."""
        from scipy.sparse import coo_array

        row, dimension = np.nonzero((assignment >= 0) & (self.code >= 0)[:, None])
        value = np.ones(len(row)) if weight is None else np.asarray(weight[row, dimension], dtype=float)
        place = (self.code[row], assignment[row, dimension].astype(np.int64))
        return coo_array((value, place), shape=(len(self), m)).tocsr()


def may_be_chance(p: float | None) -> bool:
    """Whether a corrected p-value claims nothing; None is that of a collection without both classes.

    >>> may_be_chance(0.2), may_be_chance(0.001), may_be_chance(None)
    (True, False, True)
    """
    return p is None or p > SIGNIFICANT


@dataclass(frozen=True)
class Significance:
    """Per prototype (m,): `difference` of shares, generated − real; `score` studentised; `p`, `p_family`."""

    difference: NDArray[np.float64]
    score: NDArray[np.float64]
    p: NDArray[np.float64]
    p_family: NDArray[np.float64]


def permutation_test(
    units: Units, counts: csr_array, *, permutations: int, rng: np.random.Generator
) -> Significance:
    """Test each prototype's counts (u, m) by permuting labels over units; memory is bounded."""
    m = counts.shape[1]
    fake = units.label == 1
    if not m or fake.all() or not fake.any():
        return Significance(np.full(m, np.nan), np.zeros(m), np.ones(m), np.ones(m))
    test = _Studentised(counts, units.size)
    difference, score = (part[0] for part in test(fake[None].astype(float)))
    null = np.empty((permutations, m))
    step = max(1, min(500, _CELLS // len(units)))
    for start in range(0, permutations, step):
        stop = min(start + step, permutations)
        L = rng.permuted(np.tile(fake.astype(float), (stop - start, 1)), axis=1)
        null[start:stop] = np.abs(test(L)[1])
    strength = np.abs(score) * (1 - 1e-9)
    order = np.argsort(-strength)
    largest = np.maximum.accumulate(null[:, order[::-1]], axis=1)[:, ::-1]
    family = np.empty(m)
    family[order] = np.maximum.accumulate((1 + (largest >= strength[order]).sum(axis=0)) / (1 + permutations))
    p = (1 + (null >= strength).sum(axis=0)) / (1 + permutations)
    return Significance(difference, score, p, family)


class _Studentised:
    """Differences of shares and their studentised values for many labellings (b, u) at once."""

    def __init__(self, counts: csr_array, size: Array) -> None:
        self.size = size
        self.counts, self.squares = counts.T.tocsr(), counts.power(2).T.tocsr()
        self.products = counts.multiply(size[:, None]).T.tocsr()

    def __call__(self, L: Array) -> tuple[Array, Array]:
        (p1, v1), (p0, v0) = (self._share(side) for side in (L, 1 - L))
        return p1 - p0, (p1 - p0) / np.sqrt(v1 + v0)

    def _share(self, L: Array) -> tuple[Array, Array]:
        """Share (b, m) of one side's images that carry each prototype, and its variance over groups.

        The variance of a ratio of sums, Σ(n − p s)² / (Σs)², plus that of half an image: no share is known
        more exactly than that, and a prototype that a side lacks altogether would else have variance 0.
        """
        images, groups = (L @ self.size)[:, None], L.sum(axis=1)[:, None]
        n, n2, ns = (np.asarray(part @ L.T).T for part in (self.counts, self.squares, self.products))
        p = n / images
        residual = np.maximum(n2 - 2 * p * ns + p**2 * (L @ self.size**2)[:, None], 0)
        return p, (residual * groups / np.maximum(groups - 1, 1) + 0.25) / images**2


def bootstrap_ratio(
    numerator: csr_array, denominator: csr_array, units: Units, *, draws: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """90 % percentile interval (m,), (m,) of Σ numerator / Σ denominator over units drawn with replacement.

    Real and generated units are drawn apart, as in the collection. A draw in which no image carries the
    prototype says nothing and is left out; NaN where none does.
    """
    m = numerator.shape[1]
    found = np.full((draws, m), np.nan)
    step = max(1, min(draws, _CELLS // max(1, len(units))))
    for start in range(0, draws, step):
        stop = min(start + step, draws)
        W = np.zeros((stop - start, len(units)))
        for value in (0, 1):
            members = np.flatnonzero(units.label == value)
            if len(members):
                W[:, members] = bootstrap_counts(len(members), stop - start, rng)
        above, below = (np.asarray(part.T @ W.T).T for part in (numerator, denominator))
        np.divide(above, below, out=found[start:stop], where=below > 0)
    low, high = np.full(m, np.nan), np.full(m, np.nan)
    some = ~np.isnan(found).all(axis=0)
    if some.any():
        low[some], high[some] = np.nanquantile(found[:, some], [TAIL, 1 - TAIL], axis=0)
    return low, high
