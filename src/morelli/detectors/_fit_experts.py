"""Experts fitted for a bundle: every fold, the whole and every bootstrap draw in one solve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.detectors._expert_head import ExpertHead
from morelli.detectors._expert_probe import ExpertProbe, fit_shifts, joined
from morelli.detectors._folds import CrossFit
from morelli.detectors._weights import balanced_weights
from morelli.metrics.resampling import group_draws


@dataclass(frozen=True, eq=False)
class FittedExperts:
    """The head fitted on everything, and each row's logit from experts that saw no row of its group."""

    head: ExpertHead
    crossed: CrossFit


def fit_experts(  # noqa: PLR0917
    probe: ExpertProbe,
    X: NDArray[np.floating],
    codes: NDArray[np.int64],
    names: tuple[str, ...],
    groups: NDArray[Any],
    folds: NDArray[np.int64],
    scored: NDArray[np.int64],
    sample_weight: NDArray[np.float64],
    n_draws: int,
    rng: np.random.Generator,
) -> FittedExperts:
    """Fit the experts, and shift them against each other on held-out logits.

    The shifts of a fold come from the other folds, those of the head from all of them.

    Args:
        X: (n, d). codes: (n,) 0 for real, else the expert, see `expert_codes`. names: of the experts.
        groups, folds: (n,). scored: rows that shifts are taken from.
        sample_weight: (n,). n_draws: bootstrap heads, 0 for none.
    """
    labels = (codes > 0).astype(np.int8)
    masks = folds[:, None] != np.arange(int(folds.max()) + 1)
    parts = [masks, np.ones((len(codes), 1))]
    if n_draws:
        parts.append(group_draws(labels, groups, n_draws, rng))
    weights, biases = probe.fit_heads(X, codes, groups, np.concatenate(parts, axis=1), sample_weight)
    n_folds = masks.shape[1]
    each = np.empty((len(codes), len(names)))
    for fold in range(n_folds):
        rows = folds == fold
        each[rows] = X[rows].astype(np.float64) @ weights[fold].T + biases[fold]

    even = balanced_weights(labels[scored], groups[scored], by_group=probe.group_weight)
    logits = np.empty(len(codes))
    for fold in range(n_folds):
        rest = folds[scored] != fold
        shifts = fit_shifts(each[scored][rest], labels[scored][rest], even[rest])
        logits[folds == fold] = joined(each[folds == fold], shifts)
    shifts = fit_shifts(each[scored], labels[scored], even)
    head = ExpertHead(
        names,
        weights[n_folds],
        biases[n_folds] + shifts,
        np.ascontiguousarray(weights[n_folds + 1 :], dtype=np.float32) if n_draws else None,
        biases[n_folds + 1 :] + shifts if n_draws else None,
    )
    return FittedExperts(head, CrossFit(logits, folds, ()))
