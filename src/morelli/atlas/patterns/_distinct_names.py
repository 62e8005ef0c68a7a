"""Names that tell prototypes and dimensions apart: what, where, whose, and no two alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SHARE, LIFT = 0.25, 2.0
"""A generator is part of a name when so large a share of the images are its, and so many times as often as
others."""


def often(generators: Sequence[Mapping[str, Any]] | None, share: float = SHARE) -> list[str]:
    """Generators or sources that a name may mention, the most frequent first.

    Example:
        >>> often([{"name": "ffhq", "share": 0.4, "lift": 6.0}, {"name": "coco", "share": 0.5, "lift": 1.1}])
        ['ffhq']
    """
    found = [one for one in generators or () if one["share"] >= share and one["lift"] >= LIFT]
    return [str(one["name"]) for one in sorted(found, key=lambda one: -one["share"])]


def distinct_names(
    names: Sequence[str], details: Sequence[Sequence[str]], taken: Sequence[str] = ()
) -> list[str]:
    """The names, those that several share told apart by the first detail in which they differ.

    Args:
        names: as suggested.
        details: for each name the same number of short texts in order of use; empty ones are not used.
        taken: names of other things, which are left to those.

    Example:
        >>> distinct_names(["sky", "sky", "face"], [["left", "of D1"], ["left", "of D2"], ["", ""]])
        ['sky, of D1', 'sky, of D2', 'face']
    """
    found = list(names)
    others = {name.casefold() for name in taken}
    for step in range(max(map(len, details), default=0)):
        for same in _alike(found, others):
            told = {details[i][step] for i in same}
            if len(told) > 1 or any(found[i].casefold() in others for i in same):
                for i in same:
                    if details[i][step]:
                        found[i] = f"{found[i]}, {details[i][step]}"
    # Nothing known tells the rest apart: they are numbered, whatever the numbers meet.
    used = others | {name.casefold() for name in found}
    for same in _alike(found, others):
        for i in same if found[same[0]].casefold() in others else same[1:]:
            number = 2
            while f"{found[i]} ({number})".casefold() in used:
                number += 1
            found[i] = f"{found[i]} ({number})"
            used.add(found[i].casefold())
    return found


def _alike(names: Sequence[str], taken: set[str]) -> list[list[int]]:
    """Places of names that several have, or that are taken."""
    places: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        places.setdefault(name.casefold(), []).append(i)
    return [same for name, same in places.items() if len(same) > 1 or name in taken]


def prototype_details(row: Mapping[str, Any], dimension: str) -> list[str]:
    """What may tell a prototype from one of the same name, the most telling first."""
    mentioned = often(row.get("generators"), share=0.1)
    area = row.get("area")
    return [
        f"with {mentioned[1]}" if len(mentioned) > 1 else f"with {mentioned[0]}" if mentioned else "",
        f"dimension “{dimension}”",
        "for generated" if (row.get("mean_impact") or 0) > 0 else "for real",
        "" if area is None else f"{area:.0%} of the picture",
        f"{row['count']} images",
    ]
