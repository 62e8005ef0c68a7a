"""Probes for several kinds of generator: each kind against all real images, all folds and draws at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit, logsumexp
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from morelli.detectors._expert_head import ExpertHead
from morelli.detectors._folds import grouped_folds
from morelli.detectors._logistic import rotate, solve_many
from morelli.detectors._weights import GroupWeight, balanced_weights, draw_weights
from morelli.errors import UsageError

Array = NDArray[np.float64]
REAL = 0


@dataclass(frozen=True, eq=False)
class FittedExperts:
    """The head fitted on everything, and logits (n,) of experts that saw no row of the same fold."""

    head: ExpertHead
    held_out_logits: Array


class ExpertProbe(BaseEstimator):  # type: ignore[misc]
    """Logistic regression of the generators of each span of years against all real images, joined.

    logit = log Σ_k exp(z_k + shift_k): what an image shows of one kind of generator is enough (`ExpertHead`).

    Args:
        years: in which each further expert begins: (2023,) makes two, of generators until 2022 and later.
        C: inverse regularisation, as in scikit-learn, on standardised features.
        group_weight: what a lineage or source counts, see `balanced_weights`.
        n_folds: folds of groups whose held-out logits give the shifts.
        tol: largest error of the solution in the norm of its Hessian.
        random_state: seed of the folds.

    Learnt by `fit`: `head_`, an `ExpertHead`; `classes_`.
    """

    def __init__(
        self,
        years: tuple[int, ...] = (2023,),
        *,
        C: float = 2e-3,
        group_weight: GroupWeight = "sqrt",
        n_folds: int = 5,
        tol: float = 1e-3,
        random_state: int | None = 0,
    ) -> None:
        self.years = years
        self.C = C
        self.group_weight = group_weight
        self.n_folds = n_folds
        self.tol = tol
        self.random_state = random_state

    def fit(
        self,
        X: NDArray[np.floating],
        y: ArrayLike,
        *,
        eras: ArrayLike,
        groups: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit on X (n, d), y (n,) real 0 and fake 1; eras (n,) hold generators' years, see `expert_codes`.

        Raises:
            UsageError: an expert has no image, or a class has fewer than two groups.
            ValueError: X is no matrix of finite numbers.
        """
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        names = np.asarray(groups).astype(str)
        codes, experts = expert_codes(y, np.asarray(eras, dtype=object).tolist(), self.years)
        self.head_ = self.fit_folds(
            X,
            codes,
            experts,
            names,
            folds=grouped_folds(y, names, self.n_folds, self.random_state),
            sample_weight=sample_weight,
        ).head
        self.classes_ = np.array([0, 1])
        return self

    def expert_names(self, y: ArrayLike, eras: Sequence[Any]) -> tuple[str, ...]:
        """Names of the experts that a fit on these images would have.

        Args:
            y: (n,) real 0, fake 1. eras: (n,) texts with a generator's year.

        Raises:
            UsageError: one of them would have no image.
        """
        return expert_codes(y, eras, self.years)[1]

    def decision_function(self, X: NDArray[np.floating]) -> Array:
        """Logits (n,).

        Raises:
            NotFittedError: `fit` was not called.
            ValueError: X has another width, or holds something else than finite numbers.
        """
        check_is_fitted(self)
        data: NDArray[np.floating] = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return self.head_.logits(data)

    def predict_proba(self, X: NDArray[np.floating]) -> Array:
        """Probabilities (n, 2) of real and fake."""
        p = expit(self.decision_function(X))
        return np.column_stack([1 - p, p])

    def predict(self, X: NDArray[np.floating]) -> NDArray[np.int64]:
        """Labels (n,): 1 where the logit is positive."""
        return np.asarray(self.decision_function(X) > 0).astype(np.int64)

    def fit_folds(
        self,
        X: NDArray[np.floating],
        codes: NDArray[np.int64],
        experts: tuple[str, ...],
        groups: NDArray[Any],
        *,
        folds: NDArray[np.int64],
        scored: NDArray[np.int64] | None = None,
        sample_weight: ArrayLike | None = None,
        draws: NDArray[Any] | None = None,
    ) -> FittedExperts:
        """Fit on everything and without each fold, and shift the experts by their held-out logits.

        The shifts of a fold come from the other folds, those of the head from all of them. Features are
        standardised once, by the rows of all folds; see docs/evaluation.md for what that flatters.

        Args:
            X: (n, d). codes: (n,) 0 for real, else the expert; experts: their names; see `expert_codes`.
            groups, folds: (n,). scored: rows that the shifts are taken from; None: all.
            sample_weight: (n,). draws: (n, B) bootstrap counts of further heads.
        """
        labels = (codes > 0).astype(np.int8)
        scored = np.arange(len(codes)) if scored is None else scored
        masks = folds[:, None] != np.arange(int(folds.max()) + 1)
        parts = [masks, np.ones((len(codes), 1)), *([] if draws is None else [draws])]
        weights, biases = self.fit_heads(X, codes, groups, np.concatenate(parts, axis=1), sample_weight)
        n_folds = masks.shape[1]
        each = np.empty((len(codes), len(experts)))
        for fold in range(n_folds):
            rows = folds == fold
            each[rows] = X[rows].astype(np.float64) @ weights[fold].T + biases[fold]
        # Shifts are the experts' prior odds; how often each kind of generator is met is a matter of images.
        even = balanced_weights(labels[scored])
        logits = np.empty(len(codes))
        for fold in range(n_folds):
            rest = folds[scored] != fold
            shifts = fit_shifts(each[scored][rest], labels[scored][rest], even[rest])
            logits[folds == fold] = joined(each[folds == fold], shifts)
        shifts = fit_shifts(each[scored], labels[scored], even)
        head = ExpertHead(
            experts,
            weights[n_folds],
            biases[n_folds] + shifts,
            None if draws is None else np.ascontiguousarray(weights[n_folds + 1 :], dtype=np.float32),
            None if draws is None else biases[n_folds + 1 :] + shifts,
        )
        return FittedExperts(head, logits)

    def fit_heads(
        self,
        X: NDArray[np.floating],
        codes: ArrayLike,
        groups: ArrayLike,
        draws: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[Array, Array]:
        """Heads of every draw and kind: weights (B, K, d) and biases (B, K).

        One rotation of X serves all of them, so features are standardised by the rows of all draws; labels
        play no part in that. Rows without weight play no part at all.

        Args:
            X: (n, d) features. codes: (n,) 0 for real, k for the k-th kind of generator, 1 … K.
            groups: (n,) lineage or source of each row.
            draws: (n, B) how often each row counts in each draw; a fold is a draw that leaves rows out.
            sample_weight: (n,) weights to start from, such as 1 / number of views of an image.

        Raises:
            UsageError: a draw holds no image of a kind, or no real one.
        """
        kind = np.asarray(codes, dtype=np.int64)
        counts = np.asarray(draws, dtype=np.float64)
        n_draws, n_kinds = counts.shape[1], int(kind.max())
        base = np.ones(len(kind)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        trains = base > 0
        if not trains.all():
            X, kind, counts, base = X[trains], kind[trains], counts[trains], base[trains]
            groups = np.asarray(groups)[trains]
        columns = np.zeros((len(kind), n_draws, n_kinds))
        for k in range(1, n_kinds + 1):
            rows = (kind == REAL) | (kind == k)
            own = balanced_weights(
                kind[rows],
                np.asarray(groups)[rows],
                by_group=self.group_weight,
                sample_weight=base[rows],
            )
            columns[rows, :, k - 1] = draw_weights(
                kind[rows] == k,
                own,
                counts[rows],
                classes=("real images", f"images of the {k}. kind of generator"),
            )
        basis = rotate(X)
        a, b, _ = solve_many(
            basis,
            (kind != REAL).astype(np.float64),
            columns.reshape(len(kind), -1),
            np.full(n_draws * n_kinds, self.C),
            tol=self.tol,
        )
        weights, biases = basis.unfold(a, b)
        return weights.reshape(n_draws, n_kinds, -1), biases.reshape(n_draws, n_kinds)


def expert_codes(
    labels: ArrayLike,
    eras: Sequence[Any],
    years: Sequence[int],
    *,
    lineages: ArrayLike | None = None,
    expert_of: Mapping[str, int] | None = None,
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The expert of each image by the year of its generator: codes (n,), 0 for real, and the experts' names.

    Args:
        labels: (n,) real 0, fake 1.
        eras: (n,) texts with a year, of which the last counts (`2021-2022`); a generated image of an unknown
            year counts as one of the newest.
        years: in which each further expert begins: (2023,) makes two.
        lineages, expert_of: (n,) names, and the expert, from 1, of those that do not go by their year.

    Raises:
        UsageError: an expert has no image; `expert_of` names an expert or a lineage that there is not.

    Example:
        >>> expert_codes([0, 1, 1], [None, "2017-2020", "2024"], [2023])
        (array([0, 1, 2]), ('until 2022', '2023 and later'))
    """
    starts = sorted(int(year) for year in years)
    names = (
        f"until {starts[0] - 1}",
        *(f"{first} to {after - 1}" for first, after in pairwise(starts)),
        f"{starts[-1]} and later",
    )
    codes = np.zeros(len(eras), dtype=np.int64)
    for i, (label, era) in enumerate(zip(np.asarray(labels).tolist(), eras, strict=True)):
        if label:
            found = re.findall(r"\d{4}", str(era))
            year = int(found[-1]) if found else starts[-1]
            codes[i] = 1 + int(np.searchsorted(starts, year, side="right"))
    for lineage, expert in (expert_of or {}).items():
        if not 1 <= expert <= len(names):
            raise UsageError(f"expert_of names expert {expert} of {lineage}; there are {len(names)}")
        rows = (np.asarray(lineages) == lineage) & (np.asarray(labels) == 1)
        if not rows.any():
            raise UsageError(f"expert_of names {lineage}, a lineage that no generated image has")
        codes[rows] = expert
    for k, name in enumerate(names, start=1):
        if not (codes == k).any():
            raise UsageError(f"no generated image is of a generator {name}; choose other years than {starts}")
    return codes, names


def fit_shifts(logits: Array, labels: ArrayLike, sample_weight: ArrayLike) -> Array:
    """What to add to each expert's logit before they are joined: (K,).

    Found together with a slope and an offset, which the calibration finds again: the least cross-entropy of
    sigmoid(slope · log Σ_k exp(z_k + shift_k) + offset) on held-out logits. The shifts have mean 0.

    Args:
        logits: (n, K) held-out logits of the experts. labels: (n,) real 0, fake 1.
        sample_weight: (n,) of the images; both classes should have the same total.
    """
    z, y = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    weight = np.asarray(sample_weight, dtype=np.float64) / np.sum(sample_weight)

    def loss(parameters: Array) -> float:
        slope, offset, *shift = parameters
        f = np.exp(slope) * logsumexp(z + np.asarray(shift) - np.mean(shift), axis=1) + offset
        return float(weight @ (np.logaddexp(0, f) - y * f))

    found = minimize(loss, np.zeros(2 + z.shape[1]), method="L-BFGS-B").x[2:]
    return np.asarray(found - found.mean())


def joined(logits: Array, shifts: Array) -> Array:
    """The joint logit (n,) of the experts' logits (n, K)."""
    return np.asarray(logsumexp(logits + shifts, axis=-1))
