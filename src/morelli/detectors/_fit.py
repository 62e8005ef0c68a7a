"""The honest pipeline from labelled features to a bundle."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from morelli.detectors._attribution import Attribution, fit_attribution
from morelli.detectors._bank import Bank
from morelli.detectors._bundle import Bundle, unit_rows
from morelli.detectors._bundle_parts import HeldOut, NeighborRule
from morelli.detectors._calibration import (
    Method,
    cross_fitted_probabilities,
    fit_calibration,
)
from morelli.detectors._detector import verdict_thresholds
from morelli.detectors._expert_head import ExpertHead
from morelli.detectors._expert_probe import ExpertProbe, FittedExperts, expert_codes
from morelli.detectors._folds import CrossFit, cross_fit, fit_rows, grouped_folds
from morelli.detectors._held_out_figures import held_out_figures
from morelli.detectors._linear_head import LinearHead, fold_affine
from morelli.detectors._neighbors import NearestNeighborDetector
from morelli.detectors._probe import LinearProbe
from morelli.detectors._unit_block_scaler import UnitBlocks
from morelli.detectors._weights import GroupWeight, balanced_weights
from morelli.errors import UsageError
from morelli.features import Features
from morelli.metrics.resampling import group_draws


@dataclass(frozen=True)
class Recipe:
    """How a bundle is made.

    estimator: a linear model, a Pipeline of affine stages that ends in one, a NearestNeighborDetector, or an
    ExpertProbe, which needs the column `era`.
    kinds: what it sees, side by side; a neighbour detector compares them with equal say.
    unit: scale the joined features of an image to length 1 first (a linear head only).
    calibration, prior: see `fit_calibration`. calibration_weight: what a group counts there.
    fpr, miss_rate: of the thresholds for `ai` and `real`. new_groups: the rates are also promised for images
    of a lineage or source that is not among the given ones, each of which then counts the same.
    scored: perturbation ids whose rows calibrate, set thresholds, enter the bank and are measured;
    None: every row. Other rows (augmented views) only train. trained: perturbation ids whose rows the head
    is fitted on, with the weight of each view among an image's where it is a mapping; None: every row; others
    get a held-out score all the same (an ExpertProbe alone).
    banked: perturbation ids of the scored rows that enter the bank; None: all of them.
    bank_kinds: of the evidence bank, () for none. bank_center: take the common direction away.
    domain_k, domain_quantile: see `Bank`. n_draws: bootstrap heads, 0 for no interval.
    real_groups, n_folds, seed: of the folds.
    families: family of generators of each lineage that has one, for `Attribution`; None: no family is named.
    expert_of: the expert, counted from 1, of lineages that do not belong to the one of their years, such as
    class-conditional models of today, whose samples are like those of earlier models (an ExpertProbe alone).
    nested: choose C again inside every fold, so that no held-out row had a say in it. Few groups make that
    choice shaky, and folds of different C have logits of different scale; False chooses C once, over all
    rows by group, and keeps it – figures are then conditional on one number chosen with the held-out rows.
    """

    name: str = "morelli"
    kinds: Sequence[str] = ("final",)
    estimator: Any = field(default_factory=LinearProbe)
    unit: bool = False
    calibration: Method = "platt"
    calibration_weight: GroupWeight = "image"
    prior: float = 0.5
    fpr: float = 0.05
    miss_rate: float = 0.05
    new_groups: bool = False
    scored: Sequence[str] | None = None
    trained: Sequence[str] | Mapping[str, float] | None = None
    banked: Sequence[str] | None = None
    bank_kinds: Sequence[str] = ("final",)
    bank_center: bool = True
    bank_uris: bool = True
    domain_k: int = 3
    domain_quantile: float = 0.99
    n_draws: int = 50
    interval_level: float = 0.9
    real_groups: Literal["source", "image"] = "source"
    n_folds: int = 8
    nested: bool = True
    seed: int = 0
    families: Mapping[str, str] | None = None
    expert_of: Mapping[str, int] = field(default_factory=dict)
    licence: str = ""
    notes: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values for the manifest; an estimator by its class and parameters."""
        data = {
            name: value for name, value in vars(self).items() if name not in ("estimator", "licence", "notes")
        }
        plain = {
            k: list(v) if isinstance(v, Sequence) and not isinstance(v, str) else v for k, v in data.items()
        }
        plain["families"] = None if self.families is None else dict(sorted(self.families.items()))
        return plain | {
            "estimator": type(self.estimator).__name__,
            "parameters": {k: _plain(v) for k, v in sorted(self.estimator.get_params().items())},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_json` described, as a bundle keeps it.

        Raises:
            UsageError: the estimator is none that can be made from its class and parameters.
        """
        classes = {one.__name__: one for one in (LinearProbe, NearestNeighborDetector, ExpertProbe)}
        chosen = data.get("estimator")
        if chosen not in classes:
            raise UsageError(f"there is no recipe that could be fitted again (its estimator: {chosen})")
        estimator = classes[chosen]()
        stored = dict(data.get("parameters", {}))
        known = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        estimator.set_params(**{k: v for k, v in known.items() if k in estimator.get_params()})
        names = {one.name for one in fields(cls)} - {"estimator", "licence", "notes"}
        return cls(estimator=estimator, **{k: v for k, v in data.items() if k in names})


@dataclass(frozen=True, eq=False)
class FittedBundle:
    """A bundle and the held-out scores behind its figures.

    rows: (m,) rows of the features that are scored. logits, probabilities (cross-fitted calibration),
    folds, labels, groups: (m,) of those rows. held_out_logits: (n,) of all rows.
    """

    bundle: Bundle
    rows: NDArray[np.int64]
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    folds: NDArray[np.int64]
    labels: NDArray[np.int8]
    groups: NDArray[Any]
    held_out_logits: NDArray[np.float64]


@dataclass(frozen=True)
class _Rows:
    """What is fitted: X (n, d), y (n,) 0 or 1, groups (n,) kept together, image (n,) that a row is a view of.

    Several views of one image share its weight, so augmentation does not change what an image counts.
    """

    X: NDArray[Any]
    y: NDArray[np.int64]
    groups: NDArray[np.str_]
    image: NDArray[np.int64]
    image_weight: NDArray[np.float64]

    @classmethod
    def of(cls, features: Features, recipe: Recipe, groups: ArrayLike | None) -> _Rows:
        """Those of labelled features; `groups` (n,) instead of the features' own."""
        names = features.groups(real_groups=recipe.real_groups) if groups is None else groups
        sha = features.column("sha256").astype(str)
        _, image, views = np.unique(sha, return_inverse=True, return_counts=True)
        X = features.matrix(recipe.kinds)
        return cls(
            unit_rows(X) if recipe.unit else X,
            np.asarray(features.labels),
            np.asarray(names).astype(str),
            image,
            1.0 / views[image],
        )


def fit_bundle(
    features: Features,
    recipe: Recipe | None = None,
    *,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    metrics: Mapping[str, Any] | None = None,
    command: str = "",
) -> FittedBundle:
    """Fit a bundle on labelled features and measure it out of fold.

    1. Score every row by an estimator fitted without its group (`cross_fit`).
    2. Fit the calibration and both thresholds on those scores.
    3. Fit the estimator on everything and fold it to weights and a bias.
    4. Refit it on bootstrap draws of groups, for the interval of the probability.
    5. Make the bank, and its domain limit from leave-group-out distances.

    Args:
        groups: (n,) instead of ``features.groups()``. folds: (n,) ready-made.
        metrics: figures to add, such as `metadata_only_auc`.
        command: what to run to make this bundle again, for the record.

    Raises:
        UsageError: unlabelled images, one class, too few groups, or an estimator that is not affine.
    """
    recipe = recipe or Recipe()
    rows = _Rows.of(features, recipe, groups)
    y, names = rows.y, rows.groups
    scored = _rows_of(features, recipe.scored)
    banked = scored[np.isin(scored, _rows_of(features, recipe.banked))]

    rng = np.random.default_rng(recipe.seed)
    by_neighbors = isinstance(recipe.estimator, NearestNeighborDetector)
    estimator = _estimator(features, recipe, rows)
    crossed, experts = _held_out_scores(
        features, recipe, rows, estimator, scored=scored, folds=folds, rng=rng
    )

    z, target, kept, parts = crossed.logits[scored], y[scored], names[scored], crossed.folds[scored]
    weights = balanced_weights(target, kept, by_group=recipe.calibration_weight, by_class=False)
    calibration = fit_calibration(z, target, recipe.calibration, prior=recipe.prior, sample_weight=weights)
    honest = cross_fitted_probabilities(
        z, target, parts, recipe.calibration, prior=recipe.prior, sample_weight=weights
    )
    numbers = np.unique(kept, return_inverse=True)[1].astype(np.int32) if recipe.new_groups else None
    ai, real = verdict_thresholds(
        z, target, calibration, fpr=recipe.fpr, miss_rate=recipe.miss_rate, groups=numbers
    )

    bank = _bank(features.take(banked), names[banked], recipe, by_neighbors, rng)
    head: LinearHead | ExpertHead | None = None
    chosen = getattr(estimator, "C", None)
    if experts is not None:
        head = experts.head
    elif not by_neighbors:
        head, chosen = _head(estimator, recipe, rows, rng)
    figures = held_out_figures(z, target, kept, honest, ai.logit, np.random.default_rng([recipe.seed, 1]))
    bundle = Bundle(
        name=recipe.name,
        build=features.build,
        head_kinds=tuple(recipe.kinds),
        ai=ai,
        real=real,
        head=head,
        neighbor_rule=NeighborRule(int(recipe.estimator.k), recipe.estimator.voting)
        if by_neighbors
        else None,
        bank=bank,
        attribution=_attribution(features, recipe, rows, scored),
        unit=recipe.unit,
        calibration=calibration,
        held_out=HeldOut(z, np.asarray(target, dtype=np.int8), numbers),
        interval_level=recipe.interval_level,
        training={**_training(features, y, names, crossed, recipe), "C": chosen},
        recipe=recipe.to_json(),
        metrics={**figures, **(metrics or {})},
        licence=recipe.licence,
        command=command,
        notes=tuple(recipe.notes),
    )
    return FittedBundle(
        bundle, scored, z, honest, parts, np.asarray(target, dtype=np.int8), kept, crossed.logits
    )


def _estimator(features: Features, recipe: Recipe, rows: _Rows) -> Any:
    """The estimator to fit in every fold: neighbours behind their scaling, a probe with its C chosen."""
    if isinstance(recipe.estimator, NearestNeighborDetector):
        sizes = [int(np.prod(features.vectors[kind].shape[1:])) for kind in recipe.kinds]
        return make_pipeline(UnitBlocks(sizes, center=recipe.bank_center), clone(recipe.estimator))
    if isinstance(recipe.estimator, LinearProbe) and recipe.estimator.C == "cv" and not recipe.nested:
        whole = fit_rows(
            recipe.estimator, rows.X, rows.y, groups=rows.groups, sample_weight=rows.image_weight
        )
        return clone(recipe.estimator).set_params(C=whole.C_)
    return recipe.estimator


def _held_out_scores(
    features: Features,
    recipe: Recipe,
    rows: _Rows,
    estimator: Any,
    *,
    scored: NDArray[np.int64],
    folds: ArrayLike | None,
    rng: np.random.Generator,
) -> tuple[CrossFit, FittedExperts | None]:
    """Every row scored without its group; experts, where they are the estimator, are fitted on the way."""
    y, groups = rows.y, rows.groups
    if isinstance(estimator, ExpertProbe):
        parts = grouped_folds(y, groups, recipe.n_folds, recipe.seed) if folds is None else np.asarray(folds)
        experts = _fitted_experts(features, recipe, rows, estimator, scored=scored, folds=parts, rng=rng)
        return CrossFit(experts.held_out_logits, parts, ()), experts
    by_neighbors = isinstance(recipe.estimator, NearestNeighborDetector)
    crossed = cross_fit(
        estimator,
        rows.X,
        y,
        groups,
        recipe.n_folds,
        recipe.seed,
        sample_weight=None if by_neighbors else rows.image_weight,
        folds=folds,
    )
    return crossed, None


def _fitted_experts(
    features: Features,
    recipe: Recipe,
    rows: _Rows,
    estimator: ExpertProbe,
    *,
    scored: NDArray[np.int64],
    folds: NDArray[Any],
    rng: np.random.Generator,
) -> FittedExperts:
    """Experts fitted in every fold and on everything; the views of an image that train share its weight."""
    codes, kinds = expert_codes(
        rows.y,
        features.column("era").tolist(),
        estimator.years,
        lineages=features.column("lineage"),
        expert_of=recipe.expert_of,
    )
    return estimator.fit_folds(
        rows.X,
        codes,
        kinds,
        rows.groups,
        folds=folds.astype(np.int64),
        scored=scored,
        sample_weight=view_weights(features, rows.image, recipe.trained),
        draws=group_draws(rows.y, rows.groups, recipe.n_draws, rng) if recipe.n_draws else None,
    )


def view_weights(
    features: Features, image: NDArray[np.int64], trained: Sequence[str] | Mapping[str, float] | None
) -> NDArray[np.float64]:
    """What each row (n,) weighs in training: the views of an image share 1, rows that do not train get 0.

    Args:
        image: (n,) number of the image that a row is a view of. trained: as in `Recipe`.

    Raises:
        UsageError: no row is of one of these perturbations.
    """
    weights = np.zeros(len(image))
    if isinstance(trained, Mapping):
        for perturbation, weight in trained.items():
            weights[_rows_of(features, [perturbation])] = weight
    else:
        weights[_rows_of(features, trained)] = 1
    total = np.bincount(image, weights=weights)[image]
    return np.divide(weights, total, out=np.zeros(len(image)), where=total > 0)


def training_hash(sha256: ArrayLike, labels: ArrayLike) -> str:
    """SHA-256 (hex) over the sorted, distinct lines "image hash label" of a training set."""
    pairs = zip(np.asarray(sha256).tolist(), np.asarray(labels).tolist(), strict=True)
    lines = sorted({f"{one} {int(label)}\n" for one, label in pairs})
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _rows_of(features: Features, perturbations: Iterable[str] | None) -> NDArray[np.int64]:
    if perturbations is None:
        return np.arange(len(features))
    wanted = list(perturbations)
    perturbation = features.column("perturbation").astype(str)
    rows = np.flatnonzero(np.isin(perturbation, wanted))
    if not len(rows):
        present = sorted(set(perturbation.tolist()))
        raise UsageError(f"no row has a perturbation of {wanted}; present are {present}")
    return rows


def _bank(
    features: Features, groups: NDArray[Any], recipe: Recipe, by_neighbors: bool, rng: np.random.Generator
) -> Bank | None:
    kinds = tuple(recipe.kinds) if by_neighbors else tuple(recipe.bank_kinds)
    if not kinds:
        return None
    bank = Bank.from_features(
        features,
        groups,
        kinds=kinds,
        center=recipe.bank_center,
        k=recipe.domain_k,
        quantile=recipe.domain_quantile,
        keep_uris=recipe.bank_uris,
    )
    if by_neighbors and recipe.n_draws:
        return replace(bank, draws=group_draws(bank.labels, bank.groups, recipe.n_draws, rng))
    return bank


def _attribution(
    features: Features, recipe: Recipe, rows: _Rows, scored: NDArray[np.int64]
) -> Attribution | None:
    """Families of the generated images, each lineage left out by its sources, unknown lineages as wholes.

    None where the recipe names no families.
    """
    families = recipe.families
    if families is None:
        return None
    trains = np.isin(np.arange(len(rows.y)), np.concatenate([_rows_of(features, recipe.trained), scored]))
    fakes = np.flatnonzero((rows.y == 1) & trains)
    lineages = features.column("lineage")[fakes].astype(str)
    absent = sorted(set(families) - set(lineages.tolist()))
    if absent:
        raise UsageError(f"families name lineages that no image has: {', '.join(absent)}")
    sources = features.column("source")[fakes].astype(str)
    names = [families.get(lineage) for lineage in lineages.tolist()]
    groups = [
        lineage if name is None else f"{lineage} from {source}"
        for lineage, source, name in zip(lineages.tolist(), sources.tolist(), names, strict=True)
    ]
    return fit_attribution(
        rows.X[fakes],
        names,
        groups,
        images=features.column("sha256")[fakes].astype(str),
        measured=np.isin(fakes, scored),
        seed=recipe.seed,
    )


def _head(
    estimator: Any, recipe: Recipe, rows: _Rows, rng: np.random.Generator
) -> tuple[LinearHead, float | None]:
    """The estimator fitted on everything, and on draws of groups for the interval; and the C it chose."""
    X, y, groups, weight = rows.X, rows.y, rows.groups, rows.image_weight
    fitted = fit_rows(estimator, X, y, groups=groups, sample_weight=weight)
    weights, bias = fold_affine(fitted, X)
    if not recipe.n_draws:
        return LinearHead(weights, bias), getattr(fitted, "C_", None)
    draws = group_draws(y, groups, recipe.n_draws, rng)
    if isinstance(fitted, LinearProbe):
        final = fitted.weights_of(y, groups, weight)
        drawn, biases = fitted.fit_heads(X, y, draws, C=fitted.C_, sample_weight=final)
    else:
        pairs = []
        for column in draws.T:
            drawn_rows = np.repeat(np.arange(len(y)), column)
            one = fit_rows(
                estimator,
                X[drawn_rows],
                y[drawn_rows],
                groups=groups[drawn_rows],
                sample_weight=weight[drawn_rows],
            )
            pairs.append(fold_affine(one, X))
        drawn, biases = np.stack([w for w, _ in pairs]), np.array([b for _, b in pairs])
    head = LinearHead(weights, bias, np.ascontiguousarray(drawn, dtype=np.float32), biases)
    return head, getattr(fitted, "C_", None)


def _training(
    features: Features, y: NDArray[Any], groups: NDArray[Any], crossed: CrossFit, recipe: Recipe
) -> dict[str, Any]:
    sha = features.column("sha256").astype(str)
    _, first = np.unique(sha, return_index=True)
    generators, sources = features.column("generator"), features.column("source")
    count = {
        key: dict(
            sorted(Counter(str(column[i]) for i in first if y[i] == label and column[i] is not None).items())
        )
        for key, column, label in (("generators", generators, 1), ("sources", sources, 0))
    }
    return {
        "n_real": int((y[first] == 0).sum()),
        "n_fake": int((y[first] == 1).sum()),
        "n_rows": len(y),
        "n_groups_real": len(np.unique(groups[y == 0])),
        "n_groups_fake": len(np.unique(groups[y == 1])),
        **count,
        "perturbations": sorted({str(p) for p in features.column("perturbation").tolist()}),
        "hash": training_hash(sha, y),
        "seed": recipe.seed,
        "n_folds": int(crossed.folds.max()) + 1,
    }


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return repr(value)
