"""Take the pictures of the app that the documentation shows.

    python scripts/app_pictures.py docs/images

Needs the built app, Chromium (`python -m tests.browser`) and Playwright. What they show may be shown:
photographs out of the scikit-image and scikit-learn wheels, and a collection of their crops, half of which
carry the trace of a crude upsampler. It stands for generated images; its figures say nothing about any.
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
from urllib.parse import quote

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.browser import running_chromium
from tests.labelled_collection import gridded
from tests.wheel_photos import load_photos, photo_paths

CROPS = 14
FAINT = 0.4
"""Share of the grid that is laid over a crop: as much as leaves some of them in doubt."""
SIDE = 256
SIZE = {"width": 1440, "height": 900}
CHECKED = "coffee.png"
FAKES = {"and": [{"column": "label", "in": ["fake"]}]}


def morelli(*words: str | Path) -> None:
    """Run the program; nothing is asked of the network."""
    subprocess.run([sys.executable, "-m", "morelli", *map(str, words), "--offline", "--quiet"], check=True)


def build_atlas(folder: Path) -> Path:
    """An atlas of `CROPS` crops of each photograph, and of the same crops with the grid."""
    rng = np.random.default_rng(0)
    for name, photo in load_photos():
        for index in range(CROPS):
            left, top = (int(rng.integers(0, extent - SIDE)) for extent in photo.size)
            crop = photo.crop((left, top, left + SIDE, top + SIDE))
            trace = Image.blend(crop, gridded(crop), FAINT)
            for place, picture in ((f"real/{name}", crop), (f"fake/gridded-{name}", trace)):
                (folder / "collection" / place).mkdir(parents=True, exist_ok=True)
                picture.save(folder / "collection" / place / f"{index:02}.png")
    table, atlas = folder / "features.lance", folder / "photographs.atlas"
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
    """Write a picture anew with a palette: a third of the bytes, and no difference to the eye."""
    with Image.open(path) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Build, serve, look, save."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(build_atlas(Path(folder))) as home,
        running_chromium() as browser,
    ):
        page = browser.new_page(viewport=SIZE, color_scheme="light")  # type: ignore[arg-type]
        page.set_default_timeout(120_000)

        def keep(name: str) -> None:
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(500)  # pictures fade in and the camera comes to rest
            page.screenshot(path=out / name)
            shrunk(out / name)

        page.goto(home)
        (photo,) = [path for path in photo_paths() if path.name == CHECKED]
        page.locator("input[type=file]").set_input_files(photo)
        page.locator("#verdict").wait_for()
        keep("app-check.png")

        page.goto(f"{home}#/explore/photographs?sel={quote(json.dumps(FAKES))}&sort=-uncertainty")
        page.locator(".workspace[aria-busy=false] [data-settled=true]").wait_for()
        keep("app-explore.png")

        page.goto(f"{home}#/evaluate?t=0.6&base=0.2")
        page.locator("main").get_by_text("flagged pictures").wait_for()
        keep("app-evaluate.png")


if __name__ == "__main__":
    main()
