"""Columns with counts: names, histograms of numbers and dates, and the counts that follow a selection."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from morelli.atlas import Atlas
from morelli.atlas._colours import ColourColumn
from morelli.atlas._fields import Kind, _histogram
from morelli.atlas._manifest_columns import manifest_column, manifest_kinds, manifest_numbers
from morelli.errors import UsageError


@pytest.fixture(scope="module")
def atlas(planted_atlas_dir: Path) -> Atlas:
    """An atlas whose manifest has dates, numbers and names."""
    return Atlas.open(planted_atlas_dir)


def by_name(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in found}


def test_every_column_counts_every_image_once(atlas: Atlas) -> None:
    found = by_name(atlas.columns())
    assert {"label", "verdict", "error", "probability", "generator", "bytes", "taken"} <= set(found)
    assert "format" not in found, "all files are PNG: a column that tells nothing apart is left out"
    for one in found.values():
        counts = one["counts"] if one["kind"] != "category" else [name["n"] for name in one["names"]]
        assert sum(counts) + one["missing"] == len(atlas), one["name"]
        chosen = one["selected"] if one["kind"] != "category" else [n["selected"] for n in one["names"]]
        assert chosen == counts
    assert {name: found[name]["kind"] for name in ("taken", "exposure", "roll")} == {
        "taken": "date",
        "exposure": "number",
        "roll": "category",
    }


def test_a_column_is_counted_without_its_own_condition_and_with_all_others(atlas: Atlas) -> None:
    fake = {"column": "label", "in": ["fake"]}
    late = {"not": {"column": "taken", "range": [None, "2024-06-01"]}}
    found = by_name(atlas.columns(atlas.select({"and": [fake, late]})))
    label = {one["name"]: one["selected"] for one in found["label"]["names"]}
    counts = atlas.select({"and": [late]}).counts
    assert label == {"real": counts["real"], "fake": counts["fake"]}
    assert sum(found["taken"]["selected"]) == atlas.select({"and": [fake]}).counts["count"]
    both = atlas.select({"and": [fake, late]}).counts["count"]
    assert sum(found["exposure"]["selected"]) == both
    assert sum(one["selected"] for one in found["roll"]["names"]) == both


def test_bins_hold_what_lies_between_their_edges(atlas: Atlas) -> None:
    one = by_name(atlas.columns())["probability"]
    counts, _ = np.histogram(atlas.collection.probabilities, one["edges"])
    assert one["counts"] == counts.tolist()
    dates = by_name(atlas.columns())["taken"]
    first = atlas.select({"column": "taken", "range": [None, dates["edges"][1]]}).counts["count"]
    assert first == dates["counts"][0] > 0


def test_a_range_of_dates_takes_dates_and_refuses_anything_else(atlas: Atlas) -> None:
    days = atlas.select({"column": "taken", "range": ["2024-01-04", "2024-01-10"]})
    assert days.rows.tolist() == [1, 2, 3]
    with pytest.raises(UsageError, match="2024-03-01"):
        atlas.select({"column": "taken", "range": ["yesterday", None]})
    with pytest.raises(UsageError, match="a number"):
        atlas.select({"column": "exposure", "range": ["2024-01-01", None]})


def test_a_column_that_no_image_has_is_named_beside_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"No image has a column 'nope'; the manifest's own are a, b\.$"):
        manifest_column(pa.chunked_array([['{"b": "1"}', '{"a": "2"}', None]]), "nope")
    for none in ([], [None, "{}"]):
        with pytest.raises(UsageError, match=r"^No image has a column 'nope'\.$"):
            manifest_column(pa.chunked_array([none], pa.string()), "nope")


def test_kinds_of_manifest_columns_are_told_by_all_their_values() -> None:
    rows = [
        {
            "day": f"2023-05-{1 + i:02}T10:00:00Z",
            "mixed": "2023-05-01" if i else "soon",
            "stars": i % 5,
            "n": i,
            "same": 1,
        }
        for i in range(20)
    ]
    metadata = pa.chunked_array([pa.array([*(json.dumps(row) for row in rows), None, "{}"])])
    kinds = manifest_kinds(metadata)
    assert kinds == {"day": "date", "mixed": "category", "n": "number", "stars": "category"}
    numbers = manifest_numbers(metadata, ["n"], ["day"])
    assert numbers["n"][:3].tolist() == [0, 1, 2] and np.isnan(numbers["n"][20:]).all()
    assert np.diff(numbers["day"][:20]).tolist() == [86400.0] * 19


@pytest.mark.parametrize("kind", ["number", "date"])
@pytest.mark.parametrize(
    "some",
    [
        [7.0],
        [1e18],
        [-1e18, -1e18],
        [1e18, 1e18 + 128],
        [2.0**53, 2.0**53 + 2],
        [-1e308, 0.0, 1e308],
        [1.7e308],
    ],
)
def test_bins_of_extreme_numbers_rise_and_count_all(kind: Kind, some: list[float]) -> None:
    field = _histogram("number", kind, "manifest", np.array([np.nan, *some]))
    assert len(field.total) == len(field.edges) >= 2
    assert np.isfinite(field.edges).all()
    assert all(low <= high for low, high in pairwise(field.edges)) and field.edges[0] < field.edges[-1]
    assert (int(field.total[0]), int(field.total.sum())) == (1, 1 + len(some))
    colours = ColourColumn.of_field(field).values
    assert np.isnan(colours[0])
    assert ((colours[1:] > 0) & (colours[1:] < 1)).all()
