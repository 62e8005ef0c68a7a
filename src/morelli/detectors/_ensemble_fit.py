"""Fitting an ensemble: held-out logits of the members, and a combination of them that is held out as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.detectors._bundle import Bundle
from morelli.detectors._bundle_parts import HeldOut
from morelli.detectors._calibration import (
    Method,
    cross_fitted_log_odds,
    cross_fitted_probabilities,
    fit_calibration,
    fit_mixture,
    spreads,
)
from morelli.detectors._detector import verdict_thresholds
from morelli.detectors._disagreement import measure_disagreement, member_words
from morelli.detectors._ensemble import Ensemble, image_keys
from morelli.detectors._fit import Recipe, fit_bundle, training_hash
from morelli.detectors._folds import grouped_folds
from morelli.detectors._held_out_figures import compared_figures, held_out_figures
from morelli.errors import UsageError
from morelli.features import Features
from morelli.metrics.odds import expit

Array = NDArray[np.float64]
Combine = Literal["fitted", "mean"]
COMBINATION, MEAN = "combination", "plain mean"


@dataclass(frozen=True, eq=False)
class FittedEnsemble:
    """An ensemble and the held-out scores behind its figures, of the n images that all members scored.

    keys: SHA-256 and perturbation of each image. member_logits: (n, m), by members fitted without its fold.
    logits: (n,) combination whose weights are of other folds. folds, labels, groups: (n,). compared:
    figures of each member, of the plain mean and of the combination, with `difference`, what the combination
    is better by.
    """

    ensemble: Ensemble
    keys: tuple[tuple[str, str], ...]
    member_logits: Array
    logits: Array
    folds: NDArray[np.int64]
    labels: NDArray[np.int8]
    groups: NDArray[Any]

    @property
    def compared(self) -> Mapping[str, Any]:
        """Figures by name: every member's, `plain mean` and `combination`."""
        found: Mapping[str, Any] = self.ensemble.metrics["compared"]
        return found

    @property
    def best_member(self) -> str:
        """The member with the largest held-out AUC."""
        return max(
            (one.name for one in self.ensemble.members), key=lambda n: self.compared[n]["auc"]["value"]
        )

    def better_than(self, name: str) -> bool:
        """True where the interval of a difference to `name` lies above zero, in AUC or in what is found."""
        return any(one["low"] > 0 for one in self.compared[name]["difference"].values())


