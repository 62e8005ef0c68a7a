"""UnivFD's ablations: which layer, how large a bank, how many neighbours (Ojha et al. 2023, 5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.errors import UsageError
from morelli.evaluation._arrays import AnyArray, FloatArray
from morelli.evaluation._folds import fold_splits
from morelli.evaluation._measure import MeasureOptions, measure
from morelli.evaluation._predictions import Predictions
from morelli.evaluation._protocols import run_splits
from morelli.evaluation._refits import Candidate
from morelli.evaluation._splits import Split
from morelli.metrics import Estimate, rates_at, roc_auc

if TYPE_CHECKING:
    from morelli.features import Features


@dataclass(frozen=True)
class KindScore:
    """What one feature kind reaches: AUC with its interval, and the mean and worst over generators."""

    kind: str
    auc: Estimate
    generator_mean: float
    generator_worst: float
    worst_generator: str


@dataclass(frozen=True)
class LayerAblation:
    """One score a kind, in the order asked for, and the predictions they were computed from."""

    scores: tuple[KindScore, ...]
    predictions: Predictions


def layer_ablation(
    features: Features,
    kinds: Sequence[str] | None = None,
    *,
    splits: Sequence[Split] | None = None,
    detector: Any = None,
    options: MeasureOptions | None = None,
    seed: int = 0,
) -> LayerAblation:
    """Fit one detector on each feature kind alone, under one protocol.

    Args:
        features: labelled features that hold the kinds.
        kinds: kinds to compare; all of `features` if None. ``a+b`` puts kinds side by side.
        splits: the protocol; five folds that hold out lineages and real sources if None.
        detector: a scikit-learn estimator with `decision_function`, cloned for every fit; a linear probe if
            None.
        options: of the intervals.
        seed: of the default protocol.
    """
    chosen = splits if splits is not None else fold_splits(features, seed=seed)
    options = options or MeasureOptions()
    if detector is None:
        from morelli.detectors import LinearProbe

        # A short grid: the best C differs little between kinds, and a fit a kind and fold adds up.
        detector = LinearProbe(grid=(1e-4, 1e-3, 1e-2), n_folds=3)
    candidates = [Candidate(kind, detector, tuple(kind.split("+"))) for kind in kinds or features.kinds]
    predictions = run_splits("layer ablation", features, chosen, candidates)
    scores = []
    for kind in predictions.names("detector"):
        found = measure(predictions.select(detector=kind), options)
        large = [g for g in found.groups if g.n >= options.least_group] or list(found.groups)
        worst = min(large, key=lambda group: group.auc.value)
        mean = float(np.mean([group.auc.value for group in large]))
        scores.append(KindScore(kind, found.metrics["auc"], mean, worst.auc.value, worst.name))
    return LayerAblation(tuple(scores), predictions)


@dataclass(frozen=True)
class BankPoint:
    """AUC of the k-NN detector with `size` images of each class in its bank (None: all of them).

    `auc` is the mean over `repeats` random banks, `spread` their standard deviation (0 for the whole bank);
    `accuracy` is the mean balanced accuracy at score 0.
    """

    k: int
    size: int | None
    auc: float
    spread: float
    accuracy: float
    repeats: int


def bank_ablation(
    features: Features,
    kind: str = "final",
    *,
    ks: Sequence[int] = (1, 3, 5, 9),
    sizes: Sequence[int | None] = (10, 30, 100, 300, None),
    splits: Sequence[Split] | None = None,
    repeats: int = 5,
    seed: int = 0,
) -> list[BankPoint]:
    """k-NN over banks of several sizes, for several k at once.

    The score is the mean cosine of the k nearest generated images of the bank minus that of the k nearest
    real ones; for k = 1 its sign is UnivFD's rule. Banks are drawn at random from the training rows of each
    split, the same for every k; sizes beyond what a split holds are left out. Similarities are computed once
    a split.
    """
    chosen = splits if splits is not None else fold_splits(features, seed=seed)
    if not ks or min(ks) < 1:
        raise UsageError("The bank ablation needs numbers of neighbours of 1 or more.")
    X = features.matrix([kind]).astype(np.float32)
    X /= np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12)
    y = features.labels
    smallest = min(int(np.sum(y[split.train] == value)) for split in chosen for value in (0, 1))
    usable = [size for size in sizes if size is None or max(ks) <= size <= smallest]
    runs = {size: 1 if size is None else repeats for size in usable}
    scores = {
        (size, run, k): np.full(len(y), np.nan) for size in usable for run in range(runs[size]) for k in ks
    }
    rng = np.random.default_rng(seed)
    for split in chosen:
        banks = {value: split.train[y[split.train] == value] for value in (0, 1)}
        similar = {value: X[split.test] @ X[banks[value]].T for value in (0, 1)}
        for size in usable:
            for run in range(runs[size]):
                means = {}
                for value in (0, 1):
                    part = similar[value]
                    if size is not None:
                        part = part[:, rng.permutation(part.shape[1])[:size]]
                    means[value] = _top_means(part, ks)
                for place, k in enumerate(ks):
                    scores[size, run, k][split.test] = means[1][:, place] - means[0][:, place]
    tested = np.unique(np.concatenate([split.test for split in chosen]))
    points = []
    for size in usable:
        for k in ks:
            found = [_auc_and_accuracy(y[tested], scores[size, run, k][tested]) for run in range(runs[size])]
            aucs, accuracies = np.asarray(found).T
            points.append(
                BankPoint(
                    k, size, float(aucs.mean()), float(aucs.std()), float(accuracies.mean()), runs[size]
                )
            )
    return points


def _top_means(similar: FloatArray, ks: Sequence[int]) -> FloatArray:
    """Mean of the k largest of each row for each k, (rows, len(ks))."""
    top = min(max(ks), similar.shape[1])
    largest = -np.sort(-np.partition(similar, -top, axis=1)[:, -top:], axis=1)
    running = np.cumsum(largest, axis=1, dtype=np.float64)
    return np.column_stack([running[:, min(k, top) - 1] / min(k, top) for k in ks])


def _auc_and_accuracy(y: AnyArray, scores: FloatArray) -> tuple[float, float]:
    return roc_auc(y, scores), rates_at(y, scores, 0.0).balanced_accuracy
