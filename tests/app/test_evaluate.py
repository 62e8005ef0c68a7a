"""Evaluate in a real browser: what the server measured, moved by a threshold and a base rate."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Locator, Page, expect

from morelli.atlas import AtlasOptions, build_atlas
from morelli.encoders import load_encoder
from morelli.evaluation import Input, MeasureOptions, Run, execute
from morelli.features import FeatureTable, extract
from morelli.images import iter_source
from morelli.reports import write_report
from morelli.server import ServerSettings
from tests.app.test_check_access import violations
from tests.server.running import Running, running

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def evaluated(
    tmp_path_factory: pytest.TempPathFactory, collection: Path, tiny_clip_dir: Path, built_app: Path
) -> Iterator[Running]:
    """A server with an atlas and a report of a small collection."""
    home = tmp_path_factory.mktemp("evaluated")
    encoder = load_encoder(str(tiny_clip_dir))
    items = list(iter_source(collection, label_from="folders"))
    extract(items, home / "F.lance", encoder=encoder, kinds=["final", "layer:3", "tokens:3"])
    options = AtlasOptions(dimensions=4, projection="pca")
    build_atlas(
        FeatureTable.open(home / "F.lance"), home / "small.atlas", options, encoder=encoder, workers=1
    )
    run = Run(
        inputs=(Input("features", str(home / "F.lance")),), detectors=("probe",), protocols=("transfer",)
    )
    write_report(
        execute(run), home / "report", name="Trial", options=MeasureOptions(rounds=10), thumbnails=False
    )
    settings = ServerSettings(atlases=(home / "small.atlas",), reports=(home / "report",))
    with running(settings, ready=False) as server:
        yield server


def opened(server: Running, open_page: Open, query: str = "") -> Page:
    page = open_page(f"http://127.0.0.1:{server.port}/#/evaluate/small{query}")
    expect(page.get_by_role("region", name="Threshold and base rate")).to_be_visible()
    return page


def cell(page: Page, name: str) -> Locator:
    return page.get_by_role("listitem").filter(has_text=name).get_by_role("link")


def test_the_sliders_move_confusion_and_worth_as_the_server_counts_them(
    evaluated: Running, open_page: Open
) -> None:
    page = opened(evaluated, open_page)
    page.get_by_label("Flag above probability").fill("0.8")
    page.get_by_label("Generated, of the pictures").fill("6")  # one in ten
    answer = evaluated.get("/atlases/small/evaluation", params={"threshold": 0.8, "base_rate": 0.1}).json()
    counts = answer["confusion"]
    expect(cell(page, "generated, found")).to_contain_text(f"{counts['tp']} of {counts['tp'] + counts['fn']}")
    expect(cell(page, "wrongly flagged")).to_contain_text(f"{counts['fp']} of {counts['fp'] + counts['tn']}")
    imagined = [int(text) for text in page.locator(".pictures b").all_inner_texts()]
    assert sum(imagined) == 1000
    assert imagined[0] + imagined[1] == 100
    assert {"t=0.8", "base=0.1"} <= set(page.url.partition("?")[2].split("&"))


def test_a_number_leads_to_exactly_the_images_behind_it(evaluated: Running, open_page: Open) -> None:
    page = opened(evaluated, open_page, "?t=0.7&base=0.2")
    for name, key in (("generated, missed", "fn"), ("real, let pass", "tn"), ("generated, found", "tp")):
        link = cell(page, name)
        shown = int(link.inner_text().split()[0])
        answer = evaluated.get(
            "/atlases/small/evaluation", params={"threshold": 0.7, "base_rate": 0.2}
        ).json()
        assert shown == answer["confusion"][key]
        spec = parse_qs((link.get_attribute("href") or "").partition("?")[2])["sel"][0]
        assert evaluated.post("/atlases/small/selections", json=json.loads(spec)).json()["count"] == shown
    cell(page, "generated, missed").click()
    expect(page).to_have_url(re.compile("#/explore/small"))


def test_a_selection_is_measured_alone_and_can_be_let_go(evaluated: Running, open_page: Open) -> None:
    spec = json.dumps({"and": [{"column": "label", "in": ["real"]}]})
    page = opened(evaluated, open_page, f"?sel={spec}")
    expect(page.get_by_text("Only one kind of image is selected")).to_be_visible()
    page.get_by_role("button", name="Measure all images").click()
    expect(page.get_by_text("A generated image scores above a real one in")).to_be_visible()
    assert "sel=" not in page.url


def test_a_selection_of_nothing_is_said_to_be_empty(evaluated: Running, open_page: Open) -> None:
    spec = json.dumps({"and": [{"text": "nothing is called so"}]})
    page = open_page(f"http://127.0.0.1:{evaluated.port}/#/evaluate/small?sel={spec}")
    expect(page.get_by_text("No labelled image is selected")).to_be_visible()
    expect(page.get_by_text("Measuring")).to_have_count(0)
    expect(page.get_by_role("region", name="Worst cases")).to_have_count(0)
    assert violations(page) == []


def test_generators_can_be_found_and_the_transfer_matrix_is_the_reports(
    evaluated: Running, open_page: Open
) -> None:
    page = opened(evaluated, open_page)
    generators = page.get_by_role("region", name="Generators")
    generators.get_by_role("searchbox").fill("coffee")
    expect(generators.get_by_role("row")).to_have_count(2)
    expect(generators.get_by_role("rowheader")).to_have_text("generator-of-coffee")
    report = evaluated.get("/reports/report", params={"format": "json"}).json()
    (matrix,) = [one["matrix"] for one in report["results"] if one["matrix"]]
    table = page.get_by_role("region", name="Transfer matrix")
    expect(table.get_by_role("columnheader")).to_have_count(len(matrix["tested"]) + 1)
    first = table.get_by_role("row").nth(1).get_by_role("cell").nth(1)
    expect(first).to_have_text(f"{matrix['auc'][0][1]:.2f}".removeprefix("0"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(evaluated: Running, open_page: Open, scheme: str) -> None:
    page = opened(evaluated, open_page)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    expect(page.get_by_role("region", name="Transfer matrix")).to_be_visible()
    assert violations(page) == []