def fit_ensemble(
    members: Sequence[Bundle],
    tables: Sequence[Features],
    *,
    name: str = "ensemble",
    combine: Combine = "fitted",
    fpr: float = 0.05,
    miss_rate: float = 0.05,
    new_groups: bool = False,
    n_folds: int = 8,
    seed: int = 0,
    licence: str = "",
    command: str = "",
) -> FittedEnsemble:
    """Join bundles that were fitted on the same labelled images, and measure what that is worth.

    1. Fit every member's recipe again without each fold of lineages and sources, the same folds for all, and
       take the logits of that fold: no score is in-sample.
    2. Calibrate each member, and fit non-negative weights on the calibrated log-odds, on the other folds.
    3. From the combined held-out scores: calibration, thresholds, disagreement and every figure.
    4. Fit the weights that are kept on all held-out log-odds.

    Args:
        members: bundles of `fit_bundle`; those that were imported have no recipe to fit again.
        tables: labelled features, for each member those that it was fitted on, in any order.
        combine: ``fitted`` weights, or ``mean``, the plain mean of the log-odds.
        fpr, miss_rate, new_groups: of the thresholds, as in `Recipe`.
        n_folds: folds of groups. seed: of folds and bootstrap draws.

    Raises:
        UsageError: fewer than two members, other images than a member was fitted on, or a member that cannot
            be fitted again.

    Example:
        >>> from morelli.encoders import Build
        >>> rng = np.random.default_rng(0)
        >>> y = np.arange(240) % 2
        >>> names = [f"g{i // 2 % 12}" for i in range(240)]
        >>> columns = {"generator": [n if l else None for n, l in zip(names, y)],
        ...            "source": [None if l else n for n, l in zip(names, y)],
        ...            "sha256": [f"{i:064x}" for i in range(240)]}
        >>> tables = []
        >>> for one in ("a", "b"):
        ...     X, build = rng.normal(size=(240, 4)) + y[:, None], Build(one, "0", "t", "float32")
        ...     tables.append(Features.from_arrays(X, y, build, **columns))
        >>> members = [
        ...     fit_bundle(table, Recipe(name=name, n_draws=4)).bundle
        ...     for name, table in zip("ab", tables)
        ... ]
        >>> made = fit_ensemble(members, tables)
        >>> made.ensemble.build.encoder, round(sum(made.ensemble.weights), 6), made.better_than("a")
        ('a + b', 1.0, True)
    """
    _check_choices(members, combine)
    tables = [_table_of(member, tables) for member in members]
    recipes = [_recipe(member) for member in members]
    for member, table in zip(members, tables, strict=True):
        _check_images(member, table)

    # The first table's columns say what hangs together, so that all members get the same folds.
    first = tables[0]
    group_of = dict(
        zip(
            first.column("sha256").astype(str).tolist(),
            np.asarray(first.groups(real_groups=recipes[0].real_groups)).astype(str).tolist(),
            strict=True,
        )
    )
    rows = _common_rows(tables, recipes)
    y = np.asarray(first.labels)[rows[0]].astype(np.int8)
    groups = np.array([group_of[sha] for sha in first.column("sha256")[rows[0]]])
    parts = grouped_folds(y, groups, n_folds, seed)
    fold_of = dict(zip(groups.tolist(), parts.tolist(), strict=True))
    logits = np.column_stack(
        [
            _held_out(table, recipe, group_of, fold_of)[own]
            for table, recipe, own in zip(tables, recipes, rows, strict=True)
        ]
    )

    methods = [recipe.calibration for recipe in recipes]
    odds, z = _combined(logits, y, parts, methods, combine)
    kept, scales = _mixture(odds, y, combine)

    calibration = fit_calibration(z, y)
    honest = cross_fitted_probabilities(z, y, parts)
    numbers = np.unique(groups, return_inverse=True)[1].astype(np.int32) if new_groups else None
    ai, real = verdict_thresholds(z, y, calibration, fpr=fpr, miss_rate=miss_rate, groups=numbers)
    words = np.column_stack([member_words(logits[:, k], m.ai, m.real) for k, m in enumerate(members)])
    disagreement = measure_disagreement(expit(odds), words, member_words(z, ai, real), y, max(fpr, miss_rate))
    scores = {m.name: odds[:, k] for k, m in enumerate(members)} | {MEAN: odds.mean(axis=1), COMBINATION: z}
    figures = held_out_figures(z, y, groups, honest, ai.logit, np.random.default_rng([seed, 1]))
    compared = compared_figures(scores, COMBINATION, y, groups, np.random.default_rng([seed, 1]))
    ensemble = Ensemble(
        name=name,
        members=tuple(members),
        weights=tuple(kept.tolist()),
        scales=tuple(scales.tolist()),
        ai=ai,
        real=real,
        calibration=calibration,
        disagreement=disagreement,
        held_out=HeldOut(z, y, numbers),
        training={**members[0].training, "seed": seed, "n_folds": int(parts.max()) + 1, "C": None},
        recipe={
            "combine": combine,
            "fpr": fpr,
            "miss_rate": miss_rate,
            "new_groups": new_groups,
            "n_folds": n_folds,
            "seed": seed,
            "real_groups": recipes[0].real_groups,
        },
        metrics={**figures, "compared": compared},
        licence=licence,
        command=command,
    )
    keys = [image_keys(first)[row] for row in rows[0]]
    return FittedEnsemble(ensemble, tuple(keys), logits, z, parts, y, groups)


def _check_choices(members: Sequence[Bundle], combine: str) -> None:
    if combine not in ("fitted", "mean"):
        raise UsageError(f"combine is {combine!r}; choose 'fitted' or 'mean'")
    names = [member.name for member in members]
    if len(set(names)) < max(2, len(names)):
        raise UsageError(
            f"an ensemble joins two bundles or more, each of another name, not {', '.join(names)}"
        )


