"""The distiller as an estimator: forget-to-spell projection, distiller layer, linear head.

After ASAP (2404.02990), which was read in abstract and second-hand summaries only: 512 → 256 → 16 → 1,
supervised by labels. Ours are the ReLU, the term that keeps dimensions distinct, the clustered start, and
how seeds and early stopping are used; `Distiller` says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from morelli.atlas.distiller._activation import Activation, activate, require_activation, unit_rows
from morelli.atlas.distiller._map import DistilledMap
from morelli.atlas.distiller._matching import match_dimensions
from morelli.atlas.distiller._starts import cluster_start, random_start
from morelli.atlas.distiller._training import Layers, Objective, train
from morelli.detectors import Calibration, balanced_weights, grouped_folds
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.atlas.distiller._spelling import Spelling
    from morelli.encoders import Build

_EVERY = 5


class Distiller(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A few distinct dimensions z = act(x A + b) whose impacts z_k w_k sum, with a bias, to the logit.

    Args:
        n_dimensions: K.
        spelling: the forget-to-spell projection that comes first; None leaves it out.
        unit: scale every row to length 1 first.
        activation: ``relu`` ranks best out of fold and makes a dimension something that is there or not,
            with one sign of impact; without it (``identity``) any rotation of the dimensions is as good.
        distinctness: ν of the term that keeps values of different dimensions from correlating by more than
            `tolerated`, see `_training`.
        orthogonality: λ of clip-cues' term on cosines, which did this before; 0 leaves it out.
        decay: weight decay of both layers, on standardised features.
        invariance: μ of the term that keeps impacts where they are when words are drawn on a picture, see
            `_training`; counts where the spelling holds such pairs.
        start: ``ward``, clusters of each class that do not hang on a seed; ``clusters``, by k-means;
            ``random``.
        rate, max_steps: of full-batch Adam.
        n_seeds: how many folds of groups are held out in turn to find the number of steps, which is where
            the mean held-out loss is least. Where the start hangs on the seed, all rows are fitted as
            often, and the fit whose dimensions agree best with the others' is kept.
        n_folds: folds of groups for early stopping.
        class_weight, group_weight: as of `morelli.detectors.LinearProbe`.
        random_state: seed of everything.

    Learnt: `A_` (d, K), `b_`, `w_` (K,), `bias_`; `share_` (K,) of the summed |w_k| · spread of z_k, by
    which dimensions are ordered; `stability_` (K,) mean |correlation| with the matched dimension of fits that
    left a fold of groups out (of the other seeds, where the start hangs on the seed; NaN with none);
    `steps_`, `held_out_loss_` (looks,), `classes_`, `n_features_in_`. Values have spread 1 over the rows of
    `fit` (except those of ``tanh``); for ``identity`` and ``tanh`` signs are such that w_k ≥ 0.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 6)); y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)
    >>> model = Distiller(4, n_seeds=2, random_state=0).fit(X, y)
    >>> bool(np.allclose(model.impacts(X).sum(axis=1) + model.bias_, model.decision_function(X)))
    True
    """

    def __init__(
        self,
        n_dimensions: int = 16,
        *,
        spelling: Spelling | None = None,
        unit: bool = True,
        activation: Activation = "relu",
        distinctness: float = 30.0,
        tolerated: float = 0.2,
        orthogonality: float = 0.0,
        decay: float = 0.1,
        invariance: float = 10.0,
        start: Literal["ward", "clusters", "random"] = "ward",
        rate: float = 0.003,
        max_steps: int = 200,
        n_seeds: int = 3,
        n_folds: int = 5,
        class_weight: Literal["balanced"] | None = "balanced",
        group_weight: Literal["image", "sqrt", "equal"] = "image",
        random_state: int | None = 0,
    ) -> None:
        self.n_dimensions = n_dimensions
        self.spelling = spelling
        self.unit = unit
        self.activation = activation
        self.distinctness = distinctness
        self.tolerated = tolerated
        self.orthogonality = orthogonality
        self.decay = decay
        self.invariance = invariance
        self.start = start
        self.rate = rate
        self.max_steps = max_steps
        self.n_seeds = n_seeds
        self.n_folds = n_folds
        self.class_weight = class_weight
        self.group_weight = group_weight
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    @property
    def _n_features_out(self) -> int:
        return len(self.w_)

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit on X (n, d), y (n,) real 0 and fake 1; groups (n,) are kept whole in early stopping."""
        self._check_parameters()
        data, target = self._binary(X, y)
        weights = self._weights(target, groups, sample_weight)
        rows = unit_rows(data) if self.unit else data.astype(np.float64)
        basis = None if self.spelling is None else self.spelling.basis
        if basis is not None:
            if basis.shape[0] != rows.shape[1]:
                raise UsageError(
                    f"the forget-to-spell projection is for features of length {basis.shape[0]}, these have "
                    f"{rows.shape[1]}; estimate it on the same feature kind"
                )
            rows = rows @ basis
        mean = np.average(rows, axis=0)
        spread = rows.std(axis=0)
        scale = 1.0 / np.where(spread > 1e-12, spread, 1.0)
        prepared = ((rows - mean) * scale).astype(np.float32)
        objective = Objective(
            self.activation,
            self.orthogonality,
            self.decay,
            self.invariance,
            self._pairs(mean, scale),
            self.distinctness,
            self.tolerated,
        )
        layers = self._train(
            objective, prepared, target.astype(np.float32), weights.astype(np.float32), groups=groups
        )
        D = scale[:, None] * layers.D.astype(np.float64)
        b = layers.c.astype(np.float64) - mean @ D
        A = D if basis is None else basis @ D
        self._settle(A, b, layers.w.astype(np.float64), float(layers.bias), data)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Distilled values z (n, K)."""
        check_is_fitted(self)
        data: NDArray[Any] = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return self._values(data)

    def impacts(self, X: ArrayLike) -> NDArray[np.float64]:
        """Signed shares of the logit (n, K), positive towards `classes_[1]`."""
        return self.transform(X) * self.w_

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Logits (n,): the impacts and the bias, summed."""
        return np.asarray(self.impacts(X).sum(axis=1) + self.bias_)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (n, 2) in the order of `classes_`, not calibrated."""
        p = expit(self.decision_function(X))
        return np.column_stack([1 - p, p])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels (n,); a logit of exactly 0 is real."""
        above = self.decision_function(X) > 0
        return np.asarray(self.classes_[above.astype(int)])

    def to_map(
        self,
        build: Build,
        kind: str = "final",
        *,
        names: Sequence[str] = (),
        calibration: Calibration | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> DistilledMap:
        """The fitted numbers as a `DistilledMap`, bound to the build and the feature kind of X."""
        check_is_fitted(self)
        return DistilledMap(
            kind=kind,
            unit=self.unit,
            A=self.A_,
            b=self.b_,
            activation=self.activation,
            w=self.w_,
            bias=self.bias_,
            build=build,
            names=tuple(names),
            calibration=calibration or Calibration(),
            record=dict(record or {}),
        )

    def _values(self, data: NDArray[Any]) -> NDArray[np.float64]:
        rows = unit_rows(data) if self.unit else data.astype(np.float64)
        return np.asarray(activate(self.activation, rows @ self.A_ + self.b_))

    def _check_parameters(self) -> None:
        require_activation(self.activation)
        if self.start not in ("ward", "clusters", "random"):
            raise UsageError(f"start is {self.start!r}; choose 'ward', 'clusters' or 'random'")
        if not 0 <= self.tolerated <= 1:
            raise UsageError(f"tolerated is {self.tolerated!r}; give a correlation from 0 to 1")
        for name in ("n_dimensions", "n_seeds", "max_steps"):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < 1:
                raise UsageError(f"{name} is {value!r}; give a whole number of at least 1")

    def _binary(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[np.float64]]:
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        data, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(labels)
        kind = type_of_target(labels, input_name="y", raise_unknown=True)
        if kind != "binary":
            raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
        self.classes_, target = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds only one class, {self.classes_[0]!r}; give real and generated images")
        return data, target.astype(np.float64)

    def _weights(
        self, target: NDArray[np.float64], groups: ArrayLike | None, sample_weight: ArrayLike | None
    ) -> NDArray[np.float64]:
        base = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if base is not None and base.shape != target.shape:
            raise ValueError(f"sample_weight has shape {base.shape}, expected {target.shape}")
        if base is not None and not base.sum() > 0:
            raise ValueError("sample_weight is zero for every row")
        return balanced_weights(
            target,
            groups,
            by_group=self.group_weight,
            by_class=self.class_weight == "balanced",
            sample_weight=base,
        )

    def _pairs(
        self, mean: NDArray[np.float64], scale: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Pictures without and with words, prepared as the rows of `fit` are; they are of unit rows."""
        if self.spelling is None or self.spelling.before is None or self.spelling.after is None:
            return None
        if not self.unit:
            raise UsageError("a spelling with pairs is of unit rows; say unit=True, or leave the pairs out")
        before, after = ((part - mean) * scale for part in (self.spelling.before, self.spelling.after))
        return before.astype(np.float32), after.astype(np.float32)

    def _train(
        self,
        objective: Objective,
        X: NDArray[Any],
        y: NDArray[Any],
        weights: NDArray[Any],
        *,
        groups: ArrayLike | None,
    ) -> Layers:
        """Early stopping by held-out groups, then fits to all rows, and the most typical of them."""
        seeds = np.random.SeedSequence(self.random_state).spawn(self.n_seeds)
        self.steps_, self.held_out_loss_ = self._stop(objective, X, y, weights, groups=groups, seeds=seeds)

        def fit(rows: NDArray[Any], seed: np.random.SeedSequence) -> Layers:
            start = self._start(X[rows], y[rows], np.random.default_rng(seed))
            part = weights[rows] / weights[rows].sum()
            return train(start, objective, X[rows], y[rows], part, rate=self.rate, steps=self.steps_)[0]

        everything = np.ones(len(y), dtype=bool)
        if self.start == "ward":
            made, others = fit(everything, seeds[0]), self._rests(y, weights, groups)
            fits = [made, *(fit(rest, seed) for seed, rest in zip(seeds, others, strict=False))]
        else:
            fits = [fit(everything, seed) for seed in seeds]
        values = [one.values(self.activation, X) for one in fits]
        signed = self.activation == "relu"
        agreement = np.full((len(fits), len(fits), self.n_dimensions), np.nan)
        for i, mine in enumerate(values):
            for j, other in enumerate(values):
                if i != j:
                    agreement[i, j] = match_dimensions(mine, other, signed=signed).correlation
        if len(fits) == 1:
            self.stability_ = agreement[0, 0]
            return fits[0]
        per_dimension = np.nanmean(agreement, axis=1)
        best = 0 if self.start == "ward" else int(np.argmax(per_dimension.mean(axis=1)))
        self.stability_ = per_dimension[best]
        return fits[best]

    def _start(self, X: NDArray[Any], y: NDArray[Any], rng: np.random.Generator) -> Layers:
        if self.start == "random":
            return random_start(X, self.n_dimensions, rng)
        return cluster_start(X, y, self.n_dimensions, rng, "ward" if self.start == "ward" else "kmeans")

    def _stop(
        self,
        objective: Objective,
        X: NDArray[Any],
        y: NDArray[Any],
        weights: NDArray[Any],
        *,
        groups: ArrayLike | None,
        seeds: Sequence[np.random.SeedSequence],
    ) -> tuple[int, NDArray[np.float64]]:
        """How many steps, and the mean held-out loss after every `_EVERY` of them."""
        rests = self._rests(y, weights, groups)
        curves = []
        for rest, seed in zip(rests, seeds, strict=False):
            out = ~rest
            start = self._start(X[rest], y[rest], np.random.default_rng(seed))
            _, curve = train(
                start,
                objective,
                X[rest],
                y[rest],
                weights[rest] / weights[rest].sum(),
                rate=self.rate,
                steps=max(self.max_steps, _EVERY),
                held_out=(X[out], y[out], weights[out]),
                every=_EVERY,
            )
            curves.append(curve)
        if not curves:
            return min(self.max_steps, 60), np.empty(0)
        mean = np.mean(curves, axis=0)
        return min(self.max_steps, _EVERY * (int(np.argmin(mean)) + 1)), mean

    def _rests(
        self, y: NDArray[Any], weights: NDArray[Any], groups: ArrayLike | None
    ) -> list[NDArray[np.bool_]]:
        """For each seed the rows (n,) that are left when a fold of groups is held out, where one can be."""
        try:
            folds = grouped_folds(y, groups, self.n_folds, self.random_state)
        except UsageError:
            if groups is not None:
                raise
            # One row of a class: nothing can be held out.
            return []
        count = int(folds.max()) + 1
        rests = [folds != number % count for number in range(self.n_seeds)]
        return [
            rest
            for rest in rests
            if len(np.unique(y[rest])) == 2 and weights[~rest].sum() > 0 and weights[rest].sum() > 0
        ]

    def _settle(
        self,
        A: NDArray[np.float64],
        b: NDArray[np.float64],
        w: NDArray[np.float64],
        bias: float,
        data: NDArray[Any],
    ) -> None:
        """Fix scale, sign and order of the dimensions, none of which the logit determines."""
        self.A_, self.b_, self.w_, self.bias_ = A, b, w, bias
        spread = self._values(data).std(axis=0)
        if self.activation != "tanh":
            scale = np.where(spread > 1e-9, spread, 1.0)
            self.A_, self.b_, self.w_ = A / scale, b / scale, w * scale
            spread = np.where(spread > 1e-9, 1.0, 0.0)
        if self.activation != "relu":
            sign = np.where(self.w_ < 0, -1.0, 1.0)
            self.A_, self.b_, self.w_ = self.A_ * sign, self.b_ * sign, self.w_ * sign
        worth = np.abs(self.w_) * spread
        order = np.argsort(-worth, kind="stable")
        self.A_, self.b_, self.w_ = self.A_[:, order], self.b_[order], self.w_[order]
        self.share_ = worth[order] / max(float(worth.sum()), 1e-300)
        self.stability_ = self.stability_[order]
