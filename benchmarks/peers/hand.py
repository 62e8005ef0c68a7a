"""A person's hand: every action counts, and what the page did after it is timed inside the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app_parts.browser import FRAMES, recorded_frames

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

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


class Hand:
    """Counts what a person does: a click, a drag, a key, a text typed, are one action each.

    Choosing from a closed list is two: opening it and choosing. Moving the pointer and scrolling are none.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.actions = 0

    def click(self, what: Locator, position: tuple[float, float] | None = None) -> None:
        self.actions += 1
        at = None if position is None else {"x": position[0], "y": position[1]}
        what.click(position=at)  # type: ignore[arg-type]

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
        """Begin to watch a JavaScript expression; the next actions are timed by `waited`."""
        self.page.evaluate(WATCH, reading)

    def waited(self) -> float:
        """Milliseconds from the end of the last action to the last change of what is watched.

        Raises:
            RuntimeError: nothing changed within a minute.
        """
        found = float(self.page.evaluate(WAITED, QUIET))
        if found < 0:
            raise RuntimeError("the view did not change within a minute")
        return found


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
