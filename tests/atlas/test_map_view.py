"""What the map is coloured by: any column, in cells and as points, of all images and of selections."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from morelli.atlas import Atlas
from morelli.errors import UsageError

FAKE = {"and": [{"column": "label", "in": ["fake"]}]}


@pytest.fixture(scope="module")
def atlas(planted_atlas_dir: Path) -> Atlas:
    """An atlas with columns of names, numbers and dates in its manifest."""
    return Atlas.open(planted_atlas_dir)


def values(table, name: str) -> np.ndarray:  # type: ignore[no-untyped-def]
    return np.array(table[name].to_pylist())


@pytest.mark.parametrize("spec", [None, FAKE])
def test_cells_count_the_names_of_a_column(atlas: Atlas, spec: dict[str, object] | None) -> None:
    chosen = None if spec is None else atlas.select(spec)
    for level in (0, 3):
        table = atlas.tile(level, selection=chosen, columns=["roll", "generator"])
        about = json.loads(table.schema.metadata[b"colours"])
        assert [one["name"] for one in about] == ["roll", "generator"]
        for i, one in enumerate(about):
            counts = values(table, f"colour{i}")
            selected = values(table, "count" if chosen is None else "selected")
            assert (counts.sum(axis=1) == selected).all()
            for place, name in enumerate(one["names"]):
                clauses = [{"column": one["name"], "in": [name]}, *(spec or {"and": []})["and"]]  # type: ignore[index]
                assert counts[:, place].sum() == atlas.select({"and": clauses}).counts["count"]


def test_cells_have_the_mean_place_of_numbers_and_dates_on_their_histograms(atlas: Atlas) -> None:
    views = {one["name"]: one for one in atlas.columns()}
    rows = atlas.pyramid.cells_of(2)
    table = atlas.tile(2, columns=["exposure", "taken", "bytes"])
    for i, name in enumerate(("exposure", "taken", "bytes")):
        edges = np.array(views[name]["edges"])
        numbers = atlas.collection.numbers(name)
        place = np.searchsorted(edges, numbers, side="right").clip(1, len(edges) - 1)
        share = (place - 0.5) / (len(edges) - 1)
        for cell, (mean, known) in zip(values(table, "cell"), values(table, f"colour{i}"), strict=True):
            assert known == (rows == cell).sum()
            assert mean == pytest.approx(share[rows == cell].mean(), abs=1e-5)
    # The images are in the order in which they were taken, so this is no constant.
    assert np.ptp(values(table, "colour1")[:, 0]) > 0.05


def test_a_column_that_is_not_there_names_those_that_are(atlas: Atlas) -> None:
    with pytest.raises(UsageError, match=r"'nothing'.*roll"):
        atlas.tile(0, columns=["nothing"])
    with pytest.raises(UsageError, match="at most 4"):
        atlas.tile(0, columns=["roll", "taken", "bytes", "label", "error"])
    for by in ("nothing", "column:nothing", "dimension:99", "column:"):
        with pytest.raises(UsageError):
            atlas.point_colours(by)


def test_points_lie_in_their_cells_in_the_order_of_the_map(atlas: Atlas) -> None:
    points = atlas.points()
    row, x, y = (points[name].to_numpy().astype(np.int64) for name in ("row", "x", "y"))
    assert sorted(row.tolist()) == list(range(len(atlas)))
    for level in (1, 3):
        cells = atlas.pyramid.cells_of(level)[row]
        assert ((y >> (16 - level)) * 2**level + (x >> (16 - level)) == cells).all()


@pytest.mark.parametrize("off", [(), (0, 2)])
def test_points_have_the_colours_of_their_images(atlas: Atlas, off: tuple[int, ...]) -> None:
    row = atlas.points()["row"].to_numpy()
    chosen = atlas.select(FAKE)
    records = {one["row"]: one for one in atlas.rows(limit=2000, off=off)}
    score = atlas.point_colours("score", chosen, off)
    assert (score["selected"].to_numpy() == chosen.mask[row]).all()
    for at, number in enumerate(row.tolist()):
        assert score["value"][at].as_py() == pytest.approx(records[number]["probability"], abs=1e-6)
    verdicts = atlas.point_colours("verdict", off=off)
    names = json.loads(verdicts.schema.metadata[b"names"])
    found = [names[code] for code in verdicts["category"].to_pylist()]
    assert found == [records[number]["verdict"] for number in row.tolist()]
    rolls = atlas.point_colours("column:roll", off=off)
    names = json.loads(rolls.schema.metadata[b"names"])
    assert [names[code] for code in rolls["category"].to_pylist()] == [f"roll {n % 3}" for n in row.tolist()]
    impacts = atlas.point_colours("dimension:2", off=off)["value"].to_numpy()
    assert impacts == pytest.approx(0 * impacts if off else atlas.collection.impacts[row, 2])


def test_generators_without_a_colour_and_real_images_are_told_apart(atlas: Atlas) -> None:
    row = atlas.points()["row"].to_numpy()
    found = atlas.point_colours("generator")
    names = [*json.loads(found.schema.metadata[b"names"]), *("",) * 12]
    labels = atlas.collection.labels[row]
    for code, label in zip(found["category"].to_pylist(), labels, strict=True):
        assert (code == 11) == (label != 1) and (code >= 10 or names[code])
