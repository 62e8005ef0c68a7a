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


MENTIONED = 0.03
"""Least share of a pattern's images that a generator has to be mentioned as one that has it more often."""


def whose(row: Mapping[str, Any]) -> str:
    """Whose images a pattern is seen in: the generators or sources that stand out, else the class.

    Args:
        row: of the table of prototypes: `generators` and `purity_fake` are read.

    Example:
        >>> rare = {"name": "adm", "share": 0.05, "lift": 3.0}
        >>> whose({"generators": [rare], "purity_fake": 0.9}), whose({"generators": [], "purity_fake": 0.95})
        ('more in adm', 'in generated images')
    """
    listed = row.get("generators") or ()
    main = often(listed)
    if main:
        return f"often {' and '.join(main[:2])}"
    more = often(listed, share=MENTIONED)
    if more:
        return f"more in {' and '.join(more[:2])}"
    share = row.get("purity_fake")
    if share is None or 0.2 < share < 0.8:
        return "in real and generated images" if share is not None else ""
    return "in generated images" if share >= 0.8 else "in real images"


def pattern_name(what: str | None, row: Mapping[str, Any]) -> str:
    """What a pattern shows or which way it speaks, whose images it is seen in, and where.

    Args:
        what: the concept that names it; None where none does.
        row: of the table of prototypes: `description`, `generators`, `purity_fake`, `mean_impact`.

    Example:
        >>> row = {"description": "small region, middle", "generators": [], "purity_fake": 0.9}
        >>> row["mean_impact"] = 0.4
        >>> pattern_name(None, row), pattern_name("film grain", row)
        ('towards generated: in generated images, middle', 'film grain: in generated images, middle')
    """
    subject = what or ("towards generated" if (row.get("mean_impact") or 0) > 0 else "towards real")
    # Most patterns are small, and the card shows them: only the others say how large they are.
    place = str(row["description"]).removeprefix("small region, ")
    return f"{subject}: {', '.join(filter(None, (whose(row), place)))}"


def renamed(row: Mapping[str, Any]) -> str:
    """The name of a stored prototype; those that earlier versions gave are made of the same parts again.

    Example:
        >>> row = {"description": "region, left", "generators": [], "purity_fake": 0.1, "mean_impact": -1}
        >>> renamed({**row, "name": "blurred: region, left"}), renamed({**row, "name": "region, left"})
        ('blurred: in real images, region, left', 'towards real: in real images, region, left')
    """
    name, place = str(row.get("name") or ""), str(row["description"])
    what, found, _ = name.partition(f": {place}")
    if found:
        return pattern_name(what, row)
    return pattern_name(None, row) if not name or name.startswith(place) else name


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
            values = {details[i][step] for i in same}
            if len(values) > 1 or any(found[i].casefold() in others for i in same):
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


def _aside(x: float | None, y: float | None) -> str:
    """Which way from the middle of the picture, finer than a description says; empty close to the middle.

    >>> _aside(0.45, 0.56)
    'a little lower left'
    """
    if x is None or y is None:
        return ""
    vertical = "upper" if y < 0.48 else "lower" if y > 0.52 else ""
    horizontal = "left" if x < 0.48 else "right" if x > 0.52 else ""
    return f"a little {vertical} {horizontal}".replace("  ", " ").strip() if vertical or horizontal else ""


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
        _aside(row.get("centre_x"), row.get("centre_y")),
        "for generated" if (row.get("mean_impact") or 0) > 0 else "for real",
        "" if area is None else f"{area:.0%} of the picture",
        f"of “{dimension}”",
        f"{row['count']} images",
    ]
