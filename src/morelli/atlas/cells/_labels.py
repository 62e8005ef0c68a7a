"""Words on the overview at far zoom: what a region holds more of than the collection does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.atlas.cells._pyramid import Pyramid
from morelli.errors import UsageError

SHARE, LIFT = 0.25, 2.0
FEWEST = 5


@dataclass(frozen=True)
class Region:
    """A patch of touching cells in which one group stands out.

    `group` and `name` say which; `x` and `y` in [0, 1] is the patch's centre on the grid, weighted by its
    images of the group; `count` is how many of those there are, `share` their part of the patch's images, and
    `lift` that part over the group's part of the collection.
    """

    group: int
    name: str
    x: float
    y: float
    count: int
    share: float
    lift: float


def regions(
    pyramid: Pyramid,
    level: int,
    groups: ArrayLike,
    names: Sequence[str],
    *,
    selection: ArrayLike | None = None,
    limit: int = 24,
) -> list[Region]:
    """Regions that can be named at a level, those of most images first.

    A cell goes to the group that explains most of it: count × log(lift), its part of the likelihood ratio
    against the collection's mix; none if that group has less than a quarter of the cell's images, or not
    surely (lower 97.5 % bound, Wilson 1927) twice the share that it has everywhere. Touching cells of one
    group are one region, named if it has at least five images of the group.

    Args:
        pyramid: of the collection.
        level: a coarse one, such as 3 or 4.
        groups: (n,) each image's group by row number (generator, source, prototype), negative for none.
        names: of the groups.
        selection: mask or row numbers; all images if None.
        limit: regions at most.
    """
    from scipy.ndimage import label

    if len(names) == 0:
        return []
    counts = pyramid.counts_by(level, groups, len(names), selection)
    table = pyramid.aggregate(level, selection)
    ix, iy = table["ix"].to_numpy(), table["iy"].to_numpy()
    images = np.asarray(table["selected"].to_numpy(), np.float64)
    if not images.sum():
        raise UsageError("no image is selected, so no region can be named")
    everywhere = counts.sum(axis=0) / images.sum()
    share = counts / np.maximum(images, 1)[:, None]
    lift = share / np.where(everywhere > 0, everywhere, 1)
    weight = counts * np.log(np.maximum(lift, 1e-9))
    best = np.where(images > 0, weight.argmax(axis=1), -1)
    at = np.arange(len(best))
    surely = _lower_bound(share[at, best], images)
    best[(share[at, best] < SHARE) | (surely < LIFT * everywhere[best])] = -1
    found = []
    side = 1 << level
    for group in np.unique(best[best >= 0]):
        board = np.zeros((side, side), bool)
        board[iy[best == group], ix[best == group]] = True
        patch = label(board)[0][iy, ix] * (best == group)
        for number in range(1, int(patch.max()) + 1):
            found.append((*_region(counts[:, group], images, patch == number, ix, iy, side=side), int(group)))
    found = [region for region in found if region[2] >= FEWEST]
    largest = sorted(found, key=lambda r: (-r[2], r[4], r[0], r[1]))[:limit]
    return [
        Region(group, str(names[group]), x, y, count, part, part / float(everywhere[group]))
        for x, y, count, part, group in largest
    ]


def _lower_bound(share: NDArray[np.float64], n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Wilson's lower bound of a share of n images, 0 where there are none."""
    z, n = 1.96, np.maximum(n, 1e-9)
    middle = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.asarray((middle - half) / (1 + z**2 / n))


def _region(
    count: NDArray[np.int64],
    images: NDArray[np.float64],
    inside: NDArray[np.bool_],
    ix: NDArray[np.integer],
    iy: NDArray[np.integer],
    *,
    side: int,
) -> tuple[float, float, int, float]:
    """(x, y, count, share) of a patch."""
    weight = count[inside]
    x, y = (float(np.average(places[inside] + 0.5, weights=weight)) / side for places in (ix, iy))
    return x, y, int(weight.sum()), float(weight.sum() / images[inside].sum())