def _combined(
    logits: Array, y: NDArray[np.int8], folds: NDArray[np.int64], methods: Sequence[Method], combine: Combine
) -> tuple[Array, Array]:
    """Held-out log-odds (n, m) of the members, and their combination (n,) by weights of the other folds."""
    odds = np.column_stack(
        [cross_fitted_log_odds(logits[:, k], y, folds, method) for k, method in enumerate(methods)]
    )
    z = np.full(len(y), np.nan)
    for fold in np.unique(folds):
        own, rest = folds == fold, folds != fold
        # Calibrated among the other folds alone, so that this one has no say in its weights.
        inner = [
            cross_fitted_log_odds(logits[rest, k], y[rest], folds[rest], method)
            for k, method in enumerate(methods)
        ]
        chosen, scales = _mixture(np.column_stack(inner), y[rest], combine)
        z[own] = odds[own] @ (chosen / scales)
    return odds, z


def _mixture(odds: Array, y: NDArray[np.int8], combine: Combine) -> tuple[Array, Array]:
    """Weights (m,) with sum 1 of log-odds (n, m) in units of their spreads, and these spreads (m,)."""
    scales = spreads(odds)
    return (fit_mixture(odds, y) if combine == "fitted" else scales / scales.sum()), scales


def _table_of(member: Bundle, tables: Sequence[Features]) -> Features:
    """The features of the member's encoder."""
    found = [table for table in tables if table.build.matches(member.build)]
    if len(found) != 1:
        raise UsageError(
            f"{len(found) or 'no'} tables have features by {member.build.encoder} (build "
            f"{member.build.fingerprint}), which {member.name} was fitted on; give one: "
            f"{member.extract_command()}"
        )
    return found[0]


def _recipe(member: Bundle) -> Recipe:
    """The member's recipe without all that no held-out logit depends on."""
    try:
        stored = Recipe.from_json(member.recipe)
    except UsageError as error:
        raise UsageError(
            f"{member.name} cannot be a member: {error}, and its scores of the images that it was fitted on "
            "are no measure of it. Fit a bundle with `morelli fit`."
        ) from error
    return replace(stored, n_draws=0, bank_kinds=(), families=None)


def _check_images(member: Bundle, table: Features) -> None:
    if member.training.get("hash") != training_hash(table.column("sha256").astype(str), table.labels):
        raise UsageError(
            f"{member.name} was fitted on other images than the table of {member.build.encoder} holds: give "
            "the table that it was fitted on. All members must be fitted on the same labelled images."
        )


def _common_rows(tables: Sequence[Features], recipes: Sequence[Recipe]) -> list[NDArray[np.int64]]:
    """Of each table the rows of the images and deliveries that all members are scored on, in one order."""
    places = []
    for table, recipe in zip(tables, recipes, strict=True):
        scored = None if recipe.scored is None else set(recipe.scored)
        found: dict[tuple[str, str], int] = {}
        for row, key in enumerate(image_keys(table)):
            if scored is None or key[1] in scored:
                found.setdefault(key, row)
        places.append(found)
    shared = [key for key in places[0] if all(key in other for other in places[1:])]
    if not shared:
        raise UsageError(
            "the members are scored on no delivery of the images in common: extract the same images, "
            "delivered alike, with every encoder, and fit each bundle on its table"
        )
    return [np.array([found[key] for key in shared]) for found in places]


def _held_out(
    table: Features, recipe: Recipe, group_of: Mapping[str, str], fold_of: Mapping[str, int]
) -> Array:
    """Logits (n,) of all rows of a table, each by the recipe fitted without the fold of its group."""
    names = np.array([group_of[sha] for sha in table.column("sha256").astype(str)])
    # A group without a scored image trains in all folds but the first.
    folds = np.array([fold_of.get(group, 0) for group in names.tolist()])
    return fit_bundle(table, recipe, groups=names, folds=folds).held_out_logits
