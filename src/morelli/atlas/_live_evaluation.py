"""How well the distilled detector does on a selection, while a threshold moves or dimensions go.

All figures are of held-out scores. They are computed again on every call, so beyond `MOST_RESAMPLED` images
they come without intervals, and say so; `morelli evaluate` gives those for any number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import ERRORS, UNANSWERED, UNKNOWN, Collection, error_types, verdict_of
from morelli.errors import UsageError
from morelli.metrics import rates_at, roc_auc, roc_curve, tpr_at_fpr
from morelli.metrics.probabilities import reliability_curve
from morelli.metrics.shares import positive_predictive_value, wilson_interval

MOST_RESAMPLED = 50_000
ROUNDS = 200
WORST = 24
CURVE_POINTS = 200
UNNAMED = "(unnamed)"


def live_evaluation(
    collection: Collection,
    mask: NDArray[np.bool_] | None,
    *,
    logits: NDArray[Any],
    threshold: float = 0.5,
    base_rate: float = 0.5,
) -> dict[str, Any]:
    """Outcomes, metrics, confusion, generators, sources, calibration and worst cases as plain JSON values.

    `outcomes` are of the atlas's own two thresholds at even odds, between which there is no answer;
    `confusion` and `rates` of the one `threshold`, which answers for every image.

    Args:
        collection: all images.
        mask: (n,) the selected ones, None for all; images without a label are left out and counted.
        logits: (n,) held-out logits, with whatever dimensions switched off.
        threshold: probability above which an image counts as generated, at `base_rate`.
        base_rate: share of generated images where the detector is to be used.

    Raises:
        UsageError: threshold or base rate outside (0, 1).
    """
    if not 0 < threshold < 1 or not 0 < base_rate < 1:
        raise UsageError("The threshold and the base rate lie between 0 and 1, both excluded.")
    chosen = np.ones(len(collection), dtype=bool) if mask is None else mask
    rows = np.flatnonzero(chosen & (collection.labels != UNKNOWN))
    y = collection.labels[rows].astype(np.int8)
    probability = collection.distilled.calibration.probability(logits[rows], base_rate)
    flagged = probability > threshold
    # In the precision of the collection's own scores, so that an image at a threshold has one verdict.
    even = collection.distilled.calibration.probability(logits[rows]).astype(np.float32)
    verdicts = verdict_of(even, collection.base_thresholds)
    outcomes = error_types(y, verdicts)
    found: dict[str, Any] = {
        "n": len(rows),
        "thresholds": list(collection.base_thresholds),
        "outcomes": {name: int((outcomes == code).sum()) for code, name in enumerate(ERRORS)}
        | {"unanswered_real": int(((outcomes == UNANSWERED) & (y == 0)).sum())},
        "unlabelled": int(chosen.sum() - len(rows)),
        "threshold": threshold,
        "base_rate": base_rate,
        "confusion": {
            name: int(((y == code // 2) & (flagged == bool(code % 2))).sum())
            for code, name in enumerate(ERRORS[:UNANSWERED])
        },
        "generators": _shares(
            collection.category("generator"), rows[y == 1], flagged[y == 1], outcomes[y == 1] == UNANSWERED
        ),
        "sources": _shares(
            collection.category("source"), rows[y == 0], flagged[y == 0], outcomes[y == 0] == UNANSWERED
        ),
        "worst": _worst(rows, y, probability, np.isin(outcomes, (1, 2))),
    }
    if 0 < y.sum() < len(y):
        found |= _ranking(
            collection, rows, y,
            logits=logits[rows], probability=probability, threshold=threshold, base_rate=base_rate,
        )  # fmt: skip
    return found


def _ranking(
    collection: Collection,
    rows: NDArray[np.int64],
    y: NDArray[np.int8],
    *,
    logits: NDArray[Any],
    probability: NDArray[Any],
    threshold: float,
    base_rate: float,
) -> dict[str, Any]:
    """What needs images of both classes."""
    rates = rates_at(y, probability, threshold)
    # A reliability curve of a sample says something about the sample's base rate, so both classes are given
    # the weight that the stated one says: by reading the curve at one half, where calibration was fitted.
    even = collection.distilled.calibration.probability(logits, 0.5)
    return {
        "metrics": _metrics(collection, rows, y, logits, even),
        "rates": {
            "tpr": rates.fake_accuracy,
            "fpr": 1 - rates.real_accuracy,
            "balanced_accuracy": rates.balanced_accuracy,
            "ppv": _finite(
                positive_predictive_value(rates.fake_accuracy, 1 - rates.real_accuracy, base_rate)
            ),
        },
        "calibration": [
            {"low": b.low, "high": b.high, "mean": b.mean_probability, "share": b.share_generated, "n": b.n}
            for b in reliability_curve(y, even)
        ],
        "roc": roc_curve(y, logits, CURVE_POINTS).tolist(),
    }


def _metrics(
    collection: Collection,
    rows: NDArray[np.int64],
    y: NDArray[np.int8],
    logits: NDArray[Any],
    p: NDArray[Any],
) -> dict[str, Any]:
    from morelli.evaluation import MeasureOptions, Predictions, measure

    if len(rows) > MOST_RESAMPLED:
        return {
            "auc": {"value": roc_auc(y, logits), "low": None, "high": None},
            "tpr_at_1": {"value": tpr_at_fpr(y, logits, 0.01), "low": None, "high": None},
            "tpr_at_5": {"value": tpr_at_fpr(y, logits, 0.05), "low": None, "high": None},
            "notes": [f"No intervals above {MOST_RESAMPLED:,} images here; `morelli evaluate` gives them."],
        }

    def names(column: str) -> list[str | None]:
        category = collection.category(column)
        return [category.names[c] if c >= 0 else None for c in category.codes[rows].tolist()]

    table = Predictions.from_columns(
        label=y, logit=logits.astype(float), probability=p, protocol="atlas", part="test",
        detector="distilled", generator=names("generator"), lineage=names("lineage"), source=names("source"),
        sha256=[str(row) for row in rows.tolist()],
    )  # fmt: skip
    measured = measure(table, MeasureOptions(rounds=ROUNDS, threads=1), each_group=False)
    return {name: value.to_json() for name, value in measured.metrics.items()} | {
        "notes": list(measured.notes)
    }


def _shares(
    category: Any, rows: NDArray[np.int64], flagged: NDArray[np.bool_], unanswered: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Per name: images, share above the threshold with Wilson's interval, and share without an answer.

    The names with most images come first.
    """
    names = [*category.names, UNNAMED]
    codes = category.codes[rows]
    codes = np.where(codes < 0, len(names) - 1, codes)
    counts = np.bincount(codes, minlength=len(names))
    hits = np.bincount(codes[flagged], minlength=len(names))
    open_ = np.bincount(codes[unanswered], minlength=len(names))
    out = []
    for code in np.argsort(-counts, kind="stable"):
        n, k = int(counts[code]), int(hits[code])
        if n:
            low, high = wilson_interval(k, n)
            share = {"flagged": k / n, "low": low, "high": high, "unanswered": int(open_[code]) / n}
            out.append({"name": names[code], "n": n, **share})
    return out


def _worst(
    rows: NDArray[np.int64], y: NDArray[np.int8], probability: NDArray[Any], wrong: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Of the images whose verdict is wrong those whose label gets the least probability, worst first."""
    given = np.where(y == 1, probability, 1 - probability)
    order = np.argsort(np.where(wrong, given, np.inf), kind="stable")[:WORST]
    return [
        {"row": int(rows[i]), "label": "fake" if y[i] else "real", "probability": float(probability[i])}
        for i in order
        if wrong[i]
    ]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
