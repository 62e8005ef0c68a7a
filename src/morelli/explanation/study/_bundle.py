"""The winner of a transfer study as a bundle: its choice made once on all images, then a linear probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from morelli.errors import UsageError
from morelli.explanation._head_selection import HeadSelection, select_heads
from morelli.explanation._heads import Heads, Reading
from morelli.explanation.study._study import StudyOptions, TransferStudy, fitted_mask, labelled
from morelli.explanation.study._variants import HEADS_REMOVED, PROJECTED, Labelled

if TYPE_CHECKING:
    from morelli.detectors import Bundle
    from morelli.features import Features

NOTE = (
    "What this detector reads was chosen on all of its training images, so its own held-out figures flatter "
    "it; the transfer study beside it chose without the generators that it scored."
)


class ChosenMap(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A linear map x ↦ x @ matrix + offset that was chosen before: `fit` and cloning leave it as it is.

    `matrix` (d, d'), `offset` (d',). It has no parameters to search over, so scikit-learn sees none.
    """

    def __init__(self, matrix: ArrayLike = ((1.0,),), offset: ArrayLike = (0.0,)) -> None:
        self.matrix = matrix
        self.offset = offset

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """None: the map is a result, not a setting."""
        return {}

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Do nothing."""
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Map (n, d) to (n, d')."""
        return np.asarray(np.asarray(X, dtype=np.float64) @ np.asarray(self.matrix) + np.asarray(self.offset))


def study_bundle(
    study: TransferStudy, features: Features, *, name: str = "study", command: str = ""
) -> Bundle:
    """Fit the winner's recipe on all images and calibrate it on scores of held-out groups.

    Args:
        features: those of the study.
        name: of the bundle.
        command: what makes it again, for the record.

    Raises:
        UsageError: the residual classifier won, whose midpoint rule is no probe; or too few groups.
    """
    from sklearn.pipeline import make_pipeline

    from morelli.detectors import LinearProbe, Recipe, fit_bundle

    winner, options = study.winner.name, study.options
    if winner == "residual":
        raise UsageError("The residual classifier won; it has no bundle of its own. Take the next best row.")
    data, names = labelled(features, options), study.rows[0].matrix.generators
    kinds, chosen = _chosen_features(winner, data, names, options)
    estimator: Any = LinearProbe(random_state=options.seed)
    if chosen is not None:
        estimator = make_pipeline(ChosenMap(*chosen), estimator)
    recipe = Recipe(
        name=name,
        kinds=kinds,
        estimator=estimator,
        bank_kinds=("final",),
        seed=options.seed,
        notes=(NOTE,) if winner != "final" else (),
    )
    metrics = {"study": {"winner": winner, "ood_auc": study.winner.ood, "baseline": study.rows[0].ood}}
    return fit_bundle(features, recipe, metrics=metrics, command=command).bundle


def _chosen_features(
    winner: str, data: Labelled, names: Sequence[str], options: StudyOptions
) -> tuple[tuple[str, ...], tuple[NDArray[Any], NDArray[Any]] | None]:
    """The feature kinds of the winner's recipe, and the linear map from them side by side that it chose."""

    def chosen(heads: Heads, **more: Any) -> HeadSelection:
        given = {"ridge": options.ridge, "random_state": options.seed, **options.heads, **more}
        return select_heads(heads, data.y, data.generator, data.groups, names=names, **given)

    def without_directions(X: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        mask = fitted_mask(X, data, names, replace(options, mask=PROJECTED))
        return mask.matrix_, mask.offset_

    if winner == "final":
        return ("final",), None
    if winner.startswith("block"):
        blocks = Heads(
            tuple(data.blocks), np.stack([X.astype(np.float32) for X in data.blocks.values()], axis=1)
        )
        number = int(chosen(blocks, number=1).kept[0])
        found = None if winner == "block" else without_directions(blocks.combined([number]))
        return (blocks.names[number],), found
    if winner == "components":
        mask = fitted_mask(data.final, data, names, options)
        return ("final",), (mask.matrix_, mask.offset_)
    if winner == "directions":
        return ("final",), without_directions(data.final)
    if winner.startswith(HEADS_REMOVED):
        heads = data.heads["contribution"].beside(data.final)
        kept = chosen(heads).kept
        gone = np.setdiff1d(np.arange(len(heads)), kept)
        kinds = ("final", *(heads.names[i] for i in gone))
        # What is removed stands beside the embedding, and is taken away from it.
        one = np.eye(data.final.shape[1])
        matrix = np.concatenate([one, *(-one for _ in gone)])
    else:
        reading: Reading = "raw" if "raw" in winner else "contribution"
        heads = data.heads[reading]
        kept = np.sort(chosen(heads).kept)
        kinds = tuple(heads.names[i] for i in kept)
        width = heads.vectors.shape[2]
        # The chosen kinds stand side by side in a bundle; contributions are added up.
        matrix = (
            np.tile(np.eye(width), (len(kept), 1)) if reading == "contribution" else np.eye(len(kept) * width)
        )
    if not winner.endswith("directions"):
        return kinds, (matrix, np.zeros(matrix.shape[1]))
    directions, offset = without_directions(heads.combined(kept))
    return kinds, (matrix @ directions, offset)
