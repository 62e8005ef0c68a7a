"""Grouped folds and out-of-fold scores: what every honest figure of a detector starts from."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold

from morelli.errors import UsageError


@dataclass(frozen=True)
class CrossFit:
    """Out-of-fold scores: every row is scored by an estimator that saw no row of its group.

    logits: (n,) decision values. folds: (n,) fold of every row, 0 … n_folds - 1.
    estimators: the fitted clone of each fold.
    """

    logits: NDArray[np.float64]
    folds: NDArray[np.int64]
    estimators: tuple[Any, ...]


def grouped_folds(
    y: ArrayLike, groups: ArrayLike | None, n_folds: int = 5, seed: int | None = 0
) -> NDArray[np.int64]:
    """Folds (n,) that keep groups whole and classes about even; fewer folds when groups are too few.

    Raises:
        UsageError: a class has fewer than two groups, so that nothing can be held out.
    """
    labels = np.asarray(y)
    names = np.arange(len(labels)).astype(str) if groups is None else np.asarray(groups).astype(str)
    if names.shape != labels.shape:
        raise UsageError(f"{labels.size} labels but {names.size} groups")
    if len(np.unique(labels)) == 1:
        raise UsageError(f"all images have the label {labels[0]}; give real and generated ones")
    per_class = [len(np.unique(names[labels == c])) for c in np.unique(labels)]
    n_folds = min(n_folds, *per_class)
    if len(per_class) < 2 or n_folds < 2:
        raise UsageError(
            "grouped folds need at least two groups of each class "
            f"(found {per_class}); add sources, or group real images one by one"
        )
    folds = np.full(len(labels), -1, dtype=np.int64)
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(labels, labels, names)):
        folds[held_out] = fold
    # With few, very uneven groups a fold can stay empty; renumber so that every number is used.
    return np.unique(folds, return_inverse=True)[1].astype(np.int64)


def fit_rows(
    estimator: Any,
    X: NDArray[Any],
    y: NDArray[Any],
    *,
    groups: NDArray[Any] | None = None,
    sample_weight: NDArray[np.float64] | None = None,
) -> Any:
    """Fit a clone, passing groups and weights where the estimator's `fit` takes them.

    Raises:
        UsageError: weights that are not all equal are given to an estimator that takes none.
    """
    fresh = clone(estimator)
    accepted = inspect.signature(fresh.fit).parameters
    extra: dict[str, Any] = {}
    if groups is not None and "groups" in accepted:
        extra["groups"] = groups
    if sample_weight is not None:
        if "sample_weight" in accepted:
            extra["sample_weight"] = sample_weight
        elif hasattr(fresh, "steps"):
            last, head = fresh.steps[-1]
            taken = inspect.signature(head.fit).parameters
            if "sample_weight" in taken:
                extra[f"{last}__sample_weight"] = sample_weight
            if groups is not None and "groups" in taken:
                extra[f"{last}__groups"] = groups
    return fresh.fit(X, y, **extra)


def cross_fit(  # noqa: PLR0917 - the order of scikit-learn's cross_val_predict
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike | None = None,
    n_folds: int = 5,
    seed: int | None = 0,
    *,
    sample_weight: ArrayLike | None = None,
    folds: ArrayLike | None = None,
) -> CrossFit:
    """Score every row by a clone of `estimator` fitted without its fold.

    Args:
        estimator: has fit and decision_function; groups and weights are passed on when it takes them.
        X: (n, d). y: (n,) real 0, fake 1. groups: (n,) kept whole; None: every row for itself.
        folds: (n,) ready-made folds, such as the years of the generators, instead of drawn ones.
    """
    X, y = np.asarray(X), np.asarray(y)
    names = None if groups is None else np.asarray(groups)
    weights = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    parts = grouped_folds(y, names, n_folds, seed) if folds is None else np.asarray(folds, dtype=np.int64)
    logits = np.full(len(y), np.nan)
    fitted = []
    for fold in np.unique(parts):
        train, test = parts != fold, parts == fold
        one = fit_rows(
            estimator,
            X[train],
            y[train],
            groups=None if names is None else names[train],
            sample_weight=None if weights is None else weights[train],
        )
        logits[test] = one.decision_function(X[test])
        fitted.append(one)
    return CrossFit(logits, parts, tuple(fitted))
