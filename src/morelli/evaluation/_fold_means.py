"""Measure a protocol fold by fold and average: folds whose scores share no scale are never pooled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from morelli.evaluation._arrays import FloatArray
from morelli.evaluation._measure import Measurement, MeasureOptions, measure
from morelli.evaluation._predictions import Predictions
from morelli.metrics import Estimate
from morelli.metrics.resampling import interval

OOD, IN_DOMAIN = "ood_auc", "diagonal_auc"


@dataclass(frozen=True)
class FoldMeans:
    """Unweighted means over folds (or the one pooled set) and what they are made of."""

    metrics: Mapping[str, Estimate]
    folds: Mapping[str, Measurement]
    degrees: float
    notes: tuple[str, ...]
    replicates: Mapping[str, FloatArray] = field(repr=False)


def measure_folds(
    predictions: Predictions,
    options: MeasureOptions,
    *,
    pooled: bool,
    transfer: bool = False,
    each_group: bool = True,
) -> FoldMeans:
    """Measure one detector's test rows of one protocol.

    pooled: all folds are parts of one set of out-of-fold scores. Otherwise every fold is measured by
    itself and the means are taken round by round: folds that share their images share their draws (see
    `Resampling`), so the interval of the mean counts shared images once.
    transfer: also the mean AUC of the cells off the matrix's diagonal and of the diagonal; their
    intervals hold for these generators (images are drawn inside each, reals by source).
    """
    if pooled:
        whole = measure(predictions, options, each_group=each_group)
        return FoldMeans(whole.metrics, {}, whole.degrees, whole.notes, whole.replicates)
    codes, names = predictions.codes("fold")
    folds = {}
    for code in np.unique(codes):
        name = names[code] if code >= 0 else ""
        folds[name] = measure(predictions.rows(codes == code), options, each_group=each_group)
    degrees = float(np.median([m.degrees for m in folds.values()]))
    values: dict[str, list[float]] = {}
    draws: dict[str, list[FloatArray]] = {}
    for fold, measured in folds.items():
        single = {k: e.value for k, e in measured.metrics.items()}
        rounds = dict(measured.replicates)
        if transfer:
            cells = np.array([g.auc.value for g in measured.groups])
            own = np.array([g.name == fold for g in measured.groups])
            for key, keep in ((OOD, ~own), (IN_DOMAIN, own)):
                if keep.any():
                    single[key] = float(cells[keep].mean())
                    if measured.group_replicates is not None:
                        rounds[key] = measured.group_replicates[:, keep].mean(axis=1)
        for key, value in single.items():
            values.setdefault(key, []).append(value)
        for key, replicates in rounds.items():
            draws.setdefault(key, []).append(replicates)
    means = {k: float(np.mean(v)) for k, v in values.items()}
    # A mean over folds is only a mean of all of them where each fold could be resampled.
    joined = {k: np.mean(v, axis=0) for k, v in draws.items() if len(v) == len(folds)}
    metrics = {
        k: interval(m, joined[k], options.level, degrees) if k in joined else Estimate(m)
        for k, m in means.items()
    }
    notes = tuple(dict.fromkeys(note for m in folds.values() for note in m.notes))
    return FoldMeans(metrics, folds, degrees, notes, joined)


def fold_options(options: MeasureOptions, rounds: int | None) -> MeasureOptions:
    """The options with the number of rounds that single folds use."""
    return options if rounds is None else replace(options, rounds=min(rounds, options.rounds))
