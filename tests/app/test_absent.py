"""What is not there is said plainly: files that went away, maps, atlases, the encoder's weights."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from morelli.server import ServerSettings
from tests.app.explore_atlas import Open, address, settled, shown_images, view
from tests.app.test_check import home
from tests.app.test_check_access import violations
from tests.planted_atlas import NAME, build_planted_atlas
from tests.server.running import Running, running

pytestmark = pytest.mark.usefixtures("built_app")


@pytest.fixture
def originals(tmp_path: Path, collection: Path) -> Path:
    """The images of an atlas of the test's own, which it may delete."""
    return shutil.copytree(collection, tmp_path / "originals")


@pytest.fixture
def with_originals(
    planted_atlas_dir: Path, originals: Path, tmp_path: Path, aside: Path
) -> Iterator[Running]:
    """A server of the atlas, whose images lie in `originals` alone."""
    copy = shutil.copytree(planted_atlas_dir, tmp_path / planted_atlas_dir.name)
    with running(ServerSettings(atlases=(copy,), roots=(originals,), offline=True), ready=False) as server:
        yield server


@pytest.fixture
def aside(collection: Path) -> Iterator[Path]:
    """The collection put aside for the time of a test: its images are not where the atlas saw them."""
    moved = collection.rename(collection.with_name("put-aside"))
    yield moved
    moved.rename(collection)


def test_a_file_that_went_away_is_said_to_be_gone_and_the_rest_goes_on(
    with_originals: Running, originals: Path, open_page: Open
) -> None:
    seen, unseen = (with_originals.get(f"/atlases/{NAME}/images/{row}").json() for row in (2, 3))
    page = settled(open_page(address(with_originals, image="2")))
    sheet = page.get_by_role("dialog")
    sheet.get_by_role("button", name="show the whole file").click()
    picture = sheet.get_by_role("img", name=Path(seen["uri"]).name)
    expect(picture).to_have_js_property("naturalWidth", seen["width"])

    # It goes away while the page is open: who then wants to see it is told.
    page.goto(address(with_originals, image="3"))
    picture = sheet.get_by_role("img", name=Path(unseen["uri"]).name)
    expect(picture).not_to_have_js_property("naturalWidth", 0)
    for path in originals.rglob("*.png"):
        path.unlink()
    sheet.get_by_role("button", name="show the whole file").click()
    expect(sheet.get_by_role("note")).to_contain_text("moved or deleted")
    expect(picture).not_to_have_js_property("naturalWidth", 0)
    sheet.get_by_role("button", name="Check in full").click()
    expect(sheet.get_by_role("alert")).to_contain_text("The file of image 3 is not there any more.")

    # And whoever comes later is told at once, and not offered what cannot be done.
    page.goto("about:blank")
    page.goto(address(with_originals, image="3"))
    expect(settled(page).get_by_role("dialog").get_by_role("note")).to_contain_text("moved or deleted")
    expect(page.get_by_role("button", name="show the whole file")).to_have_count(0)
    expect(page.get_by_role("button", name="Check in full")).to_have_count(0)
    page.keyboard.press("Escape")
    first = view(page, "Image view").locator("[data-row] img").first
    expect(first).not_to_have_js_property("naturalWidth", 0)
    expect(page.get_by_text("no picture").filter(visible=True)).to_have_count(0)


def test_a_file_outside_the_roots_is_not_called_missing(exploring: Running, open_page: Open) -> None:
    page = settled(open_page(address(exploring, image="3")))
    expect(page.get_by_role("dialog").get_by_role("note")).to_contain_text("--root")


def test_an_atlas_without_maps_says_so_where_pictures_would_be(
    tmp_path: Path, collection: Path, tiny_clip_dir: Path, open_page: Open
) -> None:
    atlas = build_planted_atlas(tmp_path, collection, tiny_clip_dir, maps=False)
    with running(ServerSettings(atlases=(atlas,), offline=True), ready=False) as server:
        page = settled(open_page(address(server)))
        assert shown_images(page) == 120
        expect(view(page, "Image view")).to_contain_text("built without pictures and maps")
        expect(view(page, "Pattern view")).to_contain_text("no relevance maps, so no patterns")
        expect(view(page, "Dimension view").locator("path.selected, svg")).not_to_have_count(0)
        tile = view(page, "Image view").locator("[data-row]").first
        expect(tile.get_by_text("no picture")).to_be_visible()
        expect(tile.locator("img")).to_be_hidden()
        assert violations(page) == []
        tile.click()
        sheet = page.get_by_role("dialog")
        expect(sheet.get_by_text("The atlas keeps no picture of this image.")).to_be_visible()
        expect(sheet.get_by_text("sum: the logit")).to_be_visible()
        assert violations(page) == []


def test_a_server_without_an_atlas_says_how_one_is_made(open_page: Open) -> None:
    with running(ServerSettings(offline=True), ready=False) as server:
        page = open_page(f"http://127.0.0.1:{server.port}/#/explore")
        expect(page.get_by_role("heading", name="No atlas yet")).to_be_visible()
        expect(page.get_by_text("morelli atlas build")).to_be_visible()
        assert violations(page) == []
        page.goto(f"http://127.0.0.1:{server.port}/#/explore/{NAME}")
        expect(page.get_by_role("alert")).to_contain_text(f"no atlas {NAME!r}")
        page.goto(f"http://127.0.0.1:{server.port}/#/evaluate")
        expect(page.get_by_role("heading", level=2).first).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_weights_check_says_how_to_get_them_and_explore_works(
    planted_atlas_dir: Path,
    collection: Path,
    tmp_path: Path,
    open_page: Open,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
) -> None:
    monkeypatch.setenv("MORELLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    copy = shutil.copytree(planted_atlas_dir, tmp_path / planted_atlas_dir.name)
    with running(ServerSettings(atlases=(copy,), offline=True), ready=False) as server:
        page = open_page(home(server), color_scheme=scheme)
        expect(page.get_by_role("heading", name="No picture can be judged yet")).to_be_visible()
        told = page.get_by_role("alert")
        expect(told.locator("code").filter(has_text="morelli encoders pull clip-vit-b16")).to_be_visible()
        expect(page.get_by_role("button", name="Choose pictures")).to_be_disabled()
        assert violations(page) == []

        # A picture that is dropped all the same is refused in the same words, and none about headers.
        page.locator("input[type=file]").set_input_files(next(collection.rglob("*.png")))
        expect(told).to_contain_text(
            re.compile("morelli encoders pull clip-vit-b16.*Start the server again", re.S)
        )
        expect(told).not_to_contain_text("Retry-After")
        page.get_by_role("link", name="Explore").click()
        expect(settled(page).get_by_role("application")).to_be_visible()
        assert shown_images(page) == 120
