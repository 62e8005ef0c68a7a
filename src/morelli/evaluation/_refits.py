"""Fit a detector on every split of a protocol and score the rows that each split tests."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.errors import UsageError
from morelli.evaluation._arrays import AnyArray, FloatArray, IntArray
from morelli.evaluation._predictions import sigmoid
from morelli.evaluation._splits import Split

if TYPE_CHECKING:
    from morelli.features import Features


SIMILARITY_ROWS = 50_000  # above this, a similarity matrix of all pairs would not fit in memory


@dataclass(frozen=True)
class Candidate:
    """A detector under evaluation.

    detector: an unfitted scikit-learn estimator with `fit(X, y)` and `decision_function(X)`, which is
    cloned and fitted on every split; or a `Bundle`, which is scored as it is.
    kinds: the feature kinds that the estimator reads, side by side; a bundle brings its own.
    """

    name: str
    detector: Any
    kinds: tuple[str, ...] = ("final",)

    @property
    def fixed(self) -> bool:
        """True for a bundle: scored without fitting."""
        return hasattr(self.detector, "logits")

    def describe(self) -> dict[str, Any]:
        """What the run's record says of it, as plain JSON."""
        if self.fixed:
            return {"bundle": bundle_hash(self.detector), "kinds": list(self.detector.kinds)}
        settings = self.detector.get_params(deep=True) if hasattr(self.detector, "get_params") else {}
        plain = {
            k: v if isinstance(v, int | float | str | bool | None) else str(v) for k, v in settings.items()
        }
        return {"estimator": type(self.detector).__name__, "settings": plain, "kinds": list(self.kinds)}


@dataclass(frozen=True, eq=False)
class SplitScores:
    """Scores of one split: of its `test` rows, then of its `held_in` rows."""

    logits: FloatArray
    probabilities: FloatArray
    verdicts: AnyArray


def bundle_hash(bundle: Any) -> str | None:
    """The hash by which a bundle names itself, None when it has none."""
    for name in ("sha256", "digest", "fingerprint", "hash"):
        value = getattr(bundle, name, None)
        value = value() if callable(value) else value
        if isinstance(value, str):
            return value
    return None


def score_splits(
    candidate: Candidate,
    features: Features,
    splits: Sequence[Split],
    groups: AnyArray,
    image_groups: AnyArray,
) -> list[SplitScores]:
    """Scores of every split, in order.

    groups (n,): handed to `fit` when it takes groups, so that choices inside the training set (of C,
    say) keep lineages whole too; a class of one group there falls back to `image_groups` (n,).
    """
    if candidate.fixed:
        return _fixed_scores(candidate, features, splits)
    X, y = features.matrix(candidate.kinds), features.labels
    nearest = _shared_neighbors(candidate, X, y, splits)
    if nearest is not None:
        return nearest
    results: list[SplitScores | None] = [None] * len(splits)
    blocks: dict[str, list[int]] = {}
    for place, split in enumerate(splits):
        blocks.setdefault(split.block or f"\x00{place}", []).append(place)
    for members in blocks.values():
        shared = _shared_probe(candidate, X, y, [splits[m] for m in members], groups)
        for offset, place in enumerate(members):
            if shared is not None:
                results[place] = shared[offset]
                continue
            split = splits[place]
            columns = {"groups": groups, "image_groups": image_groups, "eras": features.column("era")}
            fitted = _fit(candidate, X, y, split.train, **columns)
            results[place] = _scored(fitted, X[np.concatenate([split.test, split.held_in])], candidate)
    return [r for r in results if r is not None]


def _fit(
    candidate: Candidate,
    X: AnyArray,
    y: AnyArray,
    rows: IntArray,
    *,
    groups: AnyArray,
    image_groups: AnyArray,
    eras: AnyArray,
) -> Any:
    from sklearn.base import clone

    fresh = clone(candidate.detector)
    extra = {}
    taken = inspect.signature(fresh.fit).parameters
    if "eras" in taken:
        extra["eras"] = eras[rows]
    if "groups" in taken:
        names = groups[rows].copy()
        for label in (0, 1):
            own = y[rows] == label
            if len(np.unique(names[own].astype(str))) < 2:
                names[own] = [f"image {name}" for name in image_groups[rows][own]]
        extra["groups"] = names
    return fresh.fit(X[rows], y[rows], **extra)


def _scored(fitted: Any, X: AnyArray, candidate: Candidate) -> SplitScores:
    logits = np.asarray(fitted.decision_function(X), dtype=np.float64)
    if logits.shape != (len(X),) or not np.isfinite(logits).all():
        raise UsageError(
            f"{candidate.name}: decision_function must give one finite score per image; it gave an array "
            f"of shape {logits.shape} with {int((~np.isfinite(logits)).sum())} values that are not finite"
        )
    if hasattr(fitted, "predict_proba"):
        p = np.asarray(fitted.predict_proba(X), dtype=np.float64)[:, 1]
    else:
        p = sigmoid(logits)
    return SplitScores(logits, p, _verdicts(p))


