"""Curves of the report, computed from the predictions table: ROC, transfer matrices, worst cases."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.evaluation import Predictions, Result, protocols
from morelli.metrics import tpr_at_fprs

GRID = 80


def roc(rows: Predictions, protocol: str) -> dict[str, list[float]] | None:
    """True-positive rates over false-positive rates from 1 / reals to 1, log spaced.

    Where folds share no scale of scores, the curve is the mean of the folds' curves. None where a fold
    lacks a class.
    """
    codes, _ = rows.codes("fold")
    pooled = protocol in protocols.POOLED
    folds = [np.arange(len(rows))] if pooled else [np.flatnonzero(codes == c) for c in np.unique(codes)]
    labels, logits = rows.labels, rows.logits
    reals = [int((labels[f] == 0).sum()) for f in folds]
    if min(reals) < 2 or min(int((labels[f] == 1).sum()) for f in folds) < 1:
        return None
    grid = np.geomspace(1 / min(reals), 1.0, GRID)
    curves = [tpr_at_fprs(labels[f], logits[f], grid) for f in folds]
    mean = np.mean(curves, axis=0)
    return {"fpr": [float(v) for v in grid], "tpr": [float(v) for v in mean]}


def matrix(result: Result) -> dict[str, Any] | None:
    """The transfer matrix of one detector: AUC of (trained on row, tested on column).

    Generators are ordered by how well they are recognised by detectors of the others, best first.
    """
    if result.protocol != protocols.TRANSFER or not result.folds:
        return None
    rows = [f.name for f in result.folds]
    columns = sorted({g.name for f in result.folds for g in f.generators})
    cells = np.full((len(rows), len(columns)), np.nan)
    for i, fold in enumerate(result.folds):
        for group in fold.generators:
            cells[i, columns.index(group.name)] = group.auc.value
    off = np.array([[r != c for c in columns] for r in rows])
    others = np.where(off, cells, np.nan)
    ease = _mean(others, axis=0)
    order = np.argsort(-ease, kind="stable")
    names = [columns[k] for k in order]
    lines = sorted(range(len(rows)), key=lambda k: names.index(rows[k]) if rows[k] in names else len(names))
    return {
        "trained": [rows[k] for k in lines],
        "tested": names,
        "auc": cells[np.ix_(np.array(lines), order)].tolist(),
        "as_test": ease[order].tolist(),
        "as_training": _mean(others, axis=1)[lines].tolist(),
    }


def _mean(cells: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    known = np.isfinite(cells)
    return np.asarray(np.where(known, cells, 0).sum(axis=axis) / np.maximum(known.sum(axis=axis), 1))


def worst(rows: Predictions, count: int = 12) -> dict[str, list[dict[str, Any]]]:
    """The generated images that looked most real and the real ones that looked most generated.

    At most three of one generator or source, so that one bad group does not fill the page.
    """
    result = {}
    labels, logits, p = rows.labels, rows.logits, rows.probabilities
    names = {c: rows.table.column(c).to_pylist() for c in ("uri", "sha256", "generator", "source", "fold")}
    for kind, label, sign in (("missed", 1, 1.0), ("false_alarms", 0, -1.0)):
        own = np.flatnonzero(labels == label)
        taken: list[dict[str, Any]] = []
        per_group: dict[Any, int] = {}
        for row in own[np.argsort(sign * logits[own], kind="stable")]:
            group = names["generator" if label else "source"][row]
            if per_group.get(group, 0) == 3 or sign * logits[row] >= 0:
                continue
            per_group[group] = per_group.get(group, 0) + 1
            taken.append(
                {
                    "uri": names["uri"][row],
                    "sha256": names["sha256"][row],
                    "group": group,
                    "probability": float(p[row]),
                    "logit": float(logits[row]),
                }
            )
            if len(taken) == count:
                break
        result[kind] = taken
    return result
