"""The map in the colours of any column, as cells, as points and as density, with a legend that counts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from morelli.atlas import Atlas
from tests.app.explore_atlas import Open, address, settled, spec, state
from tests.server.running import Running

PIXELS = """(colour) => {
  const canvas = document.querySelector('.map canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const wanted = colour.match(/\\d+/g).map(Number);
  let n = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i] === wanted[0] && data[i + 1] === wanted[1] && data[i + 2] === wanted[2]) n++;
  return n;
}"""


def in_sight(page: Page, colour: str) -> int:
    """Pixels of the map that have a colour."""
    found: int = page.evaluate(PIXELS, colour)
    return found


def test_a_column_of_names_colours_the_map_and_its_legend_counts_and_selects(
    exploring: Running, open_page: Open, atlas: Atlas
) -> None:
    page = settled(open_page(address(exploring)))
    page.get_by_label("Colour by").select_option("column:roll")
    settled(page)
    assert state(page)["by"] == "column:roll"
    legend = page.get_by_role("region", name="Legend")
    expect(legend.get_by_role("heading", name="roll")).to_be_visible()
    entries = legend.get_by_role("listitem")
    expect(entries).to_have_count(3)
    for entry in entries.all():
        swatch = entry.locator(".swatch").evaluate("(one) => getComputedStyle(one).backgroundColor")
        assert in_sight(page, swatch) > 100
    legend.get_by_role("button", name="roll 1: 40 images").click()
    settled(page)
    assert spec(page) == [{"column": "roll", "in": ["roll 1"]}]
    expect(legend.get_by_role("button", name="roll 1")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize(("column", "first"), [("taken", "2024-01-01"), ("exposure", "0")])
def test_a_column_of_numbers_or_dates_has_a_scale_with_ticks(
    exploring: Running, open_page: Open, column: str, first: str
) -> None:
    page = settled(
        open_page(address(exploring, by=f"column:{column}"), viewport={"width": 1920, "height": 1000})
    )
    legend = page.get_by_role("region", name="Legend")
    ticks = legend.locator(".ticks span")
    expect(ticks.first).to_have_text(first)
    assert ticks.count() >= 3
    expect(page.get_by_label("Colour by")).to_have_value(f"column:{column}")


def test_a_column_that_the_atlas_does_not_have_leaves_a_map(exploring: Running, open_page: Open) -> None:
    page = settled(open_page(address(exploring, by="column:nothing")))
    expect(page.get_by_label("Colour by")).to_have_value("column:nothing")
    expect(page.get_by_role("alert")).to_have_count(0)
    assert page.evaluate(PIXELS, "rgb(250 250 247)") > 1000


def test_points_and_density_take_the_place_of_glyphs_and_points_are_images(
    exploring: Running, open_page: Open, atlas: Atlas
) -> None:
    page = settled(open_page(address(exploring, by="column:roll")))
    board = page.get_by_role("application")
    glyphs = board.screenshot()
    page.get_by_role("button", name="Density", exact=True).click()
    assert state(settled(page))["draw"] == "density"
    density = board.screenshot()
    page.get_by_role("button", name="Points", exact=True).click()
    assert state(settled(page))["draw"] == "points"
    points = board.screenshot()
    assert len({glyphs, density, points}) == 3

    # The first image of the map is where its point is: it is named below the pointer, and opened by a click.
    found = atlas.points().slice(0, 1).to_pylist()[0]
    x, y, side = (float(v) for v in (board.get_attribute("data-frame") or "").split())
    box = board.bounding_box()
    assert box is not None
    place = (box["x"] + x + found["x"] / 65536 * side, box["y"] + y + found["y"] / 65536 * side)
    page.mouse.move(*place, steps=2)
    expect(page.locator(".map .card")).to_contain_text("roll: roll ")
    page.mouse.down()
    page.mouse.up()
    expect(page.get_by_role("dialog")).to_be_visible()
    row = int(state(page)["image"])
    near = {one["row"] for one in atlas.points().to_pylist() if abs(one["x"] - found["x"]) < 1500}
    assert row in near
    expect(page.locator(".map .card")).to_have_count(0)


def test_tags_are_names_on_the_map_where_their_images_are(
    exploring: Running, open_page: Open, atlas: Atlas
) -> None:
    corner = atlas.select({"and": [{"rect": [0, 0, 0.5, 0.5]}]})
    atlas.tag_images(corner, ["to check"], [])
    page = settled(open_page(address(exploring)))
    page.get_by_label("Names").select_option("tags")
    assert state(settled(page))["labels"] == "tags"
    names = page.locator(".labels span")
    expect(names.first).to_have_text("to check")
    board = page.get_by_role("application")
    x, y, side = (float(v) for v in (board.get_attribute("data-frame") or "").split())
    box = board.bounding_box()
    assert box is not None
    for name in names.all():
        at = name.bounding_box()
        assert at is not None
        assert at["x"] + at["width"] / 2 - box["x"] - x < 0.6 * side
        assert at["y"] + at["height"] / 2 - box["y"] - y < 0.6 * side