def _verdicts(p: FloatArray) -> AnyArray:
    return np.where(p > 0.5, "ai", "real").astype(object)


def _fixed_scores(candidate: Candidate, features: Features, splits: Sequence[Split]) -> list[SplitScores]:
    """A bundle sees each row once, whatever the splits."""
    bundle = candidate.detector
    rows = np.unique(np.concatenate([np.concatenate([s.test, s.held_in]) for s in splits]))
    part = features.take(rows)
    logits = np.asarray(bundle.logits(part), dtype=np.float64)
    p = np.asarray(bundle.probabilities(part), dtype=np.float64)
    if hasattr(bundle, "verdicts"):
        verdicts = np.array([v.verdict for v in bundle.verdicts(part)], dtype=object)
    else:
        verdicts = _verdicts(p)
    result = []
    for split in splits:
        at = np.searchsorted(rows, np.concatenate([split.test, split.held_in]))
        result.append(SplitScores(logits[at], p[at], verdicts[at]))
    return result


def _shared_probe(
    candidate: Candidate, X: AnyArray, y: AnyArray, splits: Sequence[Split], groups: AnyArray
) -> list[SplitScores] | None:
    """A linear probe on all splits of a block at once; None where that is not possible.

    Standardisation and C come from the rows that every split of the block trains on, so no split's
    test rows touch them, and all heads are then solved together, each on its own training rows. The
    heads differ from one-by-one fits in those two choices only (rank correlation of logits above 0.99).
    """
    from sklearn.base import clone

    from morelli.detectors import LinearProbe

    probe = candidate.detector
    if type(probe) is not LinearProbe or len(splits) < 2:
        return None
    trained = np.zeros((len(y), len(splits)))
    for column, split in enumerate(splits):
        trained[split.train, column] = 1.0
    common = np.flatnonzero(trained.all(axis=1))
    per_class = [len(np.unique(groups[common][y[common] == c].astype(str))) for c in (0, 1)]
    if min(per_class) < 2:
        return None
    rows = np.flatnonzero(trained.any(axis=1))
    if probe.standardize:
        mean, scale = X[common].mean(axis=0), X[common].std(axis=0)
        X = (X - mean) / np.where(scale > 0, scale, 1.0)
    head = clone(probe).set_params(standardize=False)
    weights = head.weights_of(y[rows], groups[rows])
    # Balanced heads carry the total weight of all rows handed over; a fit on its own training rows would
    # carry theirs, so C is scaled by the ratio (training sets of a block are of nearly one size).
    ratio = trained.sum(axis=0).mean() / len(rows) if head.class_weight == "balanced" else 1.0
    coef, bias = head.fit_heads(
        X[rows],
        y[rows],
        trained[rows],
        C=None if head.C == "cv" else float(head.C),
        sample_weight=weights,
        groups=groups[rows],
        C_factor=ratio,
    )
    result = []
    for column, split in enumerate(splits):
        tested = np.concatenate([split.test, split.held_in])
        logits = X[tested].astype(np.float64) @ coef[column] + bias[column]
        p = sigmoid(logits)
        result.append(SplitScores(logits, p, _verdicts(p)))
    return result


def _shared_neighbors(
    candidate: Candidate, X: AnyArray, y: AnyArray, splits: Sequence[Split]
) -> list[SplitScores] | None:
    """An exact neighbour detector on all splits: a bank is a choice of columns of one similarity matrix.

    Same scores as fitting one bank after another (mean cosine of the k nearest fakes minus that of the k
    nearest reals), to the rounding of float32 sums; None for other voting rules and approximate indexes.
    """
    from morelli.detectors import NearestNeighborDetector

    detector = candidate.detector
    if type(detector) is not NearestNeighborDetector:
        return None
    if detector.voting != "mean_similarity" or detector.index != "exact" or len(X) > SIMILARITY_ROWS:
        return None
    unit = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    unit = unit.astype(np.float32)
    results = []
    for split in splits:
        tested = np.concatenate([split.test, split.held_in])
        sides = []
        for label in (1, 0):
            bank = split.train[y[split.train] == label]
            similar = unit[tested] @ unit[bank].T
            k = min(detector.k, len(bank))
            nearest = np.partition(similar, len(bank) - k, axis=1)[:, len(bank) - k :]
            sides.append(nearest.mean(axis=1, dtype=np.float64))
        logits = sides[0] - sides[1]
        p = sigmoid(logits)
        results.append(SplitScores(logits, p, _verdicts(p)))
    return results
