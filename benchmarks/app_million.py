"""The app on a million images: first overview, pan and zoom (glyphs, points, density), a selection, memory.

    python benchmarks/app_million.py [--images 1000000] [--folder /tmp/morelli-million] [--rounds 5]

Rows are synthetic: forty overlapping crowds in the space of the distilled values, laid out by PCA, with
labels, scores and generators to match; prototypes are found on a sample of them. Thumbnails are crops of
real photographs (out of the scikit-image and scikit-learn wheels), repeated. The atlas is made once and kept
in `--folder`. Then `morelli serve` shows it to headless Chromium, which draws in software. Each figure is
printed with its goal; times are the browser's own clock. Load on the machine lengthens all of them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import re
import shutil
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app_parts.browser import (
    FLAGS,
    FRAMES,
    LOCAL,
    ROOT,
    chromium_path,
    memory_of,
    recorded_frames,
    serve,
    wait_until_warm,
)
from app_parts.made_atlas import make_atlas

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STATIC = ROOT / "src" / "morelli" / "server" / "static"
# Milliseconds since the navigation began, once the overview has everything on the screen.
WATCH = """() => new Promise((done) => {
  const look = () => {
    const map = document.querySelector('.map');
    if (map?.dataset.settled === 'true') done(performance.now());
    else requestAnimationFrame(look);
  };
  look();
})"""
DRAWN = """(drawn) => new Promise((done) => {
  const start = performance.now();
  location.hash = `#/explore/million?draw=${drawn}`;
  const look = () => {
    const map = document.querySelector('.map');
    if (map.dataset.drawn === drawn && map.dataset.settled === 'true') done(performance.now() - start);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""
CHANGE = """(hash) => new Promise((done) => {
  const start = performance.now();
  const before = document.querySelector('.workspace').dataset.selection;
  location.hash = hash;
  const look = () => {
    const idle = document.querySelector('.workspace').getAttribute('aria-busy') === 'false';
    const drawn = document.querySelector('.map').dataset.settled === 'true';
    const now = document.querySelector('.workspace').dataset.selection;
    if (idle && drawn && now !== '' && now !== before) done(performance.now() - start);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""


def opened(browser: Browser, address: str) -> tuple[Page, float]:
    """A new page in a fresh context, and milliseconds until its overview was whole."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(address, wait_until="commit")
    return page, float(page.evaluate(WATCH))


def settle(page: Page) -> None:
    page.locator(".workspace[aria-busy=false] .map[data-settled=true]").wait_for()


def pan_and_zoom(page: Page) -> list[float]:
    """Milliseconds between frames while a person zooms in, drags about and zooms out."""
    settle(page)
    page.evaluate(FRAMES)
    page.mouse.move(420, 360)
    for delta in (-120, 120):
        for step in range(45):
            page.mouse.wheel(0, delta)
            page.wait_for_timeout(16)
            if delta < 0 and step % 15 == 14:
                page.mouse.down()
                for at in range(30):
                    page.mouse.move(420 + 6 * (at % 15), 360 + 4 * (at % 15))
                    page.wait_for_timeout(16)
                page.mouse.up()
    return recorded_frames(page)


def selections(home: str, n: int, rounds: int) -> list[tuple[str, int]]:
    """Rectangles that hold about a fifth of the images, as addresses, with their counts."""
    found = []
    for index in range(rounds):
        x0, low, high = 0.05 + 0.05 * index, 0.05 + 0.05 * index, 1.0
        for _ in range(12):
            middle = (low + high) / 2
            spec = {"and": [{"rect": [x0, 0.1, middle, 0.9]}]}
            body = json.dumps(spec).encode()
            request = urllib.request.Request(
                f"{home}api/v1/atlases/million/selections", body, {"Content-Type": "application/json"}
            )
            with LOCAL.open(request, timeout=60) as answer:
                count = int(json.load(answer)["count"])
            low, high = (middle, high) if count < 0.2 * n else (low, middle)
        found.append((json.dumps({"and": [{"rect": [x0, 0.1, middle + 1e-7, 0.9]}]}), count))
    return found


def javascript(home: str) -> int:
    """Bytes, gzipped, of the scripts that opening the app loads."""
    entry = re.findall(r'src="\./(assets/[^"]+\.js)"', (STATIC / "index.html").read_text(encoding="utf-8"))
    files_found = {*entry, *(p.relative_to(STATIC).as_posix() for p in STATIC.glob("assets/Explore-*.js"))}
    more = list(files_found)
    while more:
        text = (STATIC / more.pop()).read_text(encoding="utf-8")
        for name in re.findall(r'(?:from|import)\s*"\./([\w.-]+\.js)"', text):
            if f"assets/{name}" not in files_found:
                files_found.add(f"assets/{name}")
                more.append(f"assets/{name}")
    return sum(len(gzip.compress((STATIC / name).read_bytes())) for name in files_found)


def told(name: str, value: float, goal: float, unit: str) -> None:
    missed = "" if value <= goal else "  MISSED"
    print(f"  {name:<58} {value:>9,.2f} {unit:<3} goal ≤ {goal:,.0f} {unit}{missed}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/morelli-million"))
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    atlas = args.folder / str(args.images) / "million.atlas"
    print(
        f"{args.images:,} images; {os.cpu_count()} cores, {platform.processor() or platform.machine()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    if not (atlas / "atlas.json").is_file():
        shutil.rmtree(atlas, ignore_errors=True)
        start = time.perf_counter()
        make_atlas(atlas, args.images)
        print(f"  made the atlas in {time.perf_counter() - start:,.0f} s")
    from playwright.sync_api import sync_playwright

    chromium = chromium_path()
    server, home = serve(atlas)
    try:
        ready = wait_until_warm(home, "million")
        print(f"  the server said what the atlas is after {ready:,.1f} s")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            address = f"{home}#/explore/million"
            page, first = opened(browser, address)
            told("first overview while the server still opens the atlas", first / 1e3, 2, "s")
            settle(page)
            page.context.close()
            page, again = opened(browser, address)
            told("first overview, in a new browser", again / 1e3, 2, "s")
            times = pan_and_zoom(page)
            told("pan and zoom, 95th percentile of frame times", float(np.percentile(times, 95)), 33, "ms")
            print(f"    median {np.median(times):.1f} ms, longest {max(times):.0f} ms, {len(times)} frames")
            for drawn in ("points", "density"):
                told(f"{drawn} drawn in place of glyphs", float(page.evaluate(DRAWN, drawn)) / 1e3, 2, "s")
                times = pan_and_zoom(page)
                told(f"  pan and zoom of {drawn}, 95th percentile", float(np.percentile(times, 95)), 33, "ms")
                print(
                    f"    median {np.median(times):.1f} ms, longest {max(times):.0f} ms, {len(times)} frames"
                )
            page.evaluate("() => { location.hash = '#/explore/million'; }")
            settle(page)
            waits = []
            for spec, count in selections(home, args.images, args.rounds):
                waits.append(float(page.evaluate(CHANGE, f"#/explore/million?sel={spec}")))
                print(f"    {count:,} selected: {waits[-1]:,.0f} ms")
            told("a selection of a fifth updates all views, median", float(np.median(waits)), 300, "ms")
            browser.close()
        told("memory of the server, peak", memory_of(server.pid), 2, "GB")
    finally:
        server.terminate()
        server.wait(timeout=30)
    told("JavaScript of Explore, gzipped", javascript(home) / 1e3, 400, "kB")


if __name__ == "__main__":
    main()
