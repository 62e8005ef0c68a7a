"""Search in the browser, with an encoder of both towers: by words, by a picture, by images and selections."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from morelli.atlas import Atlas
from morelli.server import ServerSettings
from tests.app.explore_atlas import Open, address, settled, shown_images, spec, state, view
from tests.planted_atlas import NAME
from tests.server.running import Running, running
from tests.small_detector import bundle_dir, distilled_dir, features, table

__all__ = ["bundle_dir", "distilled_dir", "features", "table"]


@pytest.fixture(scope="module")
def searching(
    planted_atlas_dir: Path,
    built_app: Path,
    bundle_dir: Path,
    distilled_dir: Path,
    tiny_clip_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """A server with the atlas and the encoder that made it, which has both towers."""
    copy = shutil.copytree(planted_atlas_dir, tmp_path_factory.mktemp("search") / planted_atlas_dir.name)
    settings = ServerSettings(
        atlases=(copy,),
        bundle=bundle_dir,
        distilled=distilled_dir,
        weights=tiny_clip_dir,
        device="cpu",
        offline=True,
    )
    with running(settings) as server:
        yield server


def order(page: Page) -> list[int]:
    found: list[int] = (
        view(page, "Image view").locator("[data-row]").evaluate_all("all => all.map((a) => +a.dataset.row)")
    )
    return found


def nearest(atlas: Atlas, to: np.ndarray) -> list[int]:
    """Rows by cosine, worked out from the stored embeddings once more."""
    vectors = np.asarray(atlas.require_embeddings().vectors, np.float64)
    return np.argsort(-(vectors @ to / np.linalg.norm(to)), kind="stable").tolist()


def test_words_find_images_by_the_text_tower(searching: Running, open_page: Open) -> None:
    atlas: Atlas = searching.state.atlases.get(NAME).atlas
    page = settled(open_page(address(searching)))
    page.get_by_role("button", name="Find", exact=True).first.click()
    page.get_by_label("What the images show").fill("a checkered coffee cup")
    page.get_by_label("What the images show").press("Enter")
    expect(page.get_by_text("By the encoder's own text tower").first).to_be_visible()
    settled(page)
    tower = searching.state.inspector.encoder.require_text()
    texts = tower.encode(["a checkered coffee cup", "a photo of a checkered coffee cup"])
    wanted = nearest(atlas, (texts / np.linalg.norm(texts, axis=1, keepdims=True)).mean(axis=0))
    assert order(page)[:5] == wanted[:5]
    page.get_by_label("Select the nearest").fill("7")
    page.get_by_role("button", name="Select", exact=True).click()
    settled(page)
    assert spec(page) == [{"rows": sorted(wanted[:7])}]
    assert shown_images(page) == 7
    page.get_by_role("button", name="End the search").first.click()
    settled(page)
    assert "find" not in state(page) and order(page) == sorted(wanted[:7])


def test_a_dropped_picture_and_an_image_find_what_looks_like_them(
    searching: Running, open_page: Open, collection: Path
) -> None:
    atlas: Atlas = searching.state.atlases.get(NAME).atlas
    row = 17
    path = Path(str(atlas.image(row)["uri"]))
    page = settled(open_page(address(searching)))
    page.get_by_role("button", name="Find", exact=True).first.click()
    page.get_by_label("Or like a picture").set_input_files(path)
    expect(page.get_by_role("list", name="What narrows the selection")).to_contain_text(f"Like {path.name}")
    settled(page)
    expect(view(page, "Image view").locator("[data-row]").first).to_have_attribute("data-row", str(row))
    assert order(page)[:6] == nearest(atlas, np.asarray(atlas.require_embeddings().vectors[row], float))[:6]

    # Another tab with the same address, an image of the atlas, and the selection's own neighbours.
    page.goto(address(searching, image="40"))
    page.get_by_role("dialog").get_by_role("button", name="Find alike").click()
    settled(page)
    expect(view(page, "Image view").locator("[data-row]").first).to_have_attribute("data-row", "40")
    page.goto(address(searching, find={"selection": {"and": [{"rows": [3, 4]}]}}))
    settled(page)
    expect(page.get_by_role("list", name="What narrows the selection")).to_contain_text("Like a selection")
    mean = np.asarray(atlas.require_embeddings().vectors[[3, 4]], np.float64).mean(axis=0)
    first = view(page, "Image view").locator("[data-row]").first
    expect(first).to_have_attribute("data-row", str(nearest(atlas, mean)[0]))
    assert order(page)[:4] == nearest(atlas, mean)[:4]


def test_without_a_text_tower_the_limits_are_said(exploring: Running, open_page: Open) -> None:
    page = settled(open_page(address(exploring)))
    page.get_by_role("button", name="Find", exact=True).first.click()
    page.get_by_label("What the images show").fill("a cat")
    page.get_by_label("What the images show").press("Enter")
    expect(page.get_by_text("no text tower here").first).to_be_visible()
