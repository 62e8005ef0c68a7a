"""Embedding Atlas: its command on a Parquet file with places, neighbours and pictures, in the same hands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from peers.app import App, NotThereError, free_port, make_environment, wait_for
from peers.hand import Hand

if TYPE_CHECKING:
    from playwright.sync_api import Page

# From 0.24 on the map needs WebGPU with 16-bit floats, which Chromium without a graphics card does not have;
# 0.22 is the last that draws it with WebGL as well.
VERSION = "0.22.0"
BLOCK = 512
COUNT = (
    "([...document.querySelectorAll('div')].find((one) => "
    "/^[\\d,]+ \\/ [\\d,]+ points/.test(one.textContent.trim()))?.textContent.trim() ?? '')"
)


class EmbeddingAtlas(App):
    def install(self) -> None:
        self.name, self.reading = f"Embedding Atlas {VERSION}", COUNT
        python = make_environment(self.environment, f"embedding-atlas=={VERSION}")
        self.command = str(python.with_name("embedding-atlas"))

    def prepare(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from morelli.atlas import Atlas

        out = self.folder / "embedding-atlas.parquet"
        if out.is_file():
            return
        table = pq.read_table(self.folder / "rows.parquet").drop_columns(["vector"])
        atlas = Atlas.open(self.folder / "board.atlas")
        pictures: list[bytes] = []
        for start in range(0, len(table), BLOCK):
            found = atlas.thumbnails(list(range(start, min(start + BLOCK, len(table)))))
            pictures += [one or b"" for one in found]
        degree = np.bincount(np.concatenate([one["ids"] for one in table.column("neighbors").to_pylist()]))
        table = table.append_column("importance", pa.array(degree / degree.sum()))
        pq.write_table(table.add_column(0, "image", pa.array(pictures, pa.binary())), out)

    def start(self) -> None:
        port = free_port()
        self.home = f"http://127.0.0.1:{port}/"
        # Given the importance of points it need not compute it from the neighbours at every start.
        columns = ["--image", "image", "--x", "x", "--y", "y", "--neighbors", "neighbors"]
        columns += ["--pagerank", "importance"]
        path = str(self.folder / "embedding-atlas.parquet")
        process = self.run([self.command, path, *columns, "--host", "127.0.0.1", "--port", str(port)])
        wait_for(self.home, process)

    def ready(self, page: Page) -> None:
        """It counts the points, has its map's canvas and the first rows of its table."""
        page.wait_for_function(f"(all) => {COUNT}.startsWith(all)", arg=f"{self.facts.images:,} /")
        page.locator("canvas").first.wait_for()
        page.get_by_text(".jpg").first.wait_for()

    def settled(self, page: Page) -> None:
        """It names regions of the map at first, and answers nothing else until that is done."""
        page.wait_for_timeout(1500)
        page.get_by_text("Generating labels").first.wait_for(state="hidden", timeout=300_000)

    def map_box(self, page: Page) -> dict[str, float]:
        found = page.locator("canvas").first.bounding_box()
        assert found is not None
        return dict(found)

    def bar(self, page: Page, column: str, value: str):  # type: ignore[no-untyped-def]
        """The bar of a value in the chart of a column."""
        title = page.locator("button", has_text=column).filter(has_text=column).first
        chart = title.locator("xpath=ancestor::div[.//select][1]")
        return chart.locator("button", has_text=value).first

    def only_generated(self, hand: Hand) -> None:
        hand.click(self.bar(hand.page, "label", "generated"))
        self.expect(hand.page, self.facts.generated)

    def one_generator(self, hand: Hand) -> None:
        page = hand.page
        # The chart shows the ten most frequent; the rest comes with one click.
        chart = page.locator("button", has_text="generator").first.locator(
            "xpath=ancestor::div[.//select][1]"
        )
        if not chart.locator("button", has_text=self.facts.generator).count():
            hand.click(chart.get_by_text("Up to 100 values"))
        hand.watch(self.reading)
        hand.click(chart.locator("button", has_text=self.facts.generator).first)
        self.expect(page, self.facts.of_generator)

    def wrong(self, hand: Hand) -> None:
        hand.click(self.bar(hand.page, "outcome", "wrong"))
        self.expect(hand.page, self.facts.wrong)

    def filter_score(self, hand: Hand) -> None:
        page = hand.page
        chart = page.locator("button", has_text="score").first.locator("xpath=ancestor::div[.//select][1]")
        chart.scroll_into_view_if_needed()
        page.wait_for_timeout(800)
        box = chart.bounding_box()
        assert box is not None
        y = box["y"] + box["height"] * 0.5
        hand.watch(self.reading)
        hand.drag((box["x"] + box["width"] * 0.4, y), (box["x"] + box["width"] * 0.7, y))

    def colour(self, hand: Hand) -> None:
        # Its values are JSON.
        hand.choose(hand.page.locator("select").filter(has_text="path (").first, '"generator"')
        hand.page.wait_for_timeout(3000)

    def open_and_next(self, hand: Hand) -> None:
        raise NotThereError("pictures stay small")

    def select_region(self, hand: Hand) -> None:
        box = self.map_box(hand.page)
        hand.drag(
            (box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.4),
            (box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6),
            key="Shift",
        )
        hand.page.wait_for_function(
            f"(all) => {COUNT} !== '' && !{COUNT}.startsWith(all)", arg=f"{self.facts.images:,} /"
        )

    def tag(self, hand: Hand) -> None:
        raise NotThereError("a selection can be exported only")

    def similar(self, hand: Hand) -> None:
        page = hand.page
        hand.click(page.locator("td, tr").filter(has_text="generator-").first)
        hand.click(page.get_by_text("Nearest Neighbors").first)
        page.get_by_text("Neighbors of").first.wait_for()
