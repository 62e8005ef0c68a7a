"""UnivFD's linear classifier as a regularised logistic regression (Ojha et al. 2023, section 4.2).

The paper trains the same model, Linear(d, 1) + sigmoid under binary cross-entropy, by AdamW with
early stopping (see `UnivFDProbe`); here the optimum is found exactly and regularised by C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import validate_data

from morelli.detectors._folds import grouped_folds
from morelli.detectors._linear_decision import LinearDecision
from morelli.detectors._logistic import Basis, rotate, solve_many
from morelli.detectors._weights import GroupWeight, balanced_weights, draw_weights
from morelli.errors import UsageError

_STRIDE = 3
DEFAULT_GRID = tuple(float(c) for c in 10.0 ** np.arange(-6, 1.01, 0.5))


class LinearProbe(LinearDecision, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression on standardised features, C chosen by group-wise cross-validation.

    Args:
        C: inverse regularisation as in scikit-learn, or ``"cv"`` to choose from `grid`.
        grid: candidates for C.
        scoring: what the held-out rows are judged by, ``log_loss`` or ``roc_auc``.
        n_folds: folds of the choice; groups given to `fit` stay whole.
        standardize: zero mean and unit variance per feature, over the rows of `fit` (labels unseen).
        class_weight: ``"balanced"`` gives both classes the same total weight; None leaves counts; a
            mapping gives the factor of each label.
        group_weight: ``image``, ``sqrt`` or ``equal``: what a lineage or source counts, see
            `balanced_weights`; the last two need groups.
        random_state: seed of the folds.

    Learnt: `coef_` (1, d) and `intercept_` (1,) on raw features (standardisation folded in), `C_`,
    `cv_scores_` (len(grid),) where larger is better and
    values beyond the end of the walk are NaN, `n_iter_`, `classes_`, `n_features_in_`.

    >>> X = np.array([[0.0, 1.0], [0.2, 0.9], [1.0, 0.1], [0.9, 0.0]])
    >>> LinearProbe(C=1.0).fit(X, [0, 0, 1, 1]).predict([[0.8, 0.2]])
    array([1])
    """

    def __init__(
        self,
        C: float | Literal["cv"] = "cv",
        *,
        grid: tuple[float, ...] = DEFAULT_GRID,
        scoring: Literal["log_loss", "roc_auc"] = "log_loss",
        n_folds: int = 5,
        standardize: bool = True,
        class_weight: Literal["balanced"] | Mapping[Any, float] | None = "balanced",
        group_weight: GroupWeight = "image",
        tol: float = 1e-6,
        max_iter: int = 100,
        random_state: int | None = 0,
    ) -> None:
        self.C = C
        self.grid = grid
        self.scoring = scoring
        self.n_folds = n_folds
        self.standardize = standardize
        self.class_weight = class_weight
        self.group_weight = group_weight
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit on X (n, d), y (n,); groups (n,) are kept whole when C is chosen."""
        X, target, weights = self._checked(X, y, groups, sample_weight)
        basis = rotate(X, standardize=self.standardize)
        self.C_ = float(self._choose_c(basis, target, weights, groups) if self.C == "cv" else self.C)
        C = np.array([self.C_])
        a, b, self.n_iter_ = solve_many(
            basis, target, weights[:, None], C, tol=self.tol, max_iter=self.max_iter
        )
        self.coef_, self.intercept_ = basis.unfold(a, b)
        return self

    def fit_heads(
        self,
        X: ArrayLike,
        y: ArrayLike,
        draws: ArrayLike,
        *,
        C: float | None = None,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        C_factor: float = 1.0,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Many heads at one C, all in one solve: weights (B, d) and biases (B,).

        Args:
            draws: (n, B) how often every row counts in each draw, as `group_draws` of
                `morelli.metrics.resampling` gives.
            C: None chooses it as `fit` would, on the rows that every draw holds; then it is `C_`.
            sample_weight: (n,) final weights of the rows (already balanced).
            groups: (n,) kept whole when C is chosen.
            C_factor: multiplies C for the heads.
        """
        X, y = np.asarray(X), np.asarray(y)
        draws = np.asarray(draws, dtype=np.float64)
        base = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        # A draw of groups changes how much of each class it holds; unbalanced, the biases would wander.
        balanced = self.class_weight == "balanced"
        weights = draw_weights(y, base, draws) if balanced else draws * base[:, None]
        basis = rotate(X, standardize=self.standardize)
        if C is None:
            rows = np.flatnonzero((draws > 0).all(axis=1))
            own = None if groups is None else np.asarray(groups)[rows]
            part = replace(basis, coordinates=basis.coordinates[rows])
            target = np.asarray(y[rows], dtype=np.float64)
            C = self.C_ = self._choose_c(part, target, self.weights_of(y[rows], own), own)
        a, b, _ = solve_many(
            basis,
            np.asarray(y, dtype=np.float64),
            weights,
            np.full(draws.shape[1], float(C) * C_factor),
            tol=max(self.tol, 1e-4),
            max_iter=self.max_iter,
        )
        return basis.unfold(a, b)

    def weights_of(
        self, y: ArrayLike, groups: ArrayLike | None, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """The sample weights (n,) that `fit` would use."""
        y = np.asarray(y)
        weights = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if self.class_weight == "balanced" or self.group_weight != "image":
            by_class = self.class_weight == "balanced"
            weights = balanced_weights(
                y, groups, by_group=self.group_weight, by_class=by_class, sample_weight=weights
            )
        if isinstance(self.class_weight, Mapping):
            factor = [float(self.class_weight.get(one, 1.0)) for one in np.unique(y).tolist()]
            weights = weights * np.asarray(factor)[np.unique(y, return_inverse=True)[1]]
        return weights

    def _checked(
        self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None, sample_weight: ArrayLike | None
    ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
        if self.C != "cv" and not (isinstance(self.C, int | float) and self.C > 0):
            raise UsageError(f"C is {self.C!r}; give a positive number or 'cv'")
        if not (self.class_weight in (None, "balanced") or isinstance(self.class_weight, Mapping)):
            raise UsageError(f"class_weight is {self.class_weight!r}; choose 'balanced', a mapping or None")
        X, y, target = binary_data(self, X, y)
        return X, target, self.weights_of(y, groups, row_weights(sample_weight, len(target)))

    def _choose_c(
        self,
        basis: Basis,
        target: NDArray[np.float64],
        weights: NDArray[np.float64],
        groups: ArrayLike | None,
    ) -> float:
        grid = np.asarray(self.grid, dtype=np.float64)
        try:
            folds = grouped_folds(target, groups, self.n_folds, self.random_state)
        except UsageError:
            if groups is not None:
                raise
            # One row of a class: nothing can be held out, so take the usual default.
            self.cv_scores_ = np.full(len(grid), np.nan)
            return 1.0
        n_folds = int(folds.max()) + 1
        masks = (folds[:, None] != np.arange(n_folds)).astype(np.float64)
        scores = np.full(len(grid), np.nan)
        order = np.argsort(grid)
        # Up the path from strong regularisation, a few values at a time: weak regularisation costs most
        # to solve and loses on wide embeddings, so the walk ends once the score has clearly passed its best.
        for start in range(0, len(order), _STRIDE):
            some = order[start : start + _STRIDE]
            S = np.repeat(masks, len(some), axis=1) * weights[:, None]
            a, b, _ = solve_many(
                basis,
                target,
                S,
                np.tile(grid[some], n_folds),
                tol=max(self.tol, 1e-3),
                max_iter=self.max_iter,
            )
            every = (basis.coordinates @ a + b).reshape(len(target), n_folds, len(some))
            held_out = every[np.arange(len(target)), folds]
            scores[some] = self._held_out_scores(target, held_out, weights)
            seen = order[: start + len(some)]
            best = int(np.argmax(scores[seen]))
            if len(seen) - 1 - best >= _STRIDE:
                break
        self.cv_scores_ = scores
        return float(grid[int(np.nanargmax(scores))])

    def _held_out_scores(
        self, target: NDArray[np.float64], logits: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Scores (m,) of held-out logits (n, m); larger is better."""
        if self.scoring == "roc_auc":
            columns = logits.T
            return np.array([roc_auc_score(target, column, sample_weight=weights) for column in columns])
        if self.scoring == "log_loss":
            loss = np.logaddexp(0, logits) - target[:, None] * logits
            return np.asarray(-(weights[:, None] * loss).sum(axis=0) / weights.sum())
        raise UsageError(f"scoring is {self.scoring!r}; choose 'log_loss' or 'roc_auc'")


def binary_data(
    estimator: Any, X: ArrayLike, y: ArrayLike
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """Validated X (n, d), y (n,) and y as 0.0 / 1.0; sets `classes_` and `n_features_in_`.

    Raises:
        ValueError: not exactly two classes (scikit-learn's convention for bad data).
    """
    from sklearn.utils.multiclass import check_classification_targets, type_of_target

    if y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    checked: tuple[NDArray[Any], NDArray[Any]]
    checked = validate_data(estimator, X, y, dtype=[np.float64, np.float32])
    data, labels = checked
    check_classification_targets(labels)
    kind = type_of_target(labels, input_name="y", raise_unknown=True)
    if kind != "binary":
        raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
    classes, target = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y holds only one class, {classes.tolist()[0]!r}; give real and generated images")
    estimator.classes_ = classes
    return data, labels, target.astype(np.float64)


def row_weights(sample_weight: ArrayLike | None, n: int) -> NDArray[np.float64]:
    """The weights (n,) of the rows, 1 where none are given.

    Raises:
        ValueError: another length, a weight that is negative or no number, or none above zero.
    """
    if sample_weight is None:
        return np.ones(n)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n,):
        raise ValueError(f"sample_weight has shape {weights.shape}, expected ({n},)")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("sample_weight holds negative numbers, NaN or infinity; give numbers from 0 on")
    if not weights.any():
        raise ValueError("sample_weight is zero for every row")
    return weights
