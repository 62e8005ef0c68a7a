"""What is known of each prototype: how often, in which class, how strongly, by whom, where, how surely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas.patterns._clusters import nearest_centre
from morelli.atlas.patterns._exemplars import pick_exemplars
from morelli.atlas.patterns._facts import Fact, confound, expected_impacts
from morelli.atlas.patterns._prototypes import PatchFeatures, Prototypes, patch_features, prototype_schema
from morelli.atlas.patterns._regions import relevant_regions
from morelli.atlas.patterns._significance import TAIL, Units, bootstrap_ratio, permutation_test
from morelli.metrics.shares import wilson_intervals

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.atlas.patterns._options import PatternOptions

Array = NDArray[Any]
_TYPICAL_MAPS = 256
_LOOKED_AT = 2_000
_ANYWHERE = 0.17


@dataclass(frozen=True, eq=False)
class Collected:
    """The collection that figures are about; arrays as in `find_prototypes`."""

    impacts: Array
    pooled: PatchFeatures
    maps: PatchFeatures
    labels: NDArray[np.int8]
    generator: Array | None
    groups: Array | None
    copies: Array | None
    facts: Mapping[str, Fact]
    content: tuple[Fact, ...] = ()


def figures(  # noqa: PLR0917
    prototypes: Prototypes,
    assignment: NDArray[np.int16],
    collected: Collected,
    stability: Array,
    options: PatternOptions,
    rng: np.random.Generator,
) -> pa.Table:
    """The table of `Prototypes`, one row for each, in their order."""
    import pyarrow as pa

    m, n = len(prototypes), len(assignment)
    columns: dict[str, Any] = {
        "id": np.arange(m),
        "dimension": prototypes.dimension,
        "sign": prototypes.sign,
        "stability": stability,
        **_shares(assignment, collected, m, options, rng),
    }
    columns["coverage"] = columns["count"] / max(1, n)
    columns["excess"] = columns["mean_impact"] - prototypes.presence.typical[prototypes.dimension]
    expected = expected_impacts(collected.impacts, [*collected.facts.values(), *collected.content])
    by_one: list[dict[str, Any]] = []
    for j in range(m):
        k = int(prototypes.dimension[j])
        rows = np.flatnonzero(assignment[:, k] == j)
        members = np.zeros(n, dtype=bool)
        members[rows] = True
        surprise = (np.asarray(collected.impacts[rows, k]) - expected[rows, k]).mean()
        by_one.append(
            {
                "surprise": float(prototypes.sign[j] * surprise),
                "file_confound": confound(members, collected.labels, collected.facts, rng),
                "generators": lifts(members, collected.generator),
                **_pictures(prototypes, j, rows, collected, options, rng),
            }
        )
    for name in by_one[0] if by_one else ():
        columns[name] = [one[name] for one in by_one]
    schema = prototype_schema()
    columns.setdefault("name", columns.get("description", []))
    return pa.table(
        [pa.array(list(columns.get(name, [])), schema.field(name).type) for name in schema.names],
        schema=schema,
    )


def _shares(
    assignment: Array, collected: Collected, m: int, options: PatternOptions, rng: np.random.Generator
) -> dict[str, Array]:
    """Counts, purity, impact and p-values with their intervals."""
    impacts, labels = collected.impacts, collected.labels
    units = Units.of(labels, collected.groups)
    counts = units.sums(assignment, m)
    fake = counts.multiply((units.label == 1)[:, None]).tocsr()
    n_fake, n_known = (np.asarray(part.sum(axis=0)).ravel() for part in (fake, counts))
    found: dict[str, Array] = {}
    row, dimension = np.nonzero(assignment >= 0)
    number = assignment[row, dimension]
    found["count"] = np.bincount(number, minlength=m)
    total = np.bincount(number, weights=np.asarray(impacts[row, dimension], dtype=float), minlength=m)
    found["mean_impact"] = total / np.maximum(found["count"], 1)
    found["purity_fake"] = np.divide(n_fake, n_known, out=np.full(m, np.nan), where=n_known > 0)
    for name, value, carried in (("share_fake", 1, n_fake), ("share_real", 0, n_known - n_fake)):
        found[name] = carried / max(1, int((labels == value).sum()))
    low, high = bootstrap_ratio(fake, counts, units, draws=options.draws, rng=rng)
    # A prototype of one class only has no spread under resampling; so many groups bound it all the same.
    carrying = np.asarray((counts > 0).sum(axis=0)).ravel()
    bound = wilson_intervals(np.nan_to_num(found["purity_fake"]) * carrying, carrying)
    found["purity_low"], found["purity_high"] = np.fmin(low, bound[0]), np.fmax(high, bound[1])
    weighted = units.sums(assignment, m, impacts)
    found["impact_low"], found["impact_high"] = bootstrap_ratio(
        weighted, counts, units, draws=options.draws, rng=rng
    )
    found["interval_level"] = np.full(m, 1 - 2 * TAIL)
    test = permutation_test(units, counts, permutations=options.permutations, rng=rng)
    found["p_value"], found["p_raw"] = test.p_family, test.p
    return found


def lifts(members: NDArray[np.bool_], generator: Array | None, most: int = 8) -> list[dict[str, Any]]:
    """Generators (or sources) by how much more often their images carry the prototype than any image does."""
    if generator is None:
        return []
    known = np.array([name is not None for name in generator])
    names, codes = np.unique(np.asarray(generator)[known].astype(str), return_inverse=True)
    total = np.bincount(codes, minlength=len(names))
    carried = np.bincount(codes[members[known]], minlength=len(names))
    return lifted(names.tolist(), carried, total, float(members.mean()), most)


def lifted(
    names: Sequence[str], carried: Array, total: Array, overall: float, most: int
) -> list[dict[str, Any]]:
    """Names by how much more often than `overall`, the share of all, their images are among those counted.

    carried: (names,) images counted of each. total: (names,) images of each.
    """
    overall = max(overall, 1e-12)
    # Few images of a generator say little: their share is drawn towards that of all by five further images.
    lift = (carried + 5 * overall) / (total + 5) / overall
    order = [i for i in np.argsort(-lift) if carried[i] >= 2][:most]
    return [
        {
            "name": str(names[i]),
            "count": int(carried[i]),
            "share": float(carried[i] / max(1, carried.sum())),
            "lift": float(lift[i]),
        }
        for i in order
    ]


def _pictures(  # noqa: PLR0917
    prototypes: Prototypes,
    j: int,
    rows: Array,
    collected: Collected,
    options: PatternOptions,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Exemplars with their boxes, and where in the image the pattern lies."""
    k = int(prototypes.dimension[j])
    some = rows if len(rows) <= _LOOKED_AT else np.sort(rng.choice(rows, _LOOKED_AT, replace=False))
    regions = relevant_regions(patch_features(collected.maps, some, k))
    # Impacts may be held out and maps not: then an image can carry the pattern and have no region to show.
    shows = np.flatnonzero(regions.mask.any(axis=(1, 2)))
    if len(shows):
        some, regions = some[shows], regions.of(shows)
    Z = prototypes.spaces[k](patch_features(collected.pooled, some, k))
    distance = nearest_centre(Z, prototypes.centres[prototypes.owner == j])[1]
    at = pick_exemplars(
        distance, Z, count=options.exemplars,
        copies=None if collected.copies is None else collected.copies[some],
        origin=None if collected.generator is None else collected.generator[some],
    )  # fmt: skip
    shown, boxes = some[at], regions.boxes[at]
    regions = regions.of(np.argsort(distance, kind="stable")[:_TYPICAL_MAPS])
    area, centre = float(np.median(regions.area)), np.median(regions.centre, axis=0)
    scatter = float(regions.centre.std(axis=0).mean())
    return {
        "exemplars": [
            {"row": int(row), **dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)), "distance": d}
            for row, box, d in zip(shown, boxes.tolist(), distance[at].tolist(), strict=True)
        ],
        "area": area,
        "centre_x": float(centre[0]),
        "centre_y": float(centre[1]),
        "description": describe(area, (float(centre[0]), float(centre[1])), scatter),
    }


def describe(area: float, centre: tuple[float, float], scatter: float) -> str:
    """Plain words for where a pattern lies, when nothing better is known.

    Args:
        area: share of the image that is relevant, 0 to 1.
        centre: of mass, x and y from the upper left corner, 0 to 1.
        scatter: standard deviation of the centre over images, in sides of the image.

    Example:
        >>> describe(0.05, (0.75, 0.8), 0.05), describe(0.6, (0.5, 0.5), 0.02)
        ('small region, lower right', 'most of the image')
    """
    extent = "small region" if area < 0.12 else "region" if area < 0.4 else "most of the image"
    if area >= 0.4:
        return extent
    if scatter > _ANYWHERE:
        return f"{extent}, anywhere"
    x, y = centre
    vertical = "upper" if y < 0.42 else "lower" if y > 0.58 else ""
    horizontal = "left" if x < 0.42 else "right" if x > 0.58 else ""
    return f"{extent}, {f'{vertical} {horizontal}'.strip() or 'middle'}"
