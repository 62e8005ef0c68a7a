"""A first name for each dimension, from concepts where the evidence is clear, else from place and direction.

The images in which a dimension is strongest are compared with others of the same class mix, as prototypes are
(see `_names`): of all concepts the one that is surely and visibly along their difference names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas.patterns._distinct_names import distinct_names, often
from morelli.atlas.patterns._figures import describe, lifts
from morelli.atlas.patterns._names import LEAST_COSINE, NameSuggestion, nearest_concept
from morelli.atlas.patterns._prototypes import PatchFeatures, patch_features
from morelli.atlas.patterns._regions import relevant_regions

if TYPE_CHECKING:
    from morelli.explanation.concepts import ConceptBank

Array = NDArray[Any]
STRONG = 0.1
"""Share of all images in which a dimension counts as strong, fewer where it says something about fewer."""
_MAPPED, _LEAST, _MENTIONED = 256, 10, 0.1


@dataclass(frozen=True)
class DimensionName:
    """`name`, unlike all others; `concept` where one names it; `cosine` and `p` are of that concept."""

    name: str
    concept: str | None = None
    source: str = "place"
    cosine: float = float("nan")
    p: float = float("nan")


def images_of_large_impact(impacts: Array, share: float = STRONG) -> NDArray[np.int64]:
    """Rows of the images in which a dimension is strongest, by size of its impacts (n,); silent ones never.

    >>> images_of_large_impact(np.array([0.0, -3.0, 0.1, 2.0, 0.0, -0.2]), 0.5).tolist()
    [1, 3, 5]
    """
    size = np.abs(impacts)
    speaking = np.flatnonzero(size > 0)
    most = max(1, round(share * len(size)))
    return np.sort(speaking[np.argsort(-size[speaking], kind="stable")[:most]])


def suggest_dimension_names(  # noqa: PLR0917 - the columns of a collection
    impacts: Array,
    embeddings: Array,
    labels: Array,
    generator: Array,
    banks: Sequence[ConceptBank],
    maps: PatchFeatures | None,
    *,
    alpha: float = 0.01,
    least_cosine: float = LEAST_COSINE,
    permutations: int = 500,
    random_state: int = 0,
) -> list[DimensionName]:
    """One name per dimension, no two alike.

    Args:
        impacts: (n, K) held out. embeddings: (n, d) of the kind that the banks are of.
        labels: (n,) real 0, fake 1, −1 unknown. generator: (n,) generator or source, None unknown.
        banks: concept banks of the embeddings' kind. maps: (n, K or more, P) relevance maps, or None.
        alpha, least_cosine, permutations, random_state: as of `suggest_names`.
    """
    found: list[NameSuggestion] = []
    details: list[list[str]] = []
    for k in range(impacts.shape[1]):
        column = np.asarray(impacts[:, k], dtype=float)
        strong = images_of_large_impact(column)
        members = np.zeros(len(column), dtype=bool)
        members[strong] = True
        mentioned = often(lifts(members, generator), share=_MENTIONED)
        side = "towards generated" if column[strong].sum() > 0 else "towards real"
        place = _place(maps, strong, k)
        whose = f"often {mentioned[0]}" if mentioned else ""
        plain = ", ".join(filter(None, (side, whose or place))) if len(strong) else "silent"
        best = None
        if len(strong) >= _LEAST:
            best = nearest_concept(
                members, embeddings, np.asarray(labels), banks,
                alpha=alpha, least_cosine=least_cosine, permutations=permutations, random_state=random_state,
            )  # fmt: skip
        found.append(best or NameSuggestion(plain, "place"))
        details.append([side, whose, *(f"also {name}" for name in mentioned[1:3]), place])
        details[-1][2:2] = [""] * (5 - len(details[-1]))
    names = distinct_names([one.name for one in found], details)
    return [
        DimensionName(name, None if one.source == "place" else one.name, one.source, one.cosine, one.p)
        for name, one in zip(names, found, strict=True)
    ]


def _place(maps: PatchFeatures | None, strong: NDArray[np.int64], k: int) -> str:
    """Where the dimension looks in the images in which it is strongest; empty where there are no maps."""
    if maps is None or not len(strong):
        return ""
    regions = relevant_regions(patch_features(maps, strong[:_MAPPED], k))
    shows = np.flatnonzero(regions.mask.any(axis=(1, 2)))
    if not len(shows):
        return ""
    shown = regions.of(shows)
    x, y = np.median(shown.centre, axis=0).tolist()
    return describe(float(np.median(shown.area)), (x, y), float(shown.centre.std(axis=0).mean()))
