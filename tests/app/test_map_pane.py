"""The map's pane: the map fills it, its head stays low, and what is said of a cell goes with the pointer."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.app.explore_atlas import Open, address, settled, view
from tests.server.running import Running


def map_and_pane(page: Page) -> tuple[list[float], dict[str, float]]:
    """Left, top and side of the map within its pane, and the pane."""
    board = page.get_by_role("application")
    box = board.bounding_box()
    frame = board.get_attribute("data-frame")
    assert box is not None and frame is not None
    return [float(v) for v in frame.split()], dict(box)


def all_in_sight(page: Page) -> bool:
    (x, y, side), box = map_and_pane(page)
    shorter = min(box["width"], box["height"])
    inside = x >= -1 and y >= -1 and x + side <= box["width"] + 1 and y + side <= box["height"] + 1
    return inside and side > 0.9 * shorter


def lines(parts: Locator) -> int:
    """How many lines some elements stand on."""
    tops = parts.evaluate_all(
        """all => all.filter((one) => one.getClientRects().length && one.offsetWidth > 2)
            .map((one) => { const b = one.getBoundingClientRect(); return (b.top + b.bottom) / 2 })"""
    )
    return len({round(top / 14) for top in tops})


def test_a_map_that_is_all_in_sight_stays_so_in_a_pane_of_another_size(
    exploring: Running, open_page: Open
) -> None:
    page = settled(open_page(address(exploring), viewport={"width": 1280, "height": 800}))
    assert all_in_sight(page)
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.get_by_role("complementary", name="Columns")).to_be_visible()
    assert all_in_sight(settled(page))
    page.set_viewport_size({"width": 900, "height": 700})
    page.wait_for_timeout(100)
    assert all_in_sight(settled(page))
    # A part that somebody looks at is not left for the whole.
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Zoom in").click()
    expect(page).to_have_url(re.compile("at="))
    page.set_viewport_size({"width": 1280, "height": 800})
    page.wait_for_timeout(100)
    assert not all_in_sight(settled(page))


def test_nothing_is_said_of_a_cell_that_nobody_points_at(exploring: Running, open_page: Open) -> None:
    page = settled(open_page(address(exploring)))
    card = page.locator(".map .card")
    (x, y, side), box = map_and_pane(page)

    def point() -> None:
        for share in (0.4, 0.5, 0.6, 0.3, 0.7):
            page.mouse.move(box["x"] + x + share * side, box["y"] + y + 0.5 * side, steps=2)
            if card.count():
                return
        pytest.fail("no cell has a card")

    point()
    page.mouse.move(box["x"] + box["width"] + 60, box["y"] + 40, steps=2)
    expect(card).to_have_count(0)
    point()
    # A dialog over the map: neither it nor what it leaves behind has the card.
    page.keyboard.press("Escape")
    page.evaluate("location.hash += (location.hash.includes('?') ? '&' : '?') + 'image=3'")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(card).to_have_count(0)
    # After the map moved below a pointer that stands still, the card is of what lies there now.
    page.get_by_role("dialog").press("Escape")
    settled(page)
    point()
    page.mouse.wheel(0, -1500)
    page.wait_for_timeout(300)
    settled(page)
    outline = page.locator(".map svg .hover")
    assert outline.count() == card.count()


@pytest.mark.parametrize("selected", [False, True])
def test_the_heads_take_two_lines_in_a_narrow_window(
    exploring: Running, open_page: Open, selected: bool
) -> None:
    params = {"sel": {"and": [{"column": "label", "in": ["fake"]}]}} if selected else {}
    page = settled(open_page(address(exploring, **params), viewport={"width": 390, "height": 844}))
    bar = page.locator("header.bar")
    assert lines(bar.locator("button:visible, .summary > *, .chip")) <= 2
    for name in ("Overview", "Patterns"):
        head = view(page, name).locator("header").first
        assert lines(head.locator("h2, select:visible, button:visible, input:visible")) <= 2
    # The names of what has become a picture are still there.
    for name in ("Filter", "Find", "Tag", "Saved", "Export"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
