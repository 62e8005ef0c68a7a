"""Makes the gallery's pictures: runs its pages on the small desk and photographs what they write.

python -m tests.documentation.pictures docs/images
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.browser import running_chromium
from tests.documentation.desk import make_desk
from tests.documentation.pages import blocks
from tests.documentation.shell import lines_of, run_line
from tests.wheel_photos import COLOUR, GREY, load_photos

PAGES = ("newsroom", "contest", "before-training", "new-generator", "other-detector")
SEEN = {"newsroom": "case.html", "audit": "audit/audit.html", "compare": "ours/report.html"}
COPIED = {"contest": "contest.png", "explanation": "sdxl/explanation.png"}


def make(into: Path) -> None:
    """Write gallery-NAME.png for every picture of the gallery into `into`."""
    into = into.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        desk = make_desk(Path(scratch) / "work", [*load_photos(COLOUR), *load_photos(GREY)])
        done: set[str] = set()
        with contextlib.chdir(desk):
            for page in ("docs/first-hour.md", *(f"docs/gallery/{name}.md" for name in PAGES)):
                for block in blocks(page):
                    if block.language == "python":
                        exec(compile(block.text, page, "exec"), {"__name__": "page"})
                    lines = lines_of(block.text) if block.language == "sh" and not block.excused else []
                    for line in (line for line in lines if line not in done):
                        done.add(line)
                        if not line.startswith("morelli serve"):
                            assert run_line(line, desk.parent / "home").code == 0, line
        for name, file in COPIED.items():
            with Image.open(desk / file) as image:
                small(image.convert("RGB")).save(into / f"gallery-{name}.png", optimize=True)
        with running_chromium() as browser:
            page = browser.new_page(viewport={"width": 1000, "height": 760})
            for name, file in SEEN.items():
                page.goto((desk / file).as_uri())
                page.screenshot(path=into / f"gallery-{name}.png")
                with Image.open(into / f"gallery-{name}.png") as image:
                    small(image.convert("RGB")).save(into / f"gallery-{name}.png", optimize=True)


def small(image: Image.Image) -> Image.Image:
    """At most 1,000 pixels wide, in 128 colours."""
    image.thumbnail((1000, 2000))
    return image.quantize(128)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
