"""Explore for everybody: axe in every view and both themes, the map by keyboard alone, small windows."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from morelli.atlas import Atlas
from tests.app.explore_atlas import Open, address, settled, shown_images, spec, state, view
from tests.app.test_check_access import reach, violations
from tests.planted_atlas import NAME
from tests.server.running import Running


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_any_view(exploring: Running, open_page: Open, scheme: str) -> None:
    page = settled(open_page(address(exploring), color_scheme=scheme))
    assert violations(page) == []
    for pane in ("overview", "dimensions", "patterns", "images"):
        fake = {"and": [{"column": "label", "in": ["fake"]}]}
        page.goto(address(exploring, pane=pane, off="1", by="column:roll", draw="points", sel=fake))
        assert violations(settled(page)) == []
    page.goto(address(exploring, image="3", by="generator"))
    expect(page.get_by_role("dialog").get_by_role("heading", level=2)).to_have_text(re.compile("png$"))
    assert violations(settled(page)) == []
    page.goto(address(exploring))
    settled(page).get_by_role("button", name="Filter", exact=True).click()
    expect(
        page.get_by_role("complementary", name="Columns").get_by_role("group", name="Score")
    ).to_be_visible()
    assert violations(settled(page)) == []
    page.get_by_role("button", name="Filter", exact=True).click()
    for menu in ("Saved", "Export"):
        settled(page).get_by_role("button", name=menu, exact=True).click()
        assert violations(page) == []
        page.keyboard.press("Escape")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_where_things_are_compared(
    exploring: Running, open_page: Open, scheme: str
) -> None:
    page = settled(open_page(address(exploring, **{"with": "0,2,70", "side": "1"}), color_scheme=scheme))
    sheet = page.get_by_role("dialog", name="3 images side by side")
    expect(sheet.get_by_role("columnheader")).to_have_count(4)
    assert violations(page) == []
    sheet.get_by_role("rowheader").get_by_role("button").nth(2).click()
    expect(sheet.get_by_role("rowheader").get_by_role("button").nth(2)).to_have_attribute(
        "aria-pressed", "true"
    )
    assert violations(page) == []

    made = exploring.get(f"/atlases/{NAME}").json()["categories"]["generator"]
    page.goto(address(exploring, pane="patterns", vs=[one["name"] for one in made[:2]]))
    lines = page.get_by_role("region", name="Generator against generator").get_by_role("listitem")
    expect(lines.first).to_be_visible()
    assert violations(settled(page)) == []
    page.goto(address(exploring, vs=[one["name"] for one in made[:2]]))
    expect(lines.first).to_be_visible()
    assert violations(settled(page)) == []


def test_the_map_is_walked_by_keyboard_alone(exploring: Running, open_page: Open, atlas: Atlas) -> None:
    page = settled(open_page(address(exploring)))
    keyboard = page.keyboard
    reach(page, "application", re.compile("Map of 120 images"))
    told = page.get_by_role("status").filter(has_text=re.compile(r"^\d+ images?, "))
    expect(told).to_be_visible()
    first = told.inner_text()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        keyboard.press(key)
        if told.inner_text() != first:
            break
    expect(told).not_to_have_text(first)

    keyboard.press("Enter")
    settled(page)
    (clause,) = spec(page)
    (cell,) = clause["cells"]["ids"]
    here = atlas.select({"and": [clause]})
    assert shown_images(page) == here.counts["count"]
    keyboard.press("Space")
    sheet = page.get_by_role("dialog")
    expect(sheet).to_be_visible()
    table = atlas.tile(clause["cells"]["level"])
    at = int(np.flatnonzero(table["cell"].to_numpy() == cell)[0])
    assert int(state(page)["image"]) == table["exemplars"][at].as_py()[0]
    keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    expect(page.get_by_role("application")).to_be_focused()

    keyboard.press("ArrowLeft")
    keyboard.press("Shift+Enter")
    settled(page)
    assert len(spec(page)[0].get("cells", {}).get("ids", spec(page)[0].get("or", []))) == 2
    for _ in range(5):
        keyboard.press("+")
    expect(page).to_have_url(re.compile("[?&]at="))
    assert float(state(settled(page))["at"].split(",")[2]) > 2
    keyboard.press("0")
    expect(page).not_to_have_url(re.compile("[?&]at="))
    keyboard.press("Escape")
    settled(page)
    assert spec(page) == []
    keyboard.press("Control+z")
    settled(page)
    assert len(spec(page)) == 1


def test_dividers_and_gallery_follow_the_keyboard(exploring: Running, open_page: Open) -> None:
    page = settled(open_page(address(exploring)))
    reach(page, "separator", re.compile("Width of the overview"))
    surface = page.get_by_role("application")
    before = surface.bounding_box()
    page.keyboard.press("ArrowLeft")
    after = surface.bounding_box()
    assert before and after and after["width"] < before["width"]
    view(page, "Image view").locator("[data-row]").first.focus()
    page.keyboard.press("ArrowRight")
    expect(view(page, "Image view").locator("[data-row]").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()


@pytest.mark.parametrize("width", [1024, 600])
def test_a_small_window_needs_no_sideways_scrolling(exploring: Running, open_page: Open, width: int) -> None:
    page = settled(open_page(address(exploring), viewport={"width": width, "height": 700}))
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
