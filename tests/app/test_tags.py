"""Tags in the browser: set in bulk, found after a restart, exported; refused where somebody was faster."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from morelli.atlas import Atlas, AtlasOptions, build_atlas
from morelli.features import Features, FeatureTable
from morelli.server import ServerSettings
from tests.app.explore_atlas import Open, address, settled, shown_images, spec, view
from tests.planted_atlas import NAME
from tests.server.running import Running, running

FAKE = {"and": [{"column": "label", "in": ["fake"]}]}


def test_tags_are_set_in_bulk_and_found_after_a_restart(
    exploring: Running, open_page: Open, atlas: Atlas
) -> None:
    page = settled(open_page(address(exploring, sel=FAKE)))
    page.get_by_role("button", name="Tag", exact=True).click()
    expect(page.get_by_placeholder("Name of a tag")).to_be_focused()
    page.keyboard.type("to check")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.get_by_role("button", name="to check 60 of 60 images")).to_be_visible()
    page.keyboard.press("Escape")
    assert atlas.tags.masks()["to check"].tolist() == (atlas.collection.labels == 1).tolist()

    # Half of them lose it again; a selection by the tag follows at once.
    page.goto(address(exploring, sel={"and": [{"column": "tag", "in": ["to check"]}]}))
    assert shown_images(settled(page)) == 60
    page.goto(address(exploring, sel={"and": [*FAKE["and"], {"rows": list(range(len(atlas)))[::2]}]}))
    half = shown_images(settled(page))
    assert 0 < half < 60
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_role("button", name="Remove to check").click()
    expect(page.get_by_role("button", name=f"to check 0 of {60 - half} images")).to_be_visible()
    page.get_by_role("button", name=f"to check 0 of {60 - half} images").click()
    settled(page)
    assert spec(page) == [{"column": "tag", "in": ["to check"]}]
    assert shown_images(page) == 60 - half

    with running(ServerSettings(atlases=(atlas.path,), offline=True), ready=False) as again:
        page = settled(open_page(address(again, sel={"and": [{"column": "tag", "in": ["to check"]}]})))
        assert shown_images(page) == 60 - half
        page.get_by_role("button", name="Filter", exact=True).click()
        tags = page.get_by_role("complementary", name="Columns").get_by_role("group", name="Tag", exact=True)
        expect(tags.get_by_label("to check")).to_be_checked()
        tags.get_by_role("button", name="Tag: invert").click()
        settled(page)
        assert shown_images(page) == len(atlas) - 60 + half
        text = again.get(f"/atlases/{NAME}/export").content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert sum(row["tags"] == "to check" for row in rows) == 60 - half


def test_one_image_is_tagged_in_its_dialog(exploring: Running, open_page: Open, atlas: Atlas) -> None:
    page = settled(open_page(address(exploring, image="3")))
    sheet = page.get_by_role("dialog")
    sheet.get_by_label("Another tag").fill("mine")
    sheet.get_by_label("Another tag").press("Enter")
    expect(sheet.get_by_role("list", name="Tags")).to_contain_text("mine")
    assert atlas.tags.masks()["mine"].nonzero()[0].tolist() == [3]
    sheet.get_by_role("button", name="Remove the tag mine").click()
    expect(sheet.get_by_role("list", name="Tags")).not_to_contain_text("mine")
    assert dict(atlas.tags.masks()) == {}


def test_a_tag_on_other_images_than_one_saw_is_refused(
    exploring: Running, open_page: Open, atlas: Atlas, tmp_path: Path
) -> None:
    atlas.tag_images(atlas.select(FAKE), ["first"], [])
    page = settled(open_page(address(exploring, sel={"and": [{"column": "tag", "in": ["first"]}]})))
    assert shown_images(page) == 60
    # Somebody else, in a process of their own, takes the tag from most of them meanwhile.
    other = Atlas.open(atlas.path)
    other.tag_images(other.select({"and": [*FAKE["and"], {"rows": list(range(100))}]}), [], ["first"])
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_placeholder("Name of a tag").fill("second")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="somebody else").first).to_be_visible()
    assert "second" not in atlas.tags.masks()
    expect(view(page, "Image view")).to_be_visible()


@pytest.mark.usefixtures("built_app")
def test_five_hundred_images_are_tagged_at_once(open_page: Open, tmp_path: Path) -> None:
    labels = np.arange(1000) % 2
    vectors = np.random.default_rng(0).normal(size=(1000, 12)) + labels[:, None]
    names = [f"{'made' if label else 'taken'} {at % 6}" for at, label in enumerate(labels)]
    rows = Features.from_arrays(vectors, labels=labels, lineage=names, source=names, generator=names)
    table = FeatureTable.create(tmp_path / "F.lance", rows.build, {"final": 12})
    table.append(rows)
    out = tmp_path / f"{NAME}.atlas"
    build_atlas(table, out, AtlasOptions(dimensions=4, projection="pca"))

    settings = ServerSettings(atlases=(out,), offline=True)
    with running(settings, ready=False) as server:
        page = settled(open_page(address(server, sel=FAKE)))
        page.get_by_role("button", name="Tag", exact=True).click()
        page.get_by_placeholder("Name of a tag").fill("to check")
        page.get_by_role("button", name="Set", exact=True).click()
        expect(page.get_by_role("button", name="to check 500 of 500 images")).to_be_visible()
    with running(settings, ready=False) as again:
        tagged = {"and": [{"column": "tag", "in": ["to check"]}]}
        assert shown_images(settled(open_page(address(again, sel=tagged)))) == 500
