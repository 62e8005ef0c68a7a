"""Pictures that occur more than once in an atlas: near-duplicates by perceptual hash, as splits keep them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._locked_cached_property import locked_cached_property
from morelli.errors import UsageError
from morelli.features import near_duplicates

if TYPE_CHECKING:
    from morelli.atlas._collection import Collection
    from morelli.atlas._selection import Mask

Across = Literal["any", "class", "generator"]
DISTANCE = 4
"""Bits of 64 in which hashes may differ, as where near-duplicates are kept on one side of a split."""
MOST = 500_000
"""Images up to which differing hashes are compared, which takes seconds; of more, only equal ones are."""
SHOWN, NAMED = 24, 5


@dataclass(frozen=True, eq=False)
class Copies:
    """The groups of a collection.

    Attributes:
        numbers: (n,) number of each image's picture.
        distance: bits in which hashes of one group's neighbours may differ.
        labels: (n,) as `Collection.labels`.
        generators: (n,) code of each generated image's generator, −1 for none.
        names: of the generators.
    """

    numbers: NDArray[np.int64]
    distance: int
    labels: NDArray[np.int8]
    generators: NDArray[np.int64]
    names: tuple[str, ...]

    @locked_cached_property
    def sizes(self) -> NDArray[np.int64]:
        """(pictures,) images of each picture."""
        return np.bincount(self.numbers)

    @locked_cached_property
    def across_class(self) -> NDArray[np.bool_]:
        """(pictures,) whether a picture stands among the real images and among the generated ones."""
        real, fake = (
            np.bincount(self.numbers[self.labels == label], minlength=len(self.sizes)) for label in (0, 1)
        )
        return np.asarray((real > 0) & (fake > 0))

    @locked_cached_property
    def across_generators(self) -> NDArray[np.bool_]:
        """(pictures,) whether generated images of a picture name several generators."""
        known = self.generators >= 0
        low = np.full(len(self.sizes), len(self.names))
        high = np.full(len(self.sizes), -1)
        np.minimum.at(low, self.numbers[known], self.generators[known])
        np.maximum.at(high, self.numbers[known], self.generators[known])
        return np.asarray(high > low)

    def mask(self, which: int | Across) -> Mask:
        """(n,) the near-duplicates of an image, itself among them; or the images of all groups, or of those
        that straddle classes or generators.

        Raises:
            UsageError: no such image, or another word.
        """
        if isinstance(which, str):
            wanted = {
                "any": self.sizes > 1,
                "class": self.across_class,
                "generator": self.across_generators,
            }
            if which not in wanted:
                raise UsageError(f"copies is a row, or one of {', '.join(wanted)}; not {which!r}.")
            return np.asarray(wanted[which][self.numbers])
        if not 0 <= which < len(self.numbers):
            raise UsageError(f"There is no image {which} to have near-duplicates.")
        return np.asarray(self.numbers == self.numbers[which])

    def view(self, selected: Mask | None, *, offset: int, limit: int) -> dict[str, Any]:
        """A page of the groups with an image among `selected`: those across classes first, then those across
        generators, then the others, each kind by size."""
        groups = np.flatnonzero(self.sizes > 1)
        chosen = None if selected is None else np.bincount(self.numbers[selected], minlength=len(self.sizes))
        if chosen is not None:
            groups = groups[chosen[groups] > 0]
        order = np.lexsort(
            (groups, -self.sizes[groups], ~self.across_generators[groups], ~self.across_class[groups])
        )
        page = groups[order[offset : offset + limit]]
        return {
            "total": len(groups),
            "images": int(self.sizes[groups].sum()),
            "across_class": int(self.across_class[groups].sum()),
            "across_generators": int(self.across_generators[groups].sum()),
            "distance": self.distance,
            "groups": [self._group(int(number), chosen) for number in page],
        }

    @locked_cached_property
    def _by_picture(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows picture by picture, and where each picture's begin."""
        starts = np.concatenate([[0], np.cumsum(self.sizes)])
        return np.argsort(self.numbers, kind="stable"), starts

    def _group(self, number: int, chosen: NDArray[np.int64] | None) -> dict[str, Any]:
        order, starts = self._by_picture
        rows = order[starts[number] : starts[number + 1]]
        codes = self.generators[rows]
        counts = np.bincount(codes[codes >= 0], minlength=len(self.names))
        named = [int(code) for code in np.argsort(-counts, kind="stable")[:NAMED] if counts[code]]
        return {
            "row": int(rows[0]),
            "rows": rows[:SHOWN].tolist(),
            "n": len(rows),
            "selected": None if chosen is None else int(chosen[number]),
            "real": int((self.labels[rows] == 0).sum()),
            "fake": int((self.labels[rows] == 1).sum()),
            "labels": [("unknown", "real", "fake")[label + 1] for label in self.labels[rows[:SHOWN]]],
            "generators": [self.names[code] for code in named],
            "across": [
                word
                for word, column in (("class", self.across_class), ("generator", self.across_generators))
                if column[number]
            ],
        }


def find_copies(collection: Collection, *, most: int = MOST) -> Copies:
    """Group the images of a collection whose perceptual hashes differ in few bits; joining is transitive.

    Images without a hash, and nearly empty ones, whose hashes say nothing, stand alone.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    column = collection.dataset.to_table(columns=["phash"]).column("phash")
    known = np.flatnonzero(column.is_valid().to_numpy())
    hashes = column.drop_null().to_numpy().astype(np.uint64)
    n = len(collection)
    distance = DISTANCE if n <= most else 0
    pairs = known[near_duplicates(hashes, distance)]
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    category = collection.category("generator")
    generated = collection.labels == 1
    return Copies(
        numbers=np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64),
        distance=distance,
        labels=collection.labels,
        generators=np.where(generated, category.codes, -1).astype(np.int64),
        names=category.names,
    )
