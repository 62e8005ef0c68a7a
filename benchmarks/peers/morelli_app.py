"""Ours: `morelli serve --atlas`, in the same hands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from app_parts.browser import serve
from peers.app import App
from peers.hand import Hand

if TYPE_CHECKING:
    from playwright.sync_api import Page

IDLE = ".workspace[aria-busy=false] .map[data-settled=true]"
SHOWN = "(document.querySelector('.summary .n')?.textContent ?? '')"
LOADED = (
    "() => [...document.querySelectorAll('.pane.images img')]"
    ".filter((one) => one.complete && one.naturalWidth > 1).length >= 4"
)


class Morelli(App):
    def install(self) -> None:
        from morelli import __version__

        self.name, self.reading = f"Morelli {__version__}", SHOWN

    def shown(self, page: Page) -> int:
        text = str(page.evaluate(f"() => {SHOWN}")).split("of")[0]
        return int("".join(c for c in text if c.isdigit()) or -1)

    def start(self) -> None:
        process, home = serve(self.folder / "board.atlas", "--root", str(self.folder / "pictures"))
        self.processes.append(process)
        self.home = f"{home}#/explore/board"

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
            process.wait(timeout=30)
        self.processes.clear()

    def ready(self, page: Page) -> None:
        page.locator(IDLE).wait_for()
        page.wait_for_function(LOADED)

    def settled(self, page: Page) -> None:
        page.locator(IDLE).wait_for()

    def map_box(self, page: Page) -> dict[str, float]:
        found = page.locator(".map").bounding_box()
        assert found is not None
        return dict(found)

    def open_columns(self, hand: Hand) -> None:
        """The side bar of all columns, which wide windows show from the start."""
        button = hand.page.get_by_role("button", name="Filter", exact=True)
        if button.get_attribute("aria-expanded") != "true":
            hand.click(button)

    def filter_score(self, hand: Hand) -> None:
        page = hand.page
        self.open_columns(hand)
        score = page.locator("svg[data-column=probability]")
        score.scroll_into_view_if_needed()
        box = score.bounding_box()
        assert box is not None
        y = box["y"] + box["height"] / 2
        self.settled(page)
        hand.watch(self.reading)
        hand.drag((box["x"] + box["width"] * 0.3, y), (box["x"] + box["width"] * 0.6, y))

    def only_generated(self, hand: Hand) -> None:
        hand.click(hand.page.locator(".summary").get_by_role("button", name="generated"))
        self.expect(hand.page, self.facts.generated)

    def one_generator(self, hand: Hand) -> None:
        self.open_columns(hand)
        group = hand.page.get_by_role("group", name=re.compile("^generator$", re.IGNORECASE))
        group.locator("li").first.wait_for()
        name = group.locator("label", has_text=self.facts.generator)
        if not name.count():
            hand.click(group.get_by_role("button", name="more"))
        self.settled(hand.page)
        hand.watch(self.reading)
        hand.click(name)
        self.expect(hand.page, self.facts.of_generator)

    def colour(self, hand: Hand) -> None:
        hand.choose(hand.page.get_by_label("Colour by"), "generator")
        self.settled(hand.page)
        hand.page.locator(".legend", has_text="generator").first.wait_for()

    def open_and_next(self, hand: Hand) -> None:
        page = hand.page
        hand.click(page.locator(".pane.images button:has(img)").first)
        picture = page.get_by_role("dialog").locator("img").first
        picture.wait_for()
        before = page.url
        hand.press("ArrowRight")
        page.wait_for_function("(before) => location.href !== before", arg=before)
        picture.wait_for()

    def select_region(self, hand: Hand) -> None:
        box = self.map_box(hand.page)
        hand.drag(
            (box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.4),
            (box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6),
            key="Shift",
        )
        self.settled(hand.page)
        for _ in range(100):
            if 0 < self.shown(hand.page) < self.facts.images:
                break
            hand.page.wait_for_timeout(100)
        assert 0 < self.shown(hand.page) < self.facts.images
        hand.page.wait_for_function(LOADED)

    def tag(self, hand: Hand) -> None:
        page = hand.page
        before = hand.actions
        self.select_region(hand)
        hand.actions = before
        hand.click(page.get_by_role("button", name="Tag", exact=True))
        page.wait_for_function("() => document.activeElement?.placeholder === 'Name of a tag'")
        hand.type("board")
        hand.press("Enter")
        page.locator(".tags strong", has_text="board").first.wait_for()

    def similar(self, hand: Hand) -> None:
        page = hand.page
        hand.click(page.locator(".pane.images button:has(img)").first)
        hand.click(page.get_by_role("dialog").get_by_role("button", name="Find alike"))
        page.get_by_role("button", name="End the search").first.wait_for()
        self.settled(page)

    def wrong(self, hand: Hand) -> None:
        hand.click(hand.page.locator(".summary").get_by_role("button", name="wrong"))
        self.expect(hand.page, self.facts.wrong)
