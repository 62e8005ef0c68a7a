"""Near-duplicates as a page of Explore: warnings first, a group as a selection, images opened from it."""

from __future__ import annotations

import re

import numpy as np
from playwright.sync_api import expect

from morelli.atlas import Atlas
from tests.app.explore_atlas import Open, address, settled, shown_images, spec, view
from tests.app.test_check_access import violations
from tests.server.running import Running


def test_near_duplicates_are_looked_through_and_selected(
    exploring: Running, open_page: Open, atlas: Atlas
) -> None:
    page = settled(open_page(address(exploring)))
    view(page, "Image view").get_by_role("button", name="Near-duplicates").click()
    sheet = page.get_by_role("dialog", name="Near-duplicates")
    wanted = atlas.copies.view(None, offset=0, limit=50)
    groups = sheet.get_by_role("list", name="Groups").get_by_role("heading", level=3)
    expect(groups).to_have_count(wanted["total"])
    assert wanted["across_class"] > 0, "crops and their copies with a planted grid"
    first = wanted["groups"][0]
    expect(sheet).to_contain_text(
        f"One picture stands in both classes: {first['real']} real, {first['fake']} generated"
    )

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert violations(page) == []

    # An image opens above the page, which is there again behind it.
    sheet.get_by_role("button", name=f"Open image {first['rows'][1]},").click()
    expect(page).to_have_url(re.compile(rf"image={first['rows'][1]}(&|$)"))
    page.keyboard.press("Escape")
    sheet.get_by_role("button", name=f"Select the {first['n']} near-duplicates").first.click()
    settled(page)
    assert spec(page) == [{"copies": first["row"]}]
    assert shown_images(page) == first["n"]
    expect(page.get_by_role("list", name="What narrows the selection")).to_contain_text(
        f"Near-duplicates of image {first['row']}"
    )

    page.go_back()
    settled(page)
    sheet.get_by_role("button", name="Select those in both classes").click()
    settled(page)
    assert spec(page) == [{"copies": "class"}]
    assert shown_images(page) == int(np.count_nonzero(atlas.copies.mask("class")))
