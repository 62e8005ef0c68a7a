"""The overview's traits and messages: the atlas's own figures, and one selection for page and Python."""

from __future__ import annotations

import json
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest
import traitlets
from fastapi.testclient import TestClient
from PIL import Image

import morelli
from morelli.atlas import Atlas
from morelli.errors import MissingPartError
from morelli.notebook import OverviewWidget
from morelli.server import ServerSettings, create_app
from tests.notebook.kernel import Kernel

pytestmark = pytest.mark.usefixtures("built_views")


@pytest.fixture
def widget(kernel: Kernel, atlas: Atlas) -> OverviewWidget:
    return OverviewWidget(atlas)


def test_an_atlas_and_its_folder_give_the_overview(
    kernel: Kernel, planted_atlas_dir: Path, atlas: Atlas
) -> None:
    for given in (planted_atlas_dir, str(planted_atlas_dir), atlas):
        shown = morelli.show(given, height=400)
        assert isinstance(shown, OverviewWidget)
        assert (shown.counts["count"], shown.height, len(shown.selected_rows)) == (120, 400, 120)
    json.dumps(kernel.drain())  # whatever is sent to a page is plain values and bytes


def test_requests_are_answered_as_the_server_answers_them(
    kernel: Kernel, widget: OverviewWidget, atlas: Atlas
) -> None:
    root = f"api/v1/atlases/{widget.name}"
    answer, body = kernel.request(widget, "GET", f"{root}/tiles/2")
    assert (
        answer["status"] == 200 and answer["headers"]["content-type"] == "application/vnd.apache.arrow.stream"
    )
    found, table = pa.ipc.open_stream(body).read_all(), atlas.tile(2)
    assert sum(found["count"].to_pylist()) == 120
    assert found["cell"].to_pylist() == table["cell"].to_pylist()
    spec = {"and": [{"column": "label", "in": ["fake"]}]}
    answer, body = kernel.request(widget, "POST", f"{root}/selections", spec)
    assert json.loads(body)["count"] == 60
    answer, body = kernel.request(widget, "GET", f"{root}/rows?selection={json.loads(body)['key']}&limit=200")
    assert {one["row"] for one in json.loads(body)["rows"]} == set(atlas.select(spec).rows.tolist())
    answer, body = kernel.request(widget, "GET", f"{root}/images/7/thumbnail")
    assert body == atlas.thumbnail(7) and Image.open(BytesIO(body)).format == "JPEG"
    server = create_app(ServerSettings(atlases=(atlas.path,), offline=True))
    with TestClient(server, "http://127.0.0.1") as http:
        for part in ("", "/dimensions", "/images/7", "/columns", "/prototypes"):
            address = root + part
            answer, body = kernel.request(widget, "GET", address)
            assert (answer["status"], json.loads(body)) == (200, http.get(f"/{address}").json())


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


@pytest.mark.parametrize(
    ("method", "address", "body", "status"),
    [
        ("GET", "{root}/images/4000", None, 404),
        ("GET", "{root}/tiles/31", None, 422),
        ("GET", "{root}/rows?limit=1000000000", None, 422),
        ("POST", "{root}/selections", {"colour": 1}, 422),
        ("POST", "{root}/search", {"text": "a cat"}, 409),
        ("GET", "api/v1/info", None, 404),
        ("POST", "api/v1/detect", None, 404),
        ("GET", "{root}/images/7/file", None, 403),
        ("GET", "../../../etc/passwd", None, 404),
        ("GET", "", None, 404),
    ],
)
def test_a_request_that_cannot_be_answered_says_why(
    kernel: Kernel, widget: OverviewWidget, method: str, address: str, body: object, status: int
) -> None:
    answer, found = kernel.request(widget, method, address.format(root=f"api/v1/atlases/{widget.name}"), body)
    assert answer["status"] == status
    assert json.loads(found)["detail"]


def test_rows_are_those_of_the_atlas_that_the_page_shows(
    kernel: Kernel, planted_atlas_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "again.atlas"
    shutil.copytree(planted_atlas_dir, folder)
    widget = OverviewWidget(Atlas.open(folder))
    before = widget.atlas
    assert widget.atlas is before
    # Another file of the same content stands for an atlas that was built again.
    (folder / "atlas.json").write_text(json.dumps(json.loads((folder / "atlas.json").read_text())))
    assert kernel.request(widget, "GET", "api/v1/atlases/again")[0]["status"] == 200
    assert widget.atlas is not before
    widget.select_rows([3, 5])
    assert widget.selected_rows.tolist() == [3, 5]


def test_an_error_that_nobody_expected_is_answered_too(
    kernel: Kernel, widget: OverviewWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("of no known kind")

    monkeypatch.setattr(Atlas, "dimensions", broken)
    answer, found = kernel.request(widget, "GET", f"api/v1/atlases/{widget.name}/dimensions")
    assert answer["status"] == 500
    assert "unexpected" in json.loads(found)["detail"]


def test_an_edit_on_the_page_is_the_atlas_s(kernel: Kernel, widget: OverviewWidget, atlas: Atlas) -> None:
    address = f"api/v1/atlases/{widget.name}/saved-selections/noted"
    spec = {"and": [{"column": "label", "in": ["real"]}]}
    assert kernel.request(widget, "PUT", address, spec)[0]["status"] == 200
    assert atlas.info()["saved_selections"]["noted"] == spec
    assert kernel.request(widget, "DELETE", address)[0]["status"] in (200, 204)
    assert "noted" not in atlas.info()["saved_selections"]


def test_without_the_built_app_the_error_says_how_it_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, atlas: Atlas
) -> None:
    monkeypatch.setattr("morelli.notebook._frontend.BUILT", tmp_path)
    with pytest.raises(MissingPartError, match="make app"):
        OverviewWidget(atlas)
