"""Near-duplicates of an atlas: grouped as splits keep them, warnings first, selected as one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from morelli.atlas import Atlas
from morelli.atlas._collection import Category
from morelli.atlas._copies import find_copies
from morelli.atlas.patterns._exemplars import copies_of
from morelli.errors import UsageError

A, B, C, D = 0x0F0F33CC55AA0F0F, 0xF0AA33550F0FCC0F, 0x3C3C0FF0A5A5C3C3, 0x5A5A3C3CF0F0A5A5


class Dataset:
    """A table in memory with the one method that is asked of a Lance dataset."""

    def __init__(self, hashes: list[int | None]) -> None:
        self.table = pa.table({"phash": pa.array(hashes, pa.uint64())})

    def to_table(self, columns: list[str]) -> pa.Table:
        return self.table.select(columns)


class Images(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.labels)


def images(hashes: list[int | None], labels: list[int], generators: list[int]) -> Any:
    return Images(
        dataset=Dataset(hashes),
        labels=np.array(labels, dtype=np.int8),
        category=lambda name: Category(("adm", "sdxl"), np.array(generators, dtype=np.int32)),
    )


COLLECTION = images(
    #  A: real and generated; B: two generators; C: four of one; D alone, twice no hash, and an empty picture
    [A, A ^ 1, B, B ^ 3, C, C, C ^ 1, C ^ 3, D, None, None, 0, 0],
    [0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0],
    [-1, 0, 0, 1, 1, 1, 1, 1, 0, -1, -1, 0, -1],
)


def test_groups_that_straddle_come_first_then_the_largest() -> None:
    found = find_copies(COLLECTION).view(None, offset=0, limit=10)
    assert (found["total"], found["images"]) == (3, 8)
    assert (found["across_class"], found["across_generators"], found["distance"]) == (1, 1, 4)
    assert [(one["row"], one["n"], one["across"]) for one in found["groups"]] == [
        (0, 2, ["class"]),
        (2, 2, ["generator"]),
        (4, 4, []),
    ]
    first, second, _ = found["groups"]
    assert (first["rows"], first["labels"], first["real"], first["fake"]) == ([0, 1], ["real", "fake"], 1, 1)
    assert second["generators"] == ["adm", "sdxl"]


def test_a_page_and_a_selection_of_groups() -> None:
    copies = find_copies(COLLECTION)
    assert [one["row"] for one in copies.view(None, offset=1, limit=1)["groups"]] == [2]
    chosen = np.zeros(13, dtype=bool)
    chosen[[5, 6, 8]] = True
    (only,) = copies.view(chosen, offset=0, limit=10)["groups"]
    assert (only["row"], only["selected"], only["n"]) == (4, 2, 4)


def test_masks_of_groups() -> None:
    copies = find_copies(COLLECTION)
    assert np.flatnonzero(copies.mask(7)).tolist() == [4, 5, 6, 7]
    assert np.flatnonzero(copies.mask(9)).tolist() == [9]
    assert np.flatnonzero(copies.mask("any")).tolist() == list(range(8))
    assert np.flatnonzero(copies.mask("class")).tolist() == [0, 1]
    assert np.flatnonzero(copies.mask("generator")).tolist() == [2, 3]
    for wrong in (13, -1, "split"):
        with pytest.raises(UsageError):
            copies.mask(wrong)  # type: ignore[arg-type]


def test_in_a_large_collection_only_equal_hashes_are_compared() -> None:
    found = find_copies(COLLECTION, most=5)
    assert found.distance == 0
    assert np.flatnonzero(found.mask("any")).tolist() == [4, 5]


def test_an_atlas_groups_as_its_build_did_and_selects_by_group(atlas: Atlas) -> None:
    numbers = copies_of(atlas.collection.dataset.to_table(columns=["phash"]).column("phash").to_pylist())
    assert len(np.unique(np.stack([numbers, atlas.copies.numbers]), axis=1).T) == numbers.max() + 1
    several = np.bincount(numbers)[numbers] > 1
    assert atlas.select({"copies": "any"}).mask.tolist() == several.tolist()
    row = int(np.flatnonzero(several)[0]) if several.any() else 0
    assert atlas.select({"and": [{"copies": row}]}).mask.tolist() == (numbers == numbers[row]).tolist()
    for wrong in (True, None, [1], 1.5, 10**6, "both"):
        with pytest.raises(UsageError):
            atlas.select({"copies": wrong})
