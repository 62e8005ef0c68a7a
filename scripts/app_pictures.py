"""Take the pictures of the app that the documentation shows.

    python scripts/app_pictures.py docs/images

Needs the built app, Chromium (`python -m tests.browser`), Playwright and the wheels that the demo fetches.
What they show may be shown: the demo's photographs, drawings by people and images by recent generators, in
crops, so that there are enough for an atlas. Crops of one image stay together wherever something is fitted.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.browser import running_chromium

CROPS, SIDE, LONGEST = 9, 320, 768
"""Crops of each image, their side, and the longest side of what they are taken from, in pixels."""
SIZE = {"width": 1440, "height": 900}
CHECKED = "fake/Krea 3.webp"


def morelli(*words: str | Path) -> None:
    """Run the program; nothing is asked of the network."""
    subprocess.run([sys.executable, "-m", "morelli", *map(str, words), "--offline", "--quiet"], check=True)


def build_atlas(demo: Path, folder: Path) -> Path:
    """An atlas of `CROPS` crops of each of the demo's images."""
    rng = np.random.default_rng(0)
    for path in sorted(demo.glob("*/*.*")):
        with Image.open(path) as image:
            picture = image.convert("RGB")
        picture.thumbnail((LONGEST, LONGEST))
        if min(picture.size) < SIDE:
            picture = picture.resize([round(size * SIDE / min(picture.size)) for size in picture.size])
        place = folder / "collection" / path.parent.name / path.stem
        place.mkdir(parents=True)
        for index in range(CROPS):
            left, top = (int(rng.integers(0, extent - SIDE + 1)) for extent in picture.size)
            crop = picture.crop((left, top, left + SIDE, top + SIDE))
            crop.save(place / f"{index:02}.jpg", quality=90)
    table, atlas = folder / "features.lance", folder / "demo.atlas"
    kinds = ("--kinds", "final,layer:11,tokens:11")
    morelli("extract", folder / "collection", "-o", table, "--label-from", "folders", *kinds)
    morelli("atlas", "build", table, "-o", atlas)
    return atlas


@contextmanager
def serving(atlas: Path) -> Iterator[str]:
    """Address of a server of the atlas that can judge."""
    words = [sys.executable, "-m", "morelli", "serve", "--offline", "--port", "0", "--atlas", str(atlas)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        try:
            address = None
            for line in server.stdout:
                address = address or ((found := re.search(r"http://\S+", line)) and found[0])
                if "can be judged" in line:
                    break
            else:
                sys.exit("The server did not start, or has no encoder: morelli encoders pull clip-vit-b16")
            assert address is not None
            yield address
        finally:
            server.terminate()


def shrunk(path: Path) -> None:
    """Write a picture again with a palette: a third of the bytes, and no difference to the eye."""
    with Image.open(path) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def address(home: str, place: str, **parameters: object) -> str:
    """Address of a view; what is no text is written as JSON."""
    texts = {name: one if isinstance(one, str) else json.dumps(one) for name, one in parameters.items()}
    return f"{home}#/{place}" + ("?" + urlencode(texts) if texts else "")


def outcome(*names: str) -> dict[str, object]:
    """The selection of images with these outcomes."""
    return {"and": [{"column": "error", "in": list(names)}]}


def main() -> None:
    """Fetch, build, serve, look, save."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    scripts = Path(__file__).parent
    demo = scripts.parent / "demo" / "images"
    subprocess.run([sys.executable, scripts / "demo_images.py", demo], check=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(build_atlas(demo, Path(folder))) as home,
        running_chromium() as browser,
    ):
        page = browser.new_page(viewport=SIZE, color_scheme="light")  # type: ignore[arg-type]
        page.set_default_timeout(120_000)

        def keep(name: str) -> None:
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(700)  # pictures fade in and the camera comes to rest
            page.screenshot(path=out / name)
            shrunk(out / name)

        def explore(name: str, **parameters: object) -> None:
            page.goto("about:blank")
            page.goto(address(home, "explore/demo", **parameters))
            page.locator(".workspace[aria-busy=false]").wait_for()
            if "pane" not in parameters:
                page.locator("[data-settled=true]").wait_for()
            keep(name)

        page.goto(home)
        page.locator("input[type=file]").first.set_input_files(demo / CHECKED)
        page.locator("#verdict").wait_for()
        keep("app-check.png")
        explore("app-explore.png", sel={"and": [{"column": "label", "in": ["fake"]}]}, sort="-uncertainty")
        explore("app-missed.png", sel=outcome("fn"), by="error")
        explore("app-dimensions.png", pane="dimensions")
        one = {"and": [{"column": "generator", "in": ["Ideogram 4.5"]}]}
        explore("app-patterns.png", pane="patterns", sel=one)
        explore("app-duplicates.png", copies="1")
        page.goto(address(home, "evaluate", t="0.6", base="0.2"))
        page.locator("main").get_by_text("flagged pictures").wait_for()
        keep("app-evaluate.png")


if __name__ == "__main__":
    main()
