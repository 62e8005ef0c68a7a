"""Attribution: which family of generators an image resembles, or none of the known ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError
from morelli.metrics.odds import expit

if TYPE_CHECKING:
    from morelli.detectors._calibration import Calibration

Array = NDArray[np.float64]
LEAST = 0.7
"""Probability from which a family is named."""


@dataclass(frozen=True)
class FamilyGuess:
    """A family of generators and the calibrated probability that an AI-generated image is of it."""

    family: str
    probability: float


@dataclass(frozen=True, eq=False)
class Attribution:
    """One linear head for each family against all other generators, known or not: an open set.

    A head says how much an AI-generated image is like its family; calibrated on generators and sources that
    it did not see, among them families that it does not know. Where no probability reaches `least` the
    answer is that none is named, and so it is where the likeliest family was named rightly less often than
    that on held-out images.

    Attributes:
        families: F names.
        weights: (F, d) float32. biases: (F,) float64. slopes, offsets: (F,) of the calibration (Platt).
        least: probability from which a family is named, between 0 and 1.
        figures: what was measured on held-out images, see `attribution_figures`.

    Example:
        >>> known = Attribution(("GAN",), np.ones((1, 1), np.float32), np.zeros(1), np.ones(1), np.zeros(1))
        >>> [guess and guess.family for guess in known.guesses(np.array([[3.0], [-3.0]]))]
        ['GAN', None]
    """

    families: tuple[str, ...]
    weights: NDArray[np.float32]
    biases: Array
    slopes: Array
    offsets: Array
    least: float = LEAST
    figures: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.families)
        shapes = {self.biases.shape, self.slopes.shape, self.offsets.shape}
        if count < 1 or self.weights.ndim != 2 or len(self.weights) != count or shapes != {(count,)}:
            raise UsageError(
                f"{count} families need weights ({count}, d), biases, slopes and offsets ({count},); "
                f"got {self.weights.shape} and {sorted(shapes)}"
            )

    def probabilities(self, X: NDArray[np.floating]) -> Array:
        """Probability of each family (n, F) for the features X (n, d) of AI-generated images."""
        z = X.astype(np.float64) @ self.weights.astype(np.float64).T + self.biases
        return np.asarray(expit(self.slopes * z + self.offsets))

    def guesses(self, X: NDArray[np.floating]) -> list[FamilyGuess | None]:
        """The likeliest family of each row of X (n, d); None where it is not likely enough, or unreliable."""
        found = self.probabilities(X)
        best = found.argmax(axis=1)
        measured = self.figures.get("families", {})
        shares = [measured.get(name, {}).get("right", 1.0) for name in self.families]
        reliable = [share is not None and share >= self.least for share in shares]
        return [
            FamilyGuess(self.families[k], float(row[k])) if row[k] >= self.least and reliable[k] else None
            for k, row in zip(best, found, strict=True)
        ]


def fit_attribution(
    X: NDArray[np.floating],
    families: Sequence[str | None],
    groups: ArrayLike,
    *,
    images: ArrayLike | None = None,
    measured: ArrayLike | None = None,
    C: float = 1e-3,
    least: float = LEAST,
    n_folds: int = 10,
    seed: int = 0,
) -> Attribution:
    """Fit and measure an attribution on AI-generated images alone.

    Args:
        X: (n, d) features.
        families: (n,) family of each row; None: a generator of no known family.
        groups: (n,) rows that are left out together, such as lineage and source.
        images: (n,) name of the image that each row shows; several rows share its weight. None: all differ.
        measured: (n,) rows that calibrate and are measured; None: all.
        C: inverse regularisation, as in scikit-learn, on standardised features.
        least: probability from which a family is named.

    Raises:
        UsageError: a family has fewer than two groups, or cannot be told from the others.
    """
    names = tuple(sorted({name for name in families if name is not None}))
    codes = np.array([0 if name is None else 1 + names.index(name) for name in families], dtype=np.int64)
    of = np.asarray(groups).astype(str)
    for k, name in enumerate(names, start=1):
        if len(np.unique(of[codes == k])) < 2:
            raise UsageError(
                f"family {name!r} has images of one group alone, so nothing can be held out; "
                "give it two lineages or sources, or leave it out"
            )
    if len(np.unique(codes)) < 2:
        raise UsageError("one family alone cannot be told from others; give images of other generators too")
    shown = np.arange(len(codes)) if images is None else np.unique(np.asarray(images), return_inverse=True)[1]
    share = 1.0 / np.bincount(shown)[shown]
    scored = np.ones(len(codes), bool) if measured is None else np.asarray(measured, dtype=bool)
    folds = _family_folds(codes, of, n_folds, seed)
    masks = np.concatenate([folds[:, None] != np.arange(n_folds), np.ones((len(codes), 1), bool)], axis=1)

    is_it = (codes[:, None] == 1 + np.arange(len(names))).astype(np.float64)
    heads, shifts = _family_heads(np.asarray(X), is_it, names, of, masks=masks, sample_weight=share, C=C)
    logits = np.empty((len(codes), len(names)))
    for fold in range(n_folds):
        rows = folds == fold
        logits[rows] = X[rows].astype(np.float64) @ heads[:, fold].T + shifts[:, fold]
    slopes, offsets = np.empty(len(names)), np.empty(len(names))
    probabilities = np.empty_like(logits)
    for k, name in enumerate(names):
        try:
            slopes[k], offsets[k], probabilities[:, k] = _calibrated(logits[:, k], is_it[:, k], scored, folds)
        except UsageError as error:
            raise UsageError(
                f"family {name!r} cannot be told from the other generators: {error}. Leave it out."
            ) from error
    figures = attribution_figures(names, probabilities[scored], codes[scored], least)
    # In memory of their own, as a loaded one has them: sums over strides round otherwise.
    weights, biases = heads[:, -1].astype(np.float32, order="C"), shifts[:, -1].copy()
    return Attribution(names, weights, biases, slopes, offsets, least, figures)


def _family_heads(
    X: NDArray[np.floating],
    is_it: Array,
    names: Sequence[str],
    groups: NDArray[Any],
    *,
    masks: NDArray[np.bool_],
    sample_weight: Array,
    C: float,
) -> tuple[Array, Array]:
    """Heads of F families, each without every fold and, last, with all: weights (F, B, d), biases (F, B).

    Args:
        X: (n, d). is_it: (n, F) 1 where an image is of the family, else 0. groups: (n,).
        masks: (n, B) rows that each head may see. sample_weight: (n,) weights to start from.
        C: inverse regularisation.
    """
    from morelli.detectors._logistic import rotate, solve_many
    from morelli.detectors._weights import balanced_weights, draw_weights

    basis = rotate(X)
    n_heads = masks.shape[1]
    columns = np.empty((len(X), len(names), n_heads))
    for k, name in enumerate(names):
        own = balanced_weights(is_it[:, k], groups, by_group="sqrt", sample_weight=sample_weight)
        others = ("images of other generators", f"images of the family {name!r}")
        columns[:, k] = draw_weights(is_it[:, k], own, masks, classes=others)
    # All families in one solve: each pass over X serves them all.
    a, b, _ = solve_many(
        basis,
        np.repeat(is_it, n_heads, axis=1),
        columns.reshape(len(X), -1),
        np.full(len(names) * n_heads, C),
        tol=1e-2,
    )
    weights, biases = basis.unfold(a, b)
    return weights.reshape(len(names), n_heads, -1), biases.reshape(len(names), n_heads)


def _calibrated(
    logits: Array, is_it: Array, scored: NDArray[np.bool_], folds: NDArray[np.int64]
) -> tuple[float, float, Array]:
    """Slope and offset of a family's calibration, and probabilities (n,) by those of the other folds.

    Args:
        logits: (n,) held out. is_it: (n,) 1 for images of the family. scored: (n,) rows that calibrate.
    """
    from morelli.detectors._calibration import fit_calibration

    def of(rows: NDArray[np.bool_]) -> Calibration:
        return fit_calibration(logits[rows], is_it[rows], prior=float(is_it[rows].mean()))

    fitted = of(scored)
    probabilities = np.empty(len(logits))
    for fold in np.unique(folds):
        rows = folds == fold
        probabilities[rows] = expit(of(scored & ~rows).log_odds(logits[rows]))
    return fitted.parameters["slope"], fitted.parameters["offset"], probabilities


def _family_folds(
    codes: NDArray[np.int64], groups: NDArray[Any], n_folds: int, seed: int
) -> NDArray[np.int64]:
    """Fold (n,) of every row: of each family the largest groups first, each into the emptiest fold.

    Two groups of a family never share a fold while one is empty of it, so that one of them always trains.
    """
    rng = np.random.default_rng(seed)
    folds = np.zeros(len(codes), dtype=np.int64)
    for code in np.unique(codes):
        names, counts = np.unique(groups[codes == code], return_counts=True)
        load = np.zeros(n_folds)
        for j in np.lexsort((rng.permutation(len(names)), -counts)):
            fold = int(rng.choice(np.flatnonzero(load == load.min())))
            folds[(codes == code) & (groups == names[j])] = fold
            load[fold] += counts[j]
    return folds


def attribution_figures(
    families: Sequence[str], probabilities: Array, codes: NDArray[np.int64], least: float
) -> dict[str, Any]:
    """What held-out images say of an attribution, as plain values.

    Args:
        families: F names. probabilities: (n, F) held out. codes: (n,) 0 for a generator of no known family,
            k + 1 for family k. least: probability from which a family is named.

    Returns:
        `named`: share of all images for which a family is named; `right`: share of those named rightly;
        `unknown_named`: share of the images of no known family for which one is named all the same; `ece`:
        expected calibration error of the likeliest family's probability over ten bins of equal mass;
        `families`: for each, its `images`, how many are `found`, how many images `named` so and the share
        `right` of those.
    """
    best, top = probabilities.argmax(axis=1), probabilities.max(axis=1)
    named, right = top >= least, best + 1 == codes
    bins = np.array_split(np.argsort(top, kind="stable"), 10)
    ece = sum(len(b) * abs(float(top[b].mean() - right[b].mean())) for b in bins if len(b)) / len(top)
    each = {}
    for k, name in enumerate(families):
        so = named & (best == k)
        each[name] = {
            "images": int((codes == k + 1).sum()),
            "found": int((so & right).sum()),
            "named": int(so.sum()),
            "right": float(right[so].mean()) if so.any() else None,
        }
    unknown = codes == 0
    return {
        "images": len(codes),
        "named": float(named.mean()),
        "right": float(right[named].mean()) if named.any() else None,
        "unknown_images": int(unknown.sum()),
        "unknown_named": float(named[unknown].mean()) if unknown.any() else None,
        "ece": float(ece),
        "families": each,
    }
