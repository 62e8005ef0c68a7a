"""`ComponentMask`: the chosen removal as a linear scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from morelli.errors import UsageError
from morelli.explanation._erasure import (
    BasisName,
    generator_axes,
    leace,
    one_hot,
    pca_basis,
    residual_basis,
)
from morelli.explanation._one_core import on_one_core
from morelli.explanation._residuals import residual_direction
from morelli.explanation._transfer import (
    Array,
    Context,
    Fit,
    Score,
    discriminant,
    generators_of,
)
from morelli.explanation.components._problem import TaskData, refit
from morelli.explanation.components._search import METHODS, Choice, SearchOptions, choose_number, steps
from morelli.metrics.resampling import percentile_interval

MaskMethod = Literal[
    "backward",
    "forward",
    "variance",
    "disagreement",
    "random",
    "leace-generator",
    "leace-source",
    "project-generator",
]


class ComponentMask(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Removes harmful components of an embedding; a linear map ``x ↦ x @ matrix_ + offset_``.

    The paper (Gaintseva et al. 2406.15035) removes components by an iterative greedy search, read in
    summaries only; criterion, direction and stopping rule below are our proposals (see
    `SearchOptions`, `choose_number`). Features are divided by the reals' standard deviation first
    (`standardize`), rotated into `basis` (``identity``: the components themselves; ``pca``: principal
    axes of the reals; ``residual``: the axes of the generators' residuals first), and components of
    the rotated space are kept or dropped. ``leace-generator`` erases which generator made a fake,
    ``leace-source`` which source (group) a real comes from; ``project-generator`` projects out the span of
    the generators' deviations from their common mean (`generator_axes`), so that what is left of every
    residual is what they share. These three keep d columns at a lower rank and have nothing to choose.

    `n_removed` fixes the number instead of choosing it; it counts removed components in every method.
    The test generator must not be among the rows given to `fit`, or in `generators`: that is what
    makes a study nested (`fit_masked` does it). `controls` random removals of the same number are scored
    beside the mask (0: none; `fit_masked` leaves them to a variant of the study of their own).

    Learnt: `kept_`, `removed_` (indices into the basis, removed in order of removal), `order_` (as
    searched; for ``forward`` the order of entry), `basis_` (d, d) columns, `scale_` (d,), `matrix_`
    (d, d'), `offset_` (d',), `choice_` (`Choice` or None), `criterion_` ("surrogate", "exact top m" or
    "ranked"), `control_` (mean, low, high held-out-half AUC of as many components removed at random)
    and `control_reference_` (the same of this mask, selection included, so optimistic).
    """

    def __init__(
        self,
        method: MaskMethod = "backward",
        *,
        basis: BasisName = "identity",
        n_removed: int | None = None,
        generators: Sequence[str] | None = None,
        least: int = 10,
        ridge: float = 10.0,
        standardize: bool = True,
        both_ways: bool = True,
        max_steps: int | None = None,
        patience: int = 60,
        folds: int = 4,
        stride: int = 5,
        exact_top: int = 0,
        controls: int = 20,
        random_state: int = 0,
    ) -> None:
        self.method = method
        self.basis = basis
        self.n_removed = n_removed
        self.generators = generators
        self.least = least
        self.ridge = ridge
        self.standardize = standardize
        self.both_ways = both_ways
        self.max_steps = max_steps
        self.patience = patience
        self.folds = folds
        self.stride = stride
        self.exact_top = exact_top
        self.controls = controls
        self.random_state = random_state

    def fit(
        self, X: NDArray[Any], y: NDArray[Any], *, generator: NDArray[Any], groups: NDArray[Any] | None = None
    ) -> Self:
        """Search on X (n, d), labels y, `generator` (n,) names of fakes' generators, `groups` of reals."""
        X = check_array(X, dtype=np.float64)
        y = np.asarray(y).astype(np.intp)
        generator = np.asarray(generator).astype(object)
        group = np.asarray(groups if groups is not None else np.arange(len(X))).astype(object)
        if not len(X) == len(y) == len(generator) == len(group):
            raise UsageError("X, y, generator and groups must have the same number of rows.")
        names = (
            tuple(self.generators) if self.generators is not None else generators_of(y, generator, self.least)
        )
        real = X[y == 0]
        if not len(real):
            raise UsageError("The search needs real images (label 0) too.")
        self.n_features_in_ = X.shape[1]
        self.scale_ = real.std(axis=0) + 1e-9 if self.standardize else np.ones(X.shape[1])
        self.basis_ = self._basis(X / self.scale_, y, generator, names)
        self.choice_: Choice | None = None
        self.control_: tuple[float, float, float] | None = None
        self.control_reference_: float | None = None
        if self.method in ("leace-generator", "leace-source"):
            return self._fit_leace(X / self.scale_, y, generator, group, names)
        if self.method == "project-generator":
            return self._fit_projection(X / self.scale_, y, generator, names)
        if self.method not in METHODS:
            raise UsageError(
                f"Unknown method {self.method!r}; "
                f"use one of {', '.join(METHODS)}, leace-generator, leace-source, project-generator."
            )
        # Products of a few dozen columns: a second BLAS thread costs more in waiting than it brings, and on
        # a busy machine many times more.
        with on_one_core():
            return self._fit_search((X / self.scale_) @ self.basis_, y, generator, group, names)

    def _basis(
        self, X: Array, y: NDArray[np.intp], generator: NDArray[np.object_], names: Sequence[str]
    ) -> Array:
        if self.basis == "identity":
            return np.eye(X.shape[1])
        if self.basis == "pca":
            return pca_basis(X[y == 0])
        if self.basis == "residual":
            directions = [residual_direction(X[(y == 1) & (generator == g)], X[y == 0])[0] for g in names]
            return residual_basis(np.stack(directions), X[y == 0])
        raise UsageError(f"Unknown basis {self.basis!r}; use identity, pca or residual.")

    def _fit_leace(
        self,
        X: Array,
        y: NDArray[np.intp],
        generator: NDArray[np.object_],
        group: NDArray[np.object_],
        names: Sequence[str],
    ) -> Self:
        rows, concept = (
            (np.isin(generator, names) & (y == 1), generator)
            if self.method == "leace-generator"
            else (y == 0, group)
        )
        if len(np.unique(concept[rows].astype(str))) < 2:
            raise UsageError("There is nothing to erase: all rows have the same identity.")
        eraser = leace(X[rows], one_hot(concept[rows].astype(str)))
        d = X.shape[1]
        self.matrix_ = (np.eye(d) - eraser.left @ eraser.right) / self.scale_[:, None]
        self.offset_ = eraser.mean @ eraser.left @ eraser.right
        self.kept_, self.removed_, self.order_ = np.arange(d), np.arange(0), np.arange(0)
        self.criterion_, self.rank_ = "erasure", d - eraser.rank
        return self

    def _fit_projection(
        self, X: Array, y: NDArray[np.intp], generator: NDArray[np.object_], names: Sequence[str]
    ) -> Self:
        if len(names) < 2:
            raise UsageError("Generators can differ only where there are two; name more of them.")
        fakes = [X[(y == 1) & (generator == g)] for g in names]
        axes = generator_axes(fakes, np.random.default_rng(self.random_state))[: self.n_removed]
        d = X.shape[1]
        self.matrix_ = (np.eye(d) - axes.T @ axes) / self.scale_[:, None]
        self.offset_ = np.zeros(d)
        self.kept_, self.removed_, self.order_ = np.arange(d), np.arange(0), np.arange(0)
        self.criterion_, self.rank_ = "projection", d - len(axes)
        return self

    def _fit_search(
        self,
        X: Array,
        y: NDArray[np.intp],
        generator: NDArray[np.object_],
        group: NDArray[np.object_],
        names: Sequence[str],
    ) -> Self:
        options = SearchOptions(
            method=self.method,  # type: ignore[arg-type]
            max_steps=self.max_steps,
            patience=self.patience,
            folds=self.folds,
            exact_top=self.exact_top,
            stride=self.stride,
        )
        options.check()
        d, forward = X.shape[1], self.method == "forward"
        if self.n_removed is not None and not 0 <= self.n_removed < d:
            raise UsageError(f"n_removed must lie in 0..{d - 1}; got {self.n_removed}.")
        rng = np.random.default_rng(self.random_state)
        data = TaskData.build(
            X, y, generator, group, names, ridge=self.ridge, rng=rng, both_ways=self.both_ways
        )
        if self.n_removed is None:
            self.choice_ = choose_number(data, names, options, rng)
            count = self.choice_.chosen
        else:
            count = d - self.n_removed if forward else self.n_removed
        order: list[int] = []
        if count > 0:
            for component, _ in steps(data, names, options, rng):
                order.append(component)
                if len(order) == count:
                    break
        self.order_ = np.array(order, dtype=np.intp)
        everything = np.arange(d)
        if count <= 0:
            self.kept_ = everything
        else:
            self.kept_ = np.sort(self.order_) if forward else np.setdiff1d(everything, self.order_)
        self.removed_ = np.setdiff1d(everything, self.kept_) if forward else self.order_
        greedy = self.method in ("backward", "forward")
        self.criterion_ = (
            (f"exact top {self.exact_top}" if self.exact_top > 1 else "surrogate") if greedy else "ranked"
        )
        self.rank_ = len(self.kept_)
        self.matrix_ = self.basis_[:, self.kept_] / self.scale_[:, None]
        self.offset_ = np.zeros(len(self.kept_))
        self._control(data, names, rng)
        return self

    def _control(self, data: TaskData, names: Sequence[str], rng: np.random.Generator) -> None:
        """AUC on the other half of the reals of as many components removed at random."""
        d = data.X.shape[1]
        if len(self.kept_) == d or not self.controls:
            return
        problem = data.problem(names)
        drawn = []
        for _ in range(self.controls):
            kept = np.sort(rng.permutation(d)[: len(self.kept_)])
            drawn.append(data.exact_score(refit(problem, kept), names))
        low, high = percentile_interval(drawn).tolist()
        self.control_ = (float(np.mean(drawn)), low, high)
        self.control_reference_ = data.exact_score(refit(problem, self.kept_), names)

    def transform(self, X: NDArray[Any]) -> Array:
        """Map (n, d) to (n, d')."""
        check_is_fitted(self, "matrix_")
        X = check_array(X, dtype=np.float64)
        if X.shape[1] != self.n_features_in_:
            raise UsageError(f"This mask was fitted on {self.n_features_in_} components; got {X.shape[1]}.")
        return np.asarray(X @ self.matrix_ + self.offset_)

    def to_json(self) -> dict[str, Any]:
        """Facts for a bundle or report: method, basis, numbers, order; the matrix is saved beside it."""
        choice = self.choice_
        return {
            "method": self.method,
            "basis": self.basis,
            "criterion": self.criterion_,
            "kept": len(self.kept_),
            "rank": self.rank_,
            "removed": self.removed_.tolist(),
            "control": self.control_,
            "choice": None
            if choice is None
            else {
                "steps": choice.steps.tolist(),
                "curve": choice.curve.tolist(),
                "baseline": choice.baseline,
                "chosen": choice.chosen,
                "gain": choice.gain,
                "error": choice.error,
            },
        }


