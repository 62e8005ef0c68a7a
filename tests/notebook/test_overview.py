"""The overview's traits and messages: the atlas's own figures, and one selection for page and Python."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import traitlets
from PIL import Image

import morelli
from morelli.atlas import Atlas
from morelli.notebook import OverviewWidget
from tests.notebook.kernel import Kernel


@pytest.fixture
def widget(kernel: Kernel, atlas: Atlas) -> OverviewWidget:
    return OverviewWidget(atlas)


def columns(answer: dict, buffers: list[bytes]) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    found = {}
    for column, data in zip(answer["columns"], buffers, strict=True):
        values = np.frombuffer(data, "<i4" if column["type"] == "int32" else "<f4")
        found[column["name"]] = values.reshape(-1, column["width"]) if column["width"] > 1 else values
    return found


def test_an_atlas_and_its_folder_give_the_overview(
    kernel: Kernel, planted_atlas_dir: Path, atlas: Atlas
) -> None:
    for given in (planted_atlas_dir, str(planted_atlas_dir), atlas):
        shown = morelli.show(given, height=400)
        assert isinstance(shown, OverviewWidget)
        assert (shown.info["images"], shown.height, len(shown.selected_rows)) == (120, 400, 120)
    json.dumps(kernel.drain())  # whatever is sent to a page is plain values and bytes


def test_a_tile_holds_the_cells_of_the_atlas(kernel: Kernel, widget: OverviewWidget, atlas: Atlas) -> None:
    answer, buffers = kernel.ask(widget, kind="tile", level=2, tx=0, ty=0)
    found, table = columns(answer, buffers), atlas.tile(2, 0, 0)
    assert answer["kind"] == "tile" and answer["id"] == "1" and answer["key"] == widget.counts["key"]
    assert found["count"].sum() == 120
    np.testing.assert_array_equal(found["cell"], table["cell"].to_numpy())
    impacts = np.array(table["impact"].to_pylist())
    np.testing.assert_allclose(found["impact"], impacts, rtol=1e-6)
    assert set(found["exemplar"]) <= set(range(120))


def test_cells_selected_on_the_page_come_back_as_rows(
    kernel: Kernel, widget: OverviewWidget, atlas: Atlas
) -> None:
    table = atlas.tile(2, 0, 0)
    cell = int(table["cell"][0].as_py())
    spec = {"cells": {"level": 2, "ids": [cell]}}
    seen = []
    widget.observe(lambda change: seen.append(change["new"]), "selection")
    kernel.say(widget, {"method": "update", "state": {"selection": spec}})
    assert seen == [spec] and widget.selection == spec
    expected = atlas.select(spec)
    np.testing.assert_array_equal(widget.selected_rows, expected.rows)
    assert 0 < len(widget.selected_rows) == table["count"][0].as_py() == widget.counts["count"] < 120
    assert kernel.state["counts"]["count"] == widget.counts["count"]  # the page is told
    found = columns(*kernel.ask(widget, kind="tile", level=2, tx=0, ty=0))
    assert found["selected"].sum() == widget.counts["count"]
    assert found["count"].sum() == 120  # nothing disappears
    rows = kernel.ask(widget, kind="rows", offset=0, limit=200, sort="probability", descending=True)[0][
        "rows"
    ]
    assert {one["row"] for one in rows} == set(widget.selected_rows.tolist())
    assert [one["probability"] for one in rows] == sorted((one["probability"] for one in rows), reverse=True)


def test_a_selection_set_in_python_reaches_the_page(kernel: Kernel, widget: OverviewWidget) -> None:
    widget.select_rows([5, 3, 3, 119, 4000])
    assert widget.selected_rows.tolist() == [3, 5, 119]
    assert kernel.state["selection"] == {"rows": [3, 5, 119, 4000]}
    widget.selection = {"and": [{"column": "label", "in": ["fake"]}]}
    assert widget.counts["fake"] == widget.counts["count"] == 60
    widget.clear()
    assert len(widget.selected_rows) == 120


@pytest.mark.parametrize("spec", [{"colour": 1}, {"cells": 3}, {"dimension": 99, "range": [0, 1]}, {}])
def test_what_is_no_selection_is_refused_and_changes_nothing(widget: OverviewWidget, spec: object) -> None:
    with pytest.raises(traitlets.TraitError):
        widget.selection = spec
    assert widget.counts["count"] == 120


def test_pictures_and_maps_are_the_atlas_s(kernel: Kernel, widget: OverviewWidget, atlas: Atlas) -> None:
    answer, buffers = kernel.ask(widget, kind="thumbs", rows=[7, 8])
    assert answer["rows"] == [7, 8] and buffers == [atlas.thumbnail(7), atlas.thumbnail(8)]
    assert Image.open(BytesIO(buffers[0])).format == "JPEG"
    answer, (picture, maps) = kernel.ask(widget, kind="image", row=7)
    grid = answer["grid"]
    shaped = np.frombuffer(maps, "<f4").reshape(9, grid, grid)
    np.testing.assert_array_equal(shaped[2], atlas.relevance(7, 2))
    np.testing.assert_array_equal(shaped[8], atlas.relevance(7))
    assert picture == atlas.thumbnail(7)
    distilled = answer["case"]["distilled"]
    assert sum(distilled["impacts"]) + distilled["bias"] == pytest.approx(distilled["logit"], abs=1e-4)
    json.dumps(answer)


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": "image", "row": 4000},
        {"kind": "tile", "level": 77, "tx": 0, "ty": 0},
        {"kind": "rows", "offset": 0, "limit": 10**9},
        {"kind": "rows", "offset": 0},
        {"kind": "thumbs", "rows": ["x"]},
        {"kind": "nothing"},
        {},
    ],
)
def test_a_question_that_makes_no_sense_is_answered_in_words(
    kernel: Kernel, widget: OverviewWidget, asked: dict[str, object]
) -> None:
    answer, _ = kernel.ask(widget, **asked)
    assert answer["kind"] == "problem" and answer["text"]
