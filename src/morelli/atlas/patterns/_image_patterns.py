"""The patterns of one image: each dimension's value, impact, region and prototype."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas.patterns._regions import relevant_regions

Array = NDArray[Any]


@dataclass(frozen=True)
class Pattern:
    """One dimension in one image.

    Attributes:
        dimension: its number.
        value: distilled value z_k.
        impact: signed share of the logit, z_k times the head's weight; with the bias, the impacts of all
            dimensions sum to the logit.
        box: x0, y0, x1, y1 of the relevant region, fractions of the square that the encoder saw.
        mask: (g, g) bool, patches of the relevant region.
        area: share of the patches in it.
        prototype: number of the prototype, None where the image carries no pattern of this dimension.
    """

    dimension: int
    value: float
    impact: float
    box: tuple[float, float, float, float]
    mask: NDArray[np.bool_] = field(repr=False)
    area: float
    prototype: int | None


def image_patterns(
    values: Array, impacts: Array, maps: Array, prototypes: Array | None = None
) -> list[Pattern]:
    """All K patterns of one image, the largest impact first.

    Args:
        values: (K,). impacts: (K,).
        maps: (K or more, P) relevance maps.
        prototypes: (K,) the image's row of an assignment, −1 none.
    """
    dimensions = len(impacts)
    regions = relevant_regions(np.asarray(maps)[:dimensions])
    assigned = np.full(dimensions, -1) if prototypes is None else prototypes
    return [
        Pattern(
            dimension=k,
            value=float(values[k]),
            impact=float(impacts[k]),
            box=tuple(regions.boxes[k].tolist()),
            mask=regions.mask[k],
            area=float(regions.area[k]),
            prototype=int(assigned[k]) if assigned[k] >= 0 else None,
        )
        for k in np.argsort(-np.abs(np.asarray(impacts, dtype=float)), kind="stable").tolist()
    ]
