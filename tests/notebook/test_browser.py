"""The widgets' own pages in a real browser, fed by the real widgets in Python."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import morelli
from morelli.atlas import Atlas
from morelli.notebook import OverviewWidget
from tests.browser import running_chromium
from tests.notebook.kernel import Kernel
from tests.notebook.test_check import file, judging  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOST = Path(__file__).parent / "host.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium of `tests.browser`."""
    with running_chromium() as one:
        yield one


@pytest.fixture
def put(browser: Browser, kernel: Kernel) -> Iterator[Callable[..., Page]]:
    """Put a widget into the page, its messages going to and from the widget in Python."""
    errors: list[str] = []
    asked: list[str] = []
    pages = []

    def start(widget: Any, *, night: bool = False) -> Page:
        page = browser.new_page(viewport={"width": 1180, "height": 760})
        page.set_default_timeout(30_000)
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))

        def message(content: dict[str, Any]) -> list[dict[str, Any]]:
            kernel.say(widget, content)
            return kernel.drain()

        page.expose_function("kernel", message)
        page.goto(HOST.as_uri())
        if night:
            page.evaluate("document.body.className = 'night'")
        page.evaluate("messages => host.start(messages)", kernel.drain())
        return page

    yield start
    for page in pages:
        page.close()
    assert errors == []
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []


def picture(page: Page, name: str) -> None:
    """Keep a screenshot where MORELLI_SCREENSHOTS says, to be looked at."""
    folder = os.environ.get("MORELLI_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"notebook-{name}.png", full_page=True)


@pytest.mark.usefixtures("built_views")
def test_the_overview_is_the_app_s_and_its_selection_is_shared(
    put: Callable[..., Page], kernel: Kernel, atlas: Atlas
) -> None:
    from playwright.sync_api import expect

    widget = morelli.show(atlas)
    assert isinstance(widget, OverviewWidget)
    page = put(widget)
    app = page.frame_locator("iframe")
    tiles = app.locator(".pane.overview .map")
    expect(tiles).to_have_attribute("data-settled", "true")
    expect(app.locator(".summary")).to_contain_text("120 images")
    expect(app.locator(".pane.images img").first).to_have_attribute("src", re.compile("^data:image/jpeg"))
    picture(page, "overview")

    # A rectangle over the left half selects what lies there, for both.
    app.get_by_role("button", name="Rectangle", exact=True).click()
    box = tiles.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 2, steps=5)
    page.mouse.up()
    expect(app.locator(".summary")).to_contain_text("of 120 images")
    rows = widget.selected_rows
    assert 0 < len(rows) < 120
    expect(app.locator(".summary")).to_contain_text(f"{len(rows)} of 120 images")
    picture(page, "overview-selected")

    # One image with its map, as the app shows it; pictures come by the kernel's messages.
    app.locator(".pane.images .tile").first.click()
    dialog = app.get_by_role("dialog")
    ground = dialog.locator("img.ground")
    expect(ground).to_have_attribute("src", re.compile("^blob:"))
    assert ground.evaluate("one => one.decode().then(() => one.naturalWidth)") > 0
    expect(dialog.locator("img.map").first).to_have_attribute("src", re.compile("^blob:"))
    picture(page, "overview-image")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)

    # Python selects and colours, the page follows; what is undone on the page is undone in Python.
    widget.selection = {"and": [{"column": "label", "in": ["real"]}]}
    widget.colour = "label"
    page.evaluate("messages => host.take(messages)", kernel.drain())
    expect(app.locator(".summary")).to_contain_text("60 of 120 images")
    expect(app.get_by_label("Colour by")).to_have_value("label")
    widget.select_rows([3, 5, 8])
    page.evaluate("messages => host.take(messages)", kernel.drain())
    expect(app.locator(".summary")).to_contain_text("3 of 120 images")
    app.get_by_role("button", name="Undo", exact=True).click()
    expect(app.locator(".summary")).to_contain_text("60 of 120 images")
    assert len(widget.selected_rows) == 60 and page.evaluate("location.hash") == ""
    widget.clear()
    page.evaluate("messages => host.take(messages)", kernel.drain())
    expect(app.locator(".summary")).to_contain_text("120 images")

    # A cell that is moved loads its frame again: the views are there again, with the same selection.
    widget.select_rows([3, 5, 8])
    page.evaluate("messages => host.take(messages)", kernel.drain())
    page.evaluate("cell => document.body.prepend(document.querySelector(cell))", "#cell")
    expect(app.locator(".summary")).to_contain_text("3 of 120 images")
    widget.clear()
    page.evaluate("messages => host.take(messages)", kernel.drain())
    expect(app.locator(".summary")).not_to_contain_text("of 120 images")

    page.evaluate("host.stop()")
    assert page.evaluate("host.listeners()") == 0


