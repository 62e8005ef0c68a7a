"""What the tests of Explore do with its page."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from playwright.sync_api import Locator, Page

from tests.planted_atlas import NAME
from tests.server.running import Running

Open = Callable[..., Page]
CALLS = itertools.count()


def address(server: Running, **params: Any) -> str:
    """Of the atlas's page; what is no text is written as JSON."""
    pairs = {k: v if isinstance(v, str) else json.dumps(v) for k, v in params.items()}
    query = "&".join(f"{k}={quote(v)}" for k, v in pairs.items())
    return f"http://127.0.0.1:{server.port}/#/explore/{NAME}" + (f"?{query}" if query else "")


def state(page: Page) -> dict[str, str]:
    """The parameters of the page's address."""
    _, _, query = urlsplit(page.url).fragment.partition("?")
    return {name: values[0] for name, values in parse_qs(query).items()}


def spec(page: Page) -> list[dict[str, Any]]:
    """The clauses of the selection that the address carries."""
    found: list[dict[str, Any]] = json.loads(state(page).get("sel", '{"and": []}'))["and"]
    return found


CALM = """call => {
  if (window.calmSince?.call !== call) window.calmSince = { call, looks: 0 };
  const query = new URLSearchParams(location.hash.split("?")[1] ?? "");
  const overview = (query.get("pane") ?? "overview") === "overview";
  const shown = document.querySelector(".workspace")?.ariaBusy === "false"
    && (!overview || document.querySelector("[role=application]")?.dataset.settled === "true");
  window.calmSince.looks = shown ? window.calmSince.looks + 1 : 0;
  return window.calmSince.looks > 1;
}"""


def settled(page: Page) -> Page:
    """Wait until every view shows what the address says, and still does a moment later.

    Asked in the page: `expect` would look again after a second only.
    """
    page.wait_for_function(CALM, arg=next(CALLS), polling=40)
    return page


def view(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def shown_images(page: Page) -> int:
    """How many images the gallery says it has."""
    note = view(page, "Image view").locator("header .note").inner_text()
    return int("".join(c for c in note if c.isdigit()))


def drag(page: Page, points: list[tuple[float, float]], steps: int = 6) -> None:
    """Press at the first of some places of the map (shares of width and height), move over all, release."""
    box = page.get_by_role("application").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=steps)
    page.mouse.up()
