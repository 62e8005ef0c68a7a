"""Explore beside FiftyOne and Embedding Atlas: the same 100,000 images, the same browser, the same hands.

    python benchmarks/explore_peers.py [--images 100000] [--folder /tmp/morelli-peers] [--only morelli]

Rows are synthetic, as in `app_million.py`: forty overlapping crowds with labels, generators and scores, at
the places where Morelli's atlas lays them out. Pictures are 256-pixel JPEG files, links to 4,000 distinct
crops of photographs. Each peer is installed by pip into an environment of its own below `--folder`; the
collection is made once and kept. Every app runs as its documentation has it: FiftyOne with indexes on the
fields that are filtered, map and similarity computed beforehand, panels for pictures and map side by side;
Embedding Atlas with given places and neighbours, and with the pictures as bytes in its table (128 pixels, the
thumbnails of the atlas).

Filters are timed twice, alike for every app: from the end of the last action to the last change of the count
that the app shows (on the page's own clock), and to the last change of the picture on the screen, when map,
pictures and charts have followed (by the compositor's frames; what looks as before is no change). Clicks are
counted while the script performs them, and each task ends with a look at what the app then shows. One app
runs at a time; load on the machine lengthens everything.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from app_parts.browser import FLAGS, chromium_path
from peers.app import TASKS, App, Facts, NotThereError
from peers.collection import make_collection
from peers.embedding_atlas_app import EmbeddingAtlas
from peers.fiftyone_app import FiftyOne
from peers.hand import Hand, Waited, pan
from peers.morelli_app import Morelli

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

APPS: dict[str, type[App]] = {"morelli": Morelli, "fiftyone": FiftyOne, "embedding-atlas": EmbeddingAtlas}
# Software drawing for all; names outside this machine are not looked up, so that nothing waits for them.
HOSTS = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost"
ROWS = (
    "server start to first view, s",
    "map in sight after the first view, s",
    "filter by generator: the count changed, ms",
    "filter by generator: all views followed, ms",
    "filter by a range of scores: the count changed, ms",
    "filter by a range of scores: all views followed, ms",
    "frames while panning, p50 / p95, ms",
    "memory of the server, GB",
    "page: JavaScript heap, MB",
    "page: renderer process, MB",
    "other hosts asked for",
)


def facts_of(folder: Path) -> Facts:
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "rows.parquet", columns=["label", "generator", "outcome"])
    generators = rows.column("generator").to_numpy(zero_copy_only=False)
    names, counts = np.unique(generators[generators != "real"], return_counts=True)
    chosen = np.argsort(-counts, kind="stable")[19]
    return Facts(
        images=len(rows),
        generated=int(np.sum(rows.column("label").to_numpy(zero_copy_only=False) == "generated")),
        generator=str(names[chosen]),
        of_generator=int(counts[chosen]),
        wrong=int(np.sum(rows.column("outcome").to_numpy(zero_copy_only=False) == "wrong")),
    )


def renderer_memory(browser_pid: int) -> float:
    """Resident memory of the largest renderer of a browser, in MB."""
    found = 0.0
    for child in psutil.Process(browser_pid).children(recursive=True):
        try:
            if "--type=renderer" in child.cmdline():
                found = max(found, child.memory_info().rss / 2**20)
        except psutil.Error:
            continue
    return found


class Session:
    """One app in one browser: pages that are opened for it, and which other hosts they asked for."""

    def __init__(self, app: App, browser: Browser) -> None:
        self.app, self.browser = app, browser
        self.hosts: set[str] = set()

    def page(self) -> Page:
        context = self.browser.new_context(viewport={"width": 1920, "height": 1080})
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.on("request", lambda request: self.note(request.url))
        return page

    def note(self, url: str) -> None:
        host = url.split("/")[2] if url.startswith("http") else ""
        if host and host.split(":")[0] not in ("127.0.0.1", "localhost"):
            self.hosts.add(host)

    def opened(self) -> Page:
        page = self.page()
        page.goto(self.app.home, wait_until="commit")
        self.app.ready(page)
        self.app.show_map(page)
        self.app.settled(page)
        page.set_default_timeout(20_000)
        return page


def attempt(what: str, action: Any) -> str:
    """What an action gave, or why it gave nothing."""
    try:
        return str(action())
    except NotThereError as reason:
        return f"not there: {reason}" if str(reason) else "not there"
    except Exception as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        print(f"    {what}: {line}", flush=True)
        return f"failed ({type(error).__name__})"


def measure(app: App, browser: Browser, pid: int, rounds: int) -> dict[str, str]:
    found: dict[str, str] = {}

    def keep(name: str, value: str) -> None:
        found[name] = value
        print(f"    {name}: {value}", flush=True)

    session = Session(app, browser)
    start = time.perf_counter()
    app.start()
    page = session.page()
    page.goto(app.home, wait_until="commit")
    app.ready(page)
    first = time.perf_counter()
    app.show_map(page)
    app.settled(page)
    keep("server start to first view, s", f"{first - start:.1f}")
    keep("map in sight after the first view, s", f"{time.perf_counter() - first:.1f}")
    heap = page.context.new_cdp_session(page)
    heap.send("Performance.enable")
    metrics = {one["name"]: one["value"] for one in heap.send("Performance.getMetrics")["metrics"]}
    keep("page: JavaScript heap, MB", f"{metrics['JSHeapUsedSize'] / 2**20:.0f}")
    keep("page: renderer process, MB", f"{renderer_memory(pid):.0f}")

    def frames() -> str:
        times = pan(page, app.map_box(page))
        return f"{np.percentile(times, 50):.0f} / {np.percentile(times, 95):.0f}"

    keep("frames while panning, p50 / p95, ms", attempt("panning", frames))
    page.context.close()

    def filtered(waits: list[Waited], narrow: Callable[[Hand], None]) -> None:
        for _ in range(rounds):
            page = session.opened()
            hand = Hand(page)
            narrow(hand)
            waits.append(hand.waited())
            page.context.close()

    for what, narrow in (("generator", app.one_generator), ("a range of scores", app.filter_score)):
        waits: list[Waited] = []
        failed = attempt(f"filter by {what}", partial(filtered, waits, narrow))
        for name, of in (("the count changed", "count"), ("all views followed", "screen")):
            times = [getattr(one, of) for one in waits]
            keep(f"filter by {what}: {name}, ms", f"{np.median(times):.0f}" if times else failed)
    keep("memory of the server, GB", f"{app.memory():.2f}")

    def counted(task: Any) -> str:
        app.fresh()
        page = session.opened()
        hand = Hand(page)
        try:
            task(hand)
        finally:
            page.context.close()
        return str(hand.actions)

    for name, task in app.tasks().items():
        keep(name, attempt(name, partial(counted, task)))
    keep("other hosts asked for", ", ".join(sorted(session.hosts)) or "none")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/morelli-peers"))
    parser.add_argument("--only", default=",".join(APPS), help="which apps, with commas between them")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions of each filter")
    args = parser.parse_args()
    folder = args.folder / str(args.images)
    if not (folder / "made.json").is_file():
        make_collection(folder, args.images)
    facts = facts_of(folder)
    print(json.loads((folder / "made.json").read_text(encoding="utf-8")), facts, flush=True)
    from playwright.sync_api import sync_playwright

    found: dict[str, dict[str, str]] = {}
    for key in args.only.split(","):
        app = APPS[key](folder, args.folder / key, facts)
        app.install()
        app.prepare()
        load = round(os.getloadavg()[0], 1)
        print(f"  {app.name}: load {load}", flush=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium_path(), args=[*FLAGS, "--enable-unsafe-swiftshader", HOSTS]
            )
            pid = next(
                one.pid
                for one in psutil.Process().children(recursive=True)
                if "chrom" in one.name() and "--type=" not in " ".join(one.cmdline())
            )
            try:
                found[app.name] = measure(app, browser, pid, args.rounds)
            finally:
                browser.close()
                app.stop()
        kept = {"app": app.name, "date": str(date.today()), "load": load, "found": found[app.name]}
        (folder / f"result-{key}.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")
    print_table(folder, args.images)


def print_table(folder: Path, images: int) -> None:
    """The latest results of all apps that were measured on this collection."""
    kept = [json.loads(path.read_text()) for key in APPS if (path := folder / f"result-{key}.json").is_file()]
    print(
        f"\n{images:,} images, {os.cpu_count()} cores ({platform.machine()}), headless Chromium in software\n"
    )
    print(f"| | {' | '.join(one['app'] for one in kept)} |\n|---|{'---|' * len(kept)}")
    for row in (*ROWS, *(f"clicks: {name}" for name in TASKS)):
        print(f"| {row} | {' | '.join(one['found'].get(row.removeprefix('clicks: '), '') for one in kept)} |")
    measured = " | ".join(f"{one['date']}, {one['load']}" for one in kept)
    print(f"| measured; load of the machine before | {measured} |")


if __name__ == "__main__":
    main()
