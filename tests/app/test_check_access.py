"""Check for everybody: by keyboard alone, read aloud, in both themes, on a narrow screen."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.app.test_check import bring, gauge, home, verdict, what_if
from tests.server.running import Running

pytestmark = pytest.mark.encoder
Open = Callable[..., Page]
AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"


def violations(page: Page) -> list[str]:
    """What axe finds of serious or critical impact, as `rule: element`."""
    if not AXE.is_file():
        pytest.skip("needs axe-core: run `npm ci` in web/")
    page.evaluate(AXE.read_text())
    # Colours that are still changing are of neither theme and of neither state.
    page.wait_for_function("() => document.getAnimations().every((one) => !(one instanceof CSSTransition))")
    # Without the lists of what passed, which nobody reads, axe needs a fraction of the time.
    found: dict[str, Any] = page.evaluate("() => axe.run({ resultTypes: ['violations'] })")
    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    judging: Running, open_page: Open, pictures: dict[str, Path], scheme: str
) -> None:
    page = open_page(home(judging), color_scheme=scheme)
    expect(page.get_by_role("button", name="Choose pictures")).to_be_visible()
    assert violations(page) == []
    bring(page, pictures["coffee"])
    expect(verdict(page)).to_be_visible()
    what_if(page).get_by_label("Blur").fill("2")
    page.get_by_text("Versions and hashes").click()
    expect(gauge(page)).to_have_count(2)
    expect(page.locator("canvas")).to_be_visible()
    assert violations(page) == []


def test_everything_can_be_done_by_keyboard(
    judging: Running, open_page: Open, pictures: dict[str, Path]
) -> None:
    page = open_page(home(judging))
    # A key pressed before the page has its content goes past it, as for any reader.
    expect(page.get_by_role("button", name="Choose pictures")).to_be_visible()
    keyboard = page.keyboard
    keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keyboard.press("Enter")
    keyboard.press("Tab")
    expect(page.get_by_role("button", name="Choose pictures")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        keyboard.press("Enter")
    chooser.value.set_files(pictures["coffee"])
    expect(verdict(page)).to_be_focused()

    reach(page, "button", re.compile("50 %"))
    keyboard.press("Space")
    reach(page, "slider", re.compile("Generated, of a hundred"))
    keyboard.press("Home")
    expect(page.get_by_role("button", name="0.1 %")).to_be_visible()
    reach(page, "switch", re.compile("Count"))
    keyboard.press("Space")
    reach(page, "slider", re.compile("Blur"))
    keyboard.press("End")
    expect(gauge(page)).to_have_count(2)
    reach(page, "link", re.compile("Report"))
    with page.expect_download():
        keyboard.press("Enter")


def test_focus_is_seen_and_motion_can_be_reduced(judging: Running, open_page: Open) -> None:
    page = open_page(home(judging), reduced_motion="reduce")
    expect(page.get_by_role("button", name="Choose pictures")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    style = page.evaluate(
        """() => {
          const style = getComputedStyle(document.activeElement);
          return [style.outlineStyle, style.outlineWidth];
        }"""
    )
    assert style == ["solid", "2px"]
    button = page.get_by_role("button", name="Choose pictures")
    assert button.evaluate("(element) => getComputedStyle(element).transitionProperty") == "none"


def test_a_chosen_theme_is_kept_and_a_narrow_screen_needs_no_sideways_scrolling(
    judging: Running, open_page: Open, pictures: dict[str, Path]
) -> None:
    page = open_page(home(judging), color_scheme="light", viewport={"width": 400, "height": 800})
    paper = "() => getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(paper)
    switch = page.get_by_role("button", name=re.compile("^Colours"))
    switch.click()
    switch.click()
    dark = page.evaluate(paper)
    assert dark != light
    page.reload()
    assert page.evaluate(paper) == dark
    bring(page, pictures["coffee"])
    expect(verdict(page)).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 400


def test_the_first_view_is_small(built_app: Path) -> None:
    import gzip

    index = (built_app / "index.html").read_text()
    assert "http" not in index
    assert not re.search(r"<script(?![^>]*src=)", index), "an inline script would need a wider content policy"
    entry = re.findall(r'src="\./(assets/[^"]+\.js)"', index)
    check = [path.relative_to(built_app).as_posix() for path in built_app.glob("assets/Check-*.js")]
    shared = [
        match
        for name in (*entry, *check)
        for match in re.findall(r'"\./([\w.-]+\.js)"', (built_app / name).read_text())
        if not match.startswith(("Explore", "Evaluate"))
    ]
    files = {*entry, *check, *(f"assets/{name}" for name in shared)}
    assert sum(len(gzip.compress((built_app / name).read_bytes())) for name in files) <= 400_000


def reach(page: Page, role: Any, name: re.Pattern[str]) -> None:
    """Press Tab until an element of that role and name has the focus."""
    wanted = page.get_by_role(role, name=name)
    handles = [wanted.nth(i) for i in range(wanted.count())]
    for _ in range(80):
        page.keyboard.press("Tab")
        if any(one.evaluate("(element) => element === document.activeElement") for one in handles):
            return
    raise AssertionError(f"Tab does not reach {name.pattern}")
