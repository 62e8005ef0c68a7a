"""Honest values of a distiller: every image by a fit that did not see its group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from morelli.atlas.distiller._distiller import Distiller
from morelli.atlas.distiller._map import DistilledMap
from morelli.atlas.distiller._matching import Matching, match_dimensions
from morelli.detectors import cross_fit

if TYPE_CHECKING:
    from morelli.encoders import Build


@dataclass(frozen=True, eq=False)
class CrossDistilled:
    """A fit to all rows, and what fits without a row's group say of it.

    distiller: the fit to all rows. values, impacts: (n, K) out of fold, dimensions in the full fit's order.
    bias: (n,) of the fold's fit; with the impacts it sums to logits (n,). folds: (n,). match: (K,) mean
    |correlation| of the folds' dimensions with the full fit's, over the rows that a fold was fitted on: how
    far a dimension is the same thing whatever was left out. fold_fits: what each fold was judged by, and how
    its dimensions are matched.
    """

    distiller: Distiller
    values: NDArray[np.float64]
    impacts: NDArray[np.float64]
    bias: NDArray[np.float64]
    logits: NDArray[np.float64]
    folds: NDArray[np.int64]
    match: NDArray[np.float64]
    fold_fits: tuple[tuple[Distiller, Matching], ...]

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return int(self.folds.max()) + 1

    def fold_maps(self, build: Build, kind: str = "final") -> tuple[DistilledMap, ...]:
        """The map that judged each fold, its dimensions in the full fit's order and turned its way."""
        return tuple(
            DistilledMap(
                kind=kind,
                unit=fitted.unit,
                A=fitted.A_[:, found.order] * found.signs,
                b=fitted.b_[found.order] * found.signs,
                activation=fitted.activation,
                w=fitted.w_[found.order] * found.signs,
                bias=fitted.bias_,
                build=build,
            )
            for fitted, found in self.fold_fits
        )


def cross_distil(
    distiller: Distiller, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None, *, n_folds: int = 5
) -> CrossDistilled:
    """Fit to all rows, and to all but each fold of groups in turn.

    Args:
        distiller: unfitted; it is cloned.
        X: (n, d). y: (n,) real 0, fake 1. groups: (n,) kept whole.
        n_folds: at most; fewer where a class has fewer groups.

    Raises:
        UsageError: a class has fewer than two groups.
    """
    X, y = np.asarray(X), np.asarray(y)
    crossed = cross_fit(distiller, X, y, groups, n_folds, distiller.random_state)
    named = None if groups is None else np.asarray(groups)
    full = clone(distiller).fit(X, y, groups=named)
    reference = full.transform(X)
    values, impacts = np.zeros_like(reference), np.zeros_like(reference)
    bias, match = np.zeros(len(y)), np.zeros(reference.shape[1])
    fold_fits = []
    for fold, fitted in enumerate(crossed.estimators):
        out = crossed.folds == fold
        every = fitted.transform(X)
        found = match_dimensions(reference[~out], every[~out], signed=distiller.activation == "relu")
        values[out] = every[out][:, found.order] * found.signs
        impacts[out] = fitted.impacts(X[out])[:, found.order]
        bias[out] = fitted.bias_
        match += found.correlation / len(crossed.estimators)
        fold_fits.append((fitted, found))
    logits = impacts.sum(axis=1) + bias
    return CrossDistilled(full, values, impacts, bias, logits, crossed.folds, match, tuple(fold_fits))