def test_the_check_panel_shows_what_each_dimension_sees(
    put: Callable[..., Page],
    kernel: Kernel,
    judging: dict[str, Any],  # noqa: F811
    file: Path,  # noqa: F811
) -> None:
    from playwright.sync_api import expect

    widget = morelli.show(file, **judging)
    page = put(widget)
    panel = page.get_by_role("region", name=f"Verdict on {file.name}")
    canvas = panel.locator(".stage canvas")
    expect(canvas).to_have_attribute("data-ready", "true")
    words = {
        "ai": "Likely generated by a model",
        "real": "Likely a real picture",
        "inconclusive": "Inconclusive",
    }
    expect(panel.get_by_role("heading")).to_have_text(words.get(widget.verdict, "Unlike anything known"))
    expect(panel).to_contain_text(widget.case["facts"]["sha256"])
    before = canvas.evaluate("one => one.toDataURL()")
    picture(page, "check")
    decided = panel.get_by_role("button", name="sum: the logit that decided")
    expect(decided).to_have_attribute("aria-pressed", "true")
    why = panel.get_by_role("list", name="Why").locator(".amount")
    *parts, total = [float(text.replace("−", "-")) for text in why.all_inner_texts()]
    assert total == round(widget.case["logit"], 2) and abs(sum(parts) - total) < 0.01 * len(parts)
    dimensions = panel.get_by_role("list", name="Dimensions").locator("button.name")
    dimensions.first.click()
    expect(dimensions.first).to_have_attribute("aria-pressed", "true")
    expect(decided).to_have_attribute("aria-pressed", "false")
    page.wait_for_function("before => document.querySelector('canvas').toDataURL() !== before", arg=before)
    heaviest = int(np.argmax(np.abs(widget.case["distilled"]["impacts"])))
    assert widget.dimension == str(heaviest)  # Python knows which
    widget.dimension = "logit"
    page.evaluate("messages => host.take(messages)", kernel.drain())
    expect(panel.get_by_role("button", name="sum of this reader")).to_have_attribute("aria-pressed", "true")


@pytest.mark.usefixtures("built_views")
def test_hostile_names_stay_text(
    put: Callable[..., Page],
    kernel: Kernel,
    judging: dict[str, Any],  # noqa: F811
    file: Path,  # noqa: F811
    planted_atlas_dir: Path,
    tmp_path: Path,
) -> None:
    from playwright.sync_api import expect

    script = "<img src=x onerror=document.title='ran'>"
    own = shutil.copytree(planted_atlas_dir, tmp_path / "own.atlas")
    opened = Atlas.open(own)
    opened.edit_dimension(0, {"name": script})
    page = put(morelli.show(opened))
    app = page.frame_locator("iframe")
    expect(app.locator(".pane.dimensions")).to_contain_text(script)
    assert app.locator("img[src=x]").count() == 0
    assert {frame.title() for frame in page.frames} == {"A notebook in small", "Morelli"}

    hostile = os.fsencode(tmp_path) + b"/" + script.encode() + b"\x1b[2J\xe2\x80\xae\xff.png"
    Path(os.fsdecode(hostile)).write_bytes(file.read_bytes())
    widget = morelli.show(Path(os.fsdecode(hostile)), **judging)
    page = put(widget)
    panel = page.get_by_role("region", name="Verdict on")
    expect(panel.locator(".facts")).to_contain_text(script)
    shown = page.locator(".morelli").inner_text()
    assert page.locator("img[src=x]").count() == 0 and page.title() != "ran"
    for text in (shown, repr(widget)):
        assert not {"\x1b", "\u202e", "\udcff"} & set(text)


def test_the_check_panel_follows_the_page_into_the_dark_and_back(
    put: Callable[..., Page],
    judging: dict[str, Any],  # noqa: F811
    file: Path,  # noqa: F811
) -> None:
    from playwright.sync_api import expect

    page = put(morelli.show(file, **judging), night=True)
    expect(page.locator(".morelli")).to_have_class("morelli dark")
    picture(page, "check-dark")
    page.evaluate("document.body.className = ''")
    expect(page.locator(".morelli")).to_have_class("morelli")
    page.evaluate("document.body.className = 'night'")
    expect(page.locator(".morelli")).to_have_class("morelli dark")


@pytest.mark.usefixtures("built_views")
def test_the_overview_is_dark_where_the_page_is(put: Callable[..., Page], atlas: Atlas) -> None:
    from playwright.sync_api import expect

    page = put(morelli.show(atlas), night=True)
    app = page.frame_locator("iframe")
    expect(app.locator(".pane.overview .map")).to_have_attribute("data-settled", "true")
    expect(app.locator("html")).to_have_attribute("data-theme", "dark")
    picture(page, "overview-dark")
    page.evaluate("document.body.className = ''")
    expect(app.locator("html")).to_have_attribute("data-theme", "light")
