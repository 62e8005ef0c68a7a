"""Names of patterns say what, whose and where, and no two in an atlas are alike."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from morelli.atlas import Atlas
from morelli.atlas.patterns._distinct_names import (
    distinct_names,
    pattern_name,
    prototype_details,
    renamed,
    whose,
)

DEVELOPMENT = Path(__file__).with_name("development_patterns.json")
SIZE_AND_PLACE = re.compile(
    r"((small )?region|most of the image|anywhere|middle|upper|lower|left|right|a little|\d+%? of the picture"
    r"|\d+ images|[,:() ]|\d)*"
)


def check(names: Sequence[str]) -> None:
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert not SIZE_AND_PLACE.fullmatch(name), f"only a size and a place: {name}"
        what, _, rest = name.partition(": ")
        assert what and rest, name


def names_of(rows: Sequence[dict[str, Any]], dimensions: Sequence[str]) -> list[str]:
    details = [prototype_details(row, dimensions[row["dimension"]]) for row in rows]
    return distinct_names([renamed(row) for row in rows], details)


def test_patterns_of_the_development_images_are_told_apart_by_what_and_whose() -> None:
    found = json.loads(DEVELOPMENT.read_text(encoding="utf-8"))
    rows = found["patterns"]
    # As they were stored, half of them said where a pattern lies and nothing else.
    assert sum(bool(SIZE_AND_PLACE.fullmatch(row["name"].split(", often")[0])) for row in rows) >= 10
    names = names_of(rows, found["dimensions"])
    check(names)
    for row, name in zip(rows, names, strict=True):
        listed = [one["name"] for one in row["generators"] if one["lift"] >= 2 and one["share"] >= 0.03]
        assert not listed or any(generator in name for generator in listed)
    # A name that is made of the right parts, or that somebody gave, is left as it is.
    again = [{**row, "name": name} for row, name in zip(rows, names, strict=True)]
    assert [renamed(row) for row in again] == names
    assert renamed({**rows[0], "name": "melting fingers"}) == "melting fingers"


def test_patterns_of_a_new_atlas_are_named_so(planted_atlas_dir: Path) -> None:
    atlas = Atlas.open(planted_atlas_dir)
    views = atlas.prototypes()
    assert views
    check([view["name"] for view in views])


@pytest.mark.parametrize(
    ("share", "lift", "purity", "said"),
    [
        (0.4, 6.0, 0.9, "often adm"),
        (0.05, 6.0, 0.9, "more in adm"),
        (0.01, 6.0, 0.9, "in generated images"),
        (0.4, 1.2, 0.1, "in real images"),
        (0.4, 1.2, 0.5, "in real and generated images"),
        (0.4, 1.2, None, ""),
    ],
)
def test_whose_a_pattern_is_follows_its_images(
    share: float, lift: float, purity: float | None, said: str
) -> None:
    row = {
        "description": "region, left",
        "generators": [{"name": "adm", "share": share, "lift": lift}],
        "purity_fake": purity,
        "mean_impact": -0.2,
    }
    assert whose(row) == said
    place = f"{said}, region, left" if said else "region, left"
    assert pattern_name(None, row) == f"towards real: {place}"
