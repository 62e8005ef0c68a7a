"""An atlas built in the browser: from a folder, with progress, cancelled, gone on with, and opened."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.app.explore_atlas import Open, settled, shown_images
from tests.app.test_check_access import violations
from tests.server.running import Running


def test_an_atlas_is_built_from_a_folder_cancelled_resumed_and_opened(
    judging: Running, open_page: Open, collections: Path
) -> None:
    page = open_page(f"http://127.0.0.1:{judging.port}/#/explore")
    builder = page.get_by_role("region", name="Build an atlas from a folder")
    builder.get_by_role("link", name="holiday 2024").click()
    expect(builder.get_by_role("list", name="Folders in it").get_by_role("link")).to_have_text(
        ["fake", "real"]
    )
    expect(builder.get_by_label("Name of the atlas")).to_have_value("holiday 2024")
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert violations(page) == []
    builder.get_by_label("Name of the atlas").fill("../escape")
    builder.get_by_role("button", name="Build", exact=True).click()
    expect(builder.get_by_role("alert")).to_contain_text("name")
    builder.get_by_label("Name of the atlas").fill("holiday")
    builder.get_by_role("button", name="Build", exact=True).click()

    expect(builder.get_by_role("progressbar", name="holiday: Encoding the images")).to_be_visible()
    assert violations(page) == []
    builder.get_by_role("button", name="Cancel").click()
    unfinished = builder.get_by_role("list", name="Unfinished builds")
    expect(unfinished).to_contain_text("holiday was cancelled, from holiday 2024.")
    assert not (collections / "holiday.atlas" / "atlas.json").exists()

    # Another page sees the same, and goes on with it.
    page.reload()
    unfinished.get_by_role("button", name="Go on").click()
    expect(builder).to_contain_text("holiday is built: 8 images.", timeout=240_000)
    expect(builder).to_contain_text("1 image could not be read: 1 truncated.")
    expect(unfinished).to_have_count(0)
    expect(page.get_by_role("link", name="holiday", exact=True)).to_be_visible()

    builder.get_by_role("link", name="Open holiday").click()
    settled(page)
    assert shown_images(page) == 8
    page.get_by_role("link", name="Collections").click()
    expect(page.get_by_role("heading", name="Atlases of this server")).to_be_visible()


def test_a_server_without_a_folder_says_how_to_build(exploring: Running, open_page: Open) -> None:
    page = open_page(f"http://127.0.0.1:{exploring.port}/#/explore")
    settled(page)  # the only atlas is opened at once
    expect(page.get_by_role("link", name="Collections")).to_have_count(0)
