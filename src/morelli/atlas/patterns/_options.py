"""How prototypes are found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PatternOptions:
    """How prototypes are found.

    Attributes:
        per_image: patterns that an image carries on average; sets the threshold of impact.
        components: directions in which patch features of one dimension are compared.
        least: smallest prototype, in images; `least_share` the same as a share of the collection.
        most: largest number of prototypes of one dimension and sign.
        exemplars: images shown for each.
        permutations: of labels, behind the p-values. draws: of groups, behind the intervals.
        repeats: random halves behind the number of clusters and their stability.
    """

    per_image: float = 2.0
    components: int = 32
    least: int = 8
    least_share: float = 0.002
    most: int = 6
    exemplars: int = 12
    permutations: int = 2000
    draws: int = 1000
    repeats: int = 20
