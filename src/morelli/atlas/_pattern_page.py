"""The page of one prototype: its images with what their score would be without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import ERRORS, error_types, verdict_of

if TYPE_CHECKING:
    from morelli.atlas._collection import Collection
    from morelli.atlas.patterns._prototypes import Prototypes

SHOWN = 12
"""Images that carry the pattern most strongly, beside the exemplars."""


def without_pattern(
    collection: Collection, rows: NDArray[np.int64], dimension: int, typical: float
) -> dict[str, NDArray[Any]]:
    """Held-out logits (m,) of some images with and without their pattern of a dimension, and the rest.

    Without it the dimension has the impact that it has in an image about which it has nothing to say, the
    collection's median: the logit is a sum, so that is exact. It is a statement about the score and not about
    the picture; what an edit of the region does to the picture is measured by `measure_counterfactuals`.
    """
    logits = collection.held_logits[rows]
    after = logits - collection.impact_columns[dimension][rows] + np.float32(typical)
    calibration, limits = collection.distilled.calibration, collection.base_thresholds
    before_p, after_p = (np.asarray(calibration.probability(one)) for one in (logits, after))
    labels = collection.labels[rows]
    before_v, after_v = verdict_of(before_p, limits), verdict_of(after_p, limits)
    return {
        "logit": logits, "logit_without": after, "probability": before_p, "probability_without": after_p,
        "verdict": before_v, "verdict_without": after_v,
        "outcome": error_types(labels, before_v), "outcome_without": error_types(labels, after_v),
    }  # fmt: skip


def pattern_page(
    collection: Collection, item: Mapping[str, Any], rows: NDArray[np.int64], found: Prototypes | None
) -> dict[str, Any]:
    """What the page of a prototype shows beside its card.

    Args:
        collection: of the atlas.
        item: the prototype as a JSON object.
        rows: of the images that carry it, rising.
        found: the atlas's prototypes, which know the impact of a dimension that has nothing to say.
    """
    assert found is not None  # it has the item
    k = int(item["dimension"])
    typical = float(found.presence.typical[k])
    scores = without_pattern(collection, rows, k, typical)
    deviation = np.abs(collection.impact_columns[k][rows] - typical)
    shown = [one["row"] for one in item["exemplars"]]
    strongest = rows[np.argsort(-deviation, kind="stable")]
    shown += [row for row in strongest[: SHOWN + len(shown)].tolist() if row not in shown][:SHOWN]
    place = {int(row): i for i, row in enumerate(rows)}

    def counted(codes: NDArray[np.int8]) -> dict[str, int]:
        return {name: int((codes == code).sum()) for code, name in enumerate(ERRORS)}

    def mean(name: str) -> float | None:
        return float(scores[name].mean()) if len(rows) else None

    return {
        "prototype": dict(item),
        "typical": typical,
        "without": {
            "images": len(rows),
            "probability": mean("probability"),
            "probability_without": mean("probability_without"),
            "changed": int((scores["verdict"] != scores["verdict_without"]).sum()),
            "outcomes": counted(scores["outcome"]),
            "outcomes_without": counted(scores["outcome_without"]),
        },
        "images": [
            {
                "row": row,
                "impact": float(collection.impact_columns[k][row]),
                "label": {0: "real", 1: "fake"}.get(int(collection.labels[row])),
                **{
                    name: float(scores[name][place[row]])
                    for name in ("logit", "logit_without", "probability", "probability_without")
                },
            }
            for row in shown
            if row in place
        ],
    }
