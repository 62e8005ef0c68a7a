"""The side bar of all columns: counts and histograms that filter, follow every other filter, and invert."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from morelli.atlas import Atlas
from tests.app.explore_atlas import Open, address, settled, shown_images, spec, view
from tests.server.running import Running


def opened(page: Page) -> Locator:
    settled(page).get_by_role("button", name="Filter", exact=True).click()
    bar = page.get_by_role("complementary", name="Columns")
    expect(bar.get_by_role("group", name="Score", exact=True)).to_be_visible()
    settled(page)
    return bar


def brush(page: Page, bar: Locator, column: str, start: float, end: float) -> None:
    """Drag over a histogram, between two shares of its width."""
    picture = bar.locator(f'svg[data-column="{column}"]')
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y, steps=5)
    page.mouse.up()
    settled(page)


def shown_rows(page: Page) -> list[int]:
    found: list[int] = (
        view(page, "Image view").locator("[data-row]").evaluate_all("all => all.map((a) => +a.dataset.row)")
    )
    return found


def test_a_brushed_histogram_is_followed_by_map_gallery_and_all_other_columns(
    exploring: Running, open_page: Open, atlas: Atlas
) -> None:
    page = open_page(address(exploring))
    bar = opened(page)
    before = page.get_by_role("application").screenshot()
    brush(page, bar, "taken", 0.02, 0.48)
    (clause,) = spec(page)
    assert clause["column"] == "taken" and clause["range"][0] is None
    chosen = atlas.select({"and": [clause]})
    # Images come every three days, so a half of the time has about a half of them, and the first ones.
    assert chosen.rows.tolist() == list(range(chosen.counts["count"]))
    assert 40 < chosen.counts["count"] < 80
    assert shown_images(page) == chosen.counts["count"]
    assert shown_rows(page) == chosen.rows[: len(shown_rows(page))].tolist()
    assert page.get_by_role("application").screenshot() != before

    real = bar.get_by_role("group", name="Label", exact=True).get_by_role("listitem").filter(has_text="real")
    expect(real).to_contain_text(f"{chosen.counts['real']} / 60")
    # Its own histogram goes on showing what else could be chosen.
    brush(page, bar, "taken", 0.52, 0.98)
    (clause,) = spec(page)
    assert clause["range"][1] is None
    assert shown_images(page) == atlas.select({"and": [clause]}).counts["count"] > 0


def test_names_are_chosen_none_and_inverted(exploring: Running, open_page: Open, atlas: Atlas) -> None:
    page = open_page(address(exploring))
    bar = opened(page)
    rolls = bar.get_by_role("group", name="roll", exact=True)
    rolls.get_by_label("roll 1").check()
    settled(page)
    assert spec(page) == [{"column": "roll", "in": ["roll 1"]}]
    assert shown_images(page) == 40
    # The others are still there to be chosen: a column does not filter itself.
    expect(rolls.get_by_role("listitem").filter(has_text="roll 2")).to_contain_text("40")
    rolls.get_by_role("button", name="roll: invert").click()
    settled(page)
    assert spec(page) == [{"not": {"column": "roll", "in": ["roll 1"]}}]
    assert shown_images(page) == 80
    expect(rolls.get_by_label("roll 1")).not_to_be_checked()
    expect(rolls.get_by_label("roll 2")).to_be_checked()
    rolls.get_by_role("button", name="roll: none").click()
    settled(page)
    expect(page.get_by_text("No image fits all conditions")).to_be_visible()
    rolls.get_by_role("button", name="roll: all").click()
    settled(page)
    assert spec(page) == [] and shown_images(page) == len(atlas)


def test_conditions_on_class_score_date_and_text_add_up(
    exploring: Running, open_page: Open, atlas: Atlas
) -> None:
    page = open_page(address(exploring))
    bar = opened(page)
    bar.get_by_role("group", name="Label", exact=True).get_by_label("generated").check()
    settled(page)
    bar.get_by_label("Score at most").fill("0.5")
    bar.get_by_label("Score at most").press("Tab")
    settled(page)
    bar.get_by_label("taken at least").fill("2024-03-01")
    bar.get_by_label("taken at least").press("Tab")
    settled(page)
    assert spec(page) == [
        {"column": "label", "in": ["fake"]},
        {"column": "probability", "range": [None, 0.5]},
        {"column": "taken", "range": ["2024-03-01", None]},
    ]
    assert shown_images(page) == atlas.select({"and": spec(page)}).counts["count"]
    bar.get_by_label("Text in file name or metadata").fill("nothing is called so")
    bar.get_by_label("Text in file name or metadata").press("Enter")
    settled(page)
    expect(page.get_by_text("No image fits all conditions")).to_be_visible()


@pytest.mark.parametrize("width", [390, 800, 1280, 1920])
def test_the_columns_fit_every_window(exploring: Running, open_page: Open, width: int) -> None:
    page = settled(open_page(address(exploring), viewport={"width": width, "height": 900}))
    bar = page.get_by_role("complementary", name="Columns")
    assert bar.is_visible() == (width >= 1500)
    if width < 1500:
        opened(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    box = bar.bounding_box()
    assert box is not None and np.isclose(box["width"], width if width <= 896 else 280, atol=80)