def fit_masked(
    X: NDArray[Any],
    y: NDArray[Any],
    generator: NDArray[Any],
    groups: NDArray[Any] | None = None,
    *,
    ridge: float = 10.0,
    masks: dict[tuple[str, bytes], ComponentMask] | None = None,
    method: MaskMethod = "backward",
    **options: Any,
) -> Fit:
    """A nested recipe for `transfer_matrix`: the mask is chosen without the cell's test generator and reals.

    For every (test generator, training half) one mask is searched over the fakes of the other
    generators and the training reals only, then the discriminant of the training generator is refitted
    on it. `masks` collects the fitted masks, by test generator and the bytes of the reals' row numbers.
    """
    X = np.asarray(X, dtype=np.float64)
    y, generator = np.asarray(y).astype(np.intp), np.asarray(generator).astype(object)
    group = np.asarray(groups if groups is not None else np.arange(len(X))).astype(object)
    fitted: dict[tuple[str, bytes], ComponentMask] = {} if masks is None else masks

    def fit(fake: Array, real: Array, context: Context) -> Score:
        key = (context.test, context.reals.tobytes())
        if key not in fitted:
            rows = np.concatenate([context.reals, context.fakes])
            names = tuple(np.unique(generator[context.fakes].astype(str)))
            mask = ComponentMask(method, ridge=ridge, generators=names, **{"controls": 0, **options})
            fitted[key] = mask.fit(X[rows], y[rows], generator=generator[rows], groups=group[rows])
        mask = fitted[key]
        w = discriminant(mask.transform(fake), mask.transform(real), ridge=ridge)
        return lambda Z: np.asarray(mask.transform(Z) @ w)

    return fit
