"""A person's hand: every action counts, and what the page did after it is timed."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Error

from app_parts.browser import FRAMES, recorded_frames

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Locator, Page

QUIET = 2500
# When the last action ended, and each time at which what is watched read differently, on the page's clock.
WATCH = """(reading) => {
  const read = new Function(`return ${reading}`);
  window.watched = [];
  window.acted = performance.now();
  window.watching = true;
  if (!window.listens) {
    const note = () => { window.acted = performance.now(); window.watched.length = 0; };
    for (const kind of ['pointerup', 'mouseup', 'keydown', 'change']) addEventListener(kind, note, true);
    window.listens = true;
  }
  let last = read();
  const look = () => {
    const now = read();
    if (now !== last) { last = now; window.watched.push(performance.now()); }
    if (window.watching) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
WAITED = """(quiet) => new Promise((done) => {
  const start = performance.now();
  const look = () => {
    const now = performance.now(), last = window.watched.at(-1) ?? window.acted;
    if ((window.watched.length && now - last > quiet) || now - start > 60000) {
      window.watching = false;
      done(window.watched.length ? last - window.acted : -1);
    } else requestAnimationFrame(look);
  };
  look();
})"""


@dataclass(frozen=True)
class Waited:
    """Milliseconds from the end of an action to the last change of the count, and of the screen."""

    count: float
    screen: float


class Screen:
    """When the picture of a page changed, as its compositor says: the same measure whatever draws the page.

    Frames come small and only where something was painted; one that looks like the one before is no change.
    """

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._last = ""
        self.changes: list[float] = []
        self._session.on("Page.screencastFrame", self._frame)
        self._session.send(
            "Page.startScreencast",
            {"format": "jpeg", "quality": 40, "maxWidth": 960, "maxHeight": 540, "everyNthFrame": 1},
        )

    def _frame(self, frame: dict[str, Any]) -> None:
        look = hashlib.sha256(frame["data"].encode()).hexdigest()
        if look != self._last:
            self._last = look
            self.changes.append(1000 * float(frame["metadata"]["timestamp"]))
        with contextlib.suppress(Error):  # the page may be closed by now
            self._session.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

    def stop(self) -> None:
        self._session.send("Page.stopScreencast")
        self._session.detach()


class Hand:
    """Counts what a person does: a click, a drag, a key, a text typed, are one action each.

    Choosing from a closed list is two: opening it and choosing. Moving the pointer and scrolling are none.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.actions = 0
        self._screen: Screen | None = None

    def click(
        self, what: Locator, position: tuple[float, float] | None = None, *, force: bool = False
    ) -> None:
        """Click; with `force` also what calls itself disabled, where it answers a person all the same."""
        self.actions += 1
        at = None if position is None else {"x": position[0], "y": position[1]}
        what.click(position=at, force=force)  # type: ignore[arg-type]

    def choose(self, what: Locator, value: str) -> None:
        self.actions += 2
        what.select_option(value)

    def press(self, key: str) -> None:
        self.actions += 1
        self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.actions += 1
        self.page.keyboard.type(text)

    def drag(
        self, start: tuple[float, float], end: tuple[float, float], key: str | None = None, steps: int = 12
    ) -> None:
        """Press, move in `steps` and let go; a key that is held meanwhile belongs to the drag."""
        self.actions += 1
        if key:
            self.page.keyboard.down(key)
        self.page.mouse.move(*start)
        self.page.mouse.down()
        for step in range(1, steps + 1):
            x, y = (a + (b - a) * step / steps for a, b in zip(start, end, strict=True))
            self.page.mouse.move(x, y)
        self.page.mouse.up()
        if key:
            self.page.keyboard.up(key)

    def watch(self, reading: str) -> None:
        """Begin to watch a JavaScript expression and the screen; the next actions are timed by `waited`."""
        if self._screen is None:
            self._screen = Screen(self.page)
        self.page.evaluate(WATCH, reading)

    def waited(self) -> Waited:
        """From the end of the last action to the last change of what is watched, and of the screen.

        Raises:
            RuntimeError: nothing changed within a minute.
        """
        assert self._screen is not None
        count = float(self.page.evaluate(WAITED, QUIET))
        if count < 0:
            raise RuntimeError("the view did not change within a minute")
        # The count may be right long before the rest: until nothing was painted for as long.
        seen = -1
        while len(self._screen.changes) != seen:
            seen = len(self._screen.changes)
            self.page.wait_for_timeout(QUIET)
        self._screen.stop()
        acted = float(self.page.evaluate("() => performance.timeOrigin + window.acted"))
        after = [at - acted for at in self._screen.changes if at > acted]
        self._screen = None
        return Waited(count, max(after, default=count))


def pan(page: Page, box: dict[str, float], seconds: float = 4) -> list[float]:
    """Milliseconds between frames while the map is zoomed in by five notches and dragged about."""
    x, y = box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5
    page.mouse.move(x, y)
    for _ in range(5):
        page.mouse.wheel(0, -120)
        page.wait_for_timeout(60)
    page.wait_for_timeout(1500)
    page.evaluate(FRAMES)
    page.mouse.down()
    for step in range(int(seconds * 1000 / 16)):
        at = abs((step % 40) - 20)
        page.mouse.move(x + 5 * (at - 10), y + 3 * (at - 10))
        page.wait_for_timeout(16)
    page.mouse.up()
    return recorded_frames(page)
