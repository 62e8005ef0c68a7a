"""The dialog of an image: through the gallery by keyboard, and into the picture."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from morelli.atlas import Atlas
from tests.app.explore_atlas import Open, address, settled, state, view
from tests.server.running import Running


def test_the_dialog_goes_through_the_gallery_by_keyboard_and_zooms(
    exploring: Running, open_page: Open, atlas: Atlas
) -> None:
    order = [one["row"] for one in atlas.rows(sort="probability", descending=True, limit=4)]
    page = settled(open_page(address(exploring, sort="-probability")))
    # The gallery's pictures come a sheet at a time, and none is left out.
    pictures = view(page, "Image view").locator(".picture > img:first-child")
    expect(pictures.first).to_have_attribute("src", re.compile("^data:image/jpeg"))
    asked = page.evaluate("() => performance.getEntriesByType('resource').map((one) => one.name)")
    assert any("/thumbnails?" in url for url in asked)
    expect(pictures.last).to_have_attribute("src", re.compile("^data:image/jpeg"))
    sources = pictures.evaluate_all("all => all.map((one) => one.getAttribute('src'))")
    assert len(sources) > 5 and all(source.startswith("data:image/jpeg") for source in sources)

    view(page, "Image view").locator("[data-row]").first.click()
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_text("1 of 120")).to_be_visible()
    for index in (1, 2, 3):
        page.keyboard.press("ArrowRight")
        expect(page).to_have_url(re.compile(rf"image={order[index]}(&|$)"))
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile(rf"image={order[2]}(&|$)"))
    expect(sheet.get_by_text("3 of 120")).to_be_visible()
    name = str(atlas.image(order[2])["uri"]).rsplit("/", 1)[-1]
    expect(sheet.get_by_role("heading", level=2)).to_have_text(name)

    before = sheet.locator(".layers img").first.bounding_box()
    page.keyboard.press("+")
    expect(sheet.get_by_text("2×")).to_be_visible()
    after = sheet.locator(".layers img").first.bounding_box()
    assert before and after and abs(after["width"] / before["width"] - 2) < 0.1
    page.keyboard.press("0")
    # One step back leads out of the dialog, however many images one has gone through.
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    assert "image" not in state(page)
