"""The sink class: where generated images go that are unlike those a detector was fitted on.

UnivFD's argument (Ojha et al. 2023, section 3.2, figure 2): a detector that was trained to find the traces of
one family calls everything without them real, so "real" becomes the sink for all other generators. The
remedy is a space that was not trained for the task. This analysis measures both sides: how the threshold
splits each unseen generator, and where that generator lies between the real images and the seen fakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from morelli.errors import UsageError
from morelli.evaluation._arrays import AnyArray, FloatArray
from morelli.metrics import two_sample_auc
from morelli.metrics.shares import wilson_interval

if TYPE_CHECKING:
    from morelli.features import Features


@dataclass(frozen=True)
class SinkGroup:
    """One unseen generator against a fitted threshold.

    `real_side` is the share of its images that the threshold calls real (0–1, 90 % Wilson interval
    `low`–`high`), `auc` its AUC against the unseen real images. `position` is where its centroid projects on
    the line from the real centroid (0) to the seen fakes' centroid (1); `to_real` and `to_fake` are cosine
    distances between its centroid and those two; `nearest_real` is the share of its images whose nearest
    seen image is real.
    """

    name: str
    n: int
    real_side: float
    low: float
    high: float
    auc: float
    position: float
    to_real: float
    to_fake: float
    nearest_real: float


@dataclass(frozen=True)
class SinkAnalysis:
    """How a threshold splits unseen images.

    `real_side_real` is the share of unseen real images on the real side (their accuracy), `real_side_fake`
    that of unseen fakes (their misses); `sink` is the real accuracy minus the fake accuracy, −1 to 1: above 0
    the real class is the sink. `centroid_distance` is the cosine distance of the seen centroids, `unseen`
    that of the unseen ones. `groups` are sorted, the most missed generator first.
    """

    threshold: float
    real_side_real: float
    real_side_fake: float
    sink: float
    centroid_distance: float
    unseen_distance: float
    groups: tuple[SinkGroup, ...]


def sink_analysis(
    train: Features,
    test: Features,
    logits: AnyArray,
    *,
    kind: str = "final",
    threshold: float = 0.0,
    by: str = "generator",
) -> SinkAnalysis:
    """Analyse how a detector fitted on `train` treats the unseen images of `test`.

    Args:
        train: what the detector was fitted on (both classes).
        test: unseen images (both classes).
        logits: (len(test),) the detector's decision values.
        kind: feature kind in which centroids and neighbours are taken, L2-normalised.
        threshold: images with a logit above it are called generated.
        by: column that names the generators.
    """
    X, Z = (_unit(part.matrix([kind])) for part in (train, test))
    y, t = train.labels, test.labels
    scores = np.asarray(logits, np.float64)
    if min(np.sum(y == 0), np.sum(y == 1), np.sum(t == 0), np.sum(t == 1)) == 0:
        raise UsageError("The sink analysis needs both classes among the seen and the unseen images.")
    if scores.shape != (len(test),):
        raise UsageError(f"{len(test)} unseen images but logits of shape {scores.shape}.")
    real, fake = X[y == 0].mean(axis=0), X[y == 1].mean(axis=0)
    axis = fake - real
    nearest = _nearest_label(X, y, Z)
    names = np.asarray([str(value or "unnamed") for value in test.column(by)])
    called_real = scores <= threshold
    groups = []
    for name in np.unique(names[t == 1]):
        rows = (names == name) & (t == 1)
        centre = Z[rows].mean(axis=0)
        missed, n = int(called_real[rows].sum()), int(rows.sum())
        low, high = wilson_interval(missed, n)
        groups.append(
            SinkGroup(
                name=str(name),
                n=n,
                real_side=missed / n,
                low=low,
                high=high,
                auc=two_sample_auc(scores[rows], scores[t == 0]),
                position=float((centre - real) @ axis / max(float(axis @ axis), 1e-12)),
                to_real=_cosine_distance(centre, real),
                to_fake=_cosine_distance(centre, fake),
                nearest_real=float(np.mean(nearest[rows] == 0)),
            )
        )
    real_rate, fake_rate = float(called_real[t == 0].mean()), float(called_real[t == 1].mean())
    return SinkAnalysis(
        threshold=threshold,
        real_side_real=real_rate,
        real_side_fake=fake_rate,
        sink=real_rate - (1 - fake_rate),
        centroid_distance=_cosine_distance(real, fake),
        unseen_distance=_cosine_distance(Z[t == 0].mean(axis=0), Z[t == 1].mean(axis=0)),
        groups=tuple(sorted(groups, key=lambda group: (-group.real_side, group.name))),
    )


def _unit(X: AnyArray) -> FloatArray:
    return np.asarray(X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12), np.float64)


def _cosine_distance(a: FloatArray, b: FloatArray) -> float:
    return float(1 - a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def _nearest_label(X: FloatArray, y: AnyArray, Z: FloatArray) -> AnyArray:
    """Label of the most similar row of X (n, d) for each row of Z (m, d), both of unit length; (m,)."""
    found = [y[np.argmax(Z[start : start + 1024] @ X.T, axis=1)] for start in range(0, len(Z), 1024)]
    return np.concatenate(found)
