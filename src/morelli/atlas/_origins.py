"""Where each dimension is silent, and in whose images it is strongest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import Collection
from morelli.atlas.patterns._dimension_names import images_of_large_impact
from morelli.atlas.patterns._figures import lifted


def speaking_ends(column: NDArray[Any], lowest: Any, most: int) -> tuple[int, list[int], list[int]]:
    """How many images a dimension says nothing about, and rows of its lowest and highest impacts.

    Where it is silent about some, they are ties that a list would show in the order of their rows: neither
    end holds any, and one that has no others is empty.

    Args:
        column: (n,) impacts. lowest: `lowest` of `_views`. most: rows at either end.
    """
    quiet = column == 0
    silent = int(quiet.sum())
    if not silent:
        return 0, lowest(column, most).tolist(), lowest(-column, most).tolist()
    ends = []
    for sign in (1, -1):
        side = np.flatnonzero(sign * column < 0)
        ends.append(side[lowest(sign * column[side], most)].tolist() if len(side) else [])
    return silent, ends[0], ends[1]


def origins(collection: Collection, most: int = 6) -> list[list[dict[str, Any]]]:
    """For each dimension the generators, and sources of real images, that its strongest images come from.

    As `lifts` gives them for prototypes: the name, images of it among those of large impact, their share of
    these, and how many times as often as in the whole collection.
    """
    generator, source = collection.category("generator"), collection.category("source")
    fake = collection.labels == 1
    shift = len(generator.names)
    codes = np.where(fake, generator.codes, np.where(source.codes >= 0, source.codes + shift, -1))
    names = (*generator.names, *source.names)
    total = np.bincount(codes[codes >= 0], minlength=len(names))
    found = []
    for column in collection.impact_columns:
        strong = codes[images_of_large_impact(column)]
        carried = np.bincount(strong[strong >= 0], minlength=len(names))
        found.append(lifted(names, carried, total, len(strong) / max(1, len(column)), most))
    return found
