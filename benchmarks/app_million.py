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
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "src" / "morelli" / "server" / "static"
PHOTOS = {
    "skimage.data": ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png"),
    "sklearn.datasets.images": ("china.jpg", "flower.jpg"),
}
K, GRID, REDUCED, CROWDS, SAMPLE, PICTURES = 16, 2, 4, 40, 600, 2000
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def thumbnails(count: int, rng: np.random.Generator) -> list[bytes]:
    """JPEG bytes of `count` crops of photographs, 64 pixels a side."""
    from PIL import Image

    found = []
    photos = [
        Image.open(str(files(p) / name)).convert("RGB") for p, names in PHOTOS.items() for name in names
    ]
    for index in range(count):
        photo = photos[index % len(photos)]
        side = int(rng.integers(96, min(photo.size)))
        left, top = (int(rng.integers(0, extent - side + 1)) for extent in photo.size)
        buffer = io.BytesIO()
        photo.crop((left, top, left + side, top + side)).resize((64, 64)).save(buffer, "JPEG", quality=75)
        found.append(buffer.getvalue())
    return found


def write_pixel_table(out: Path, n: int, rng: np.random.Generator) -> int:
    """Maps of four patches and repeated thumbnails for all rows; the version written."""
    import lance
    import pyarrow as pa

    from morelli.atlas._pixels import PixelSpec

    schema = PixelSpec(K, GRID**2, REDUCED, "synthetic").schema()
    pictures = pa.array(thumbnails(PICTURES, rng), pa.binary())

    def batches() -> Any:
        for start in range(0, n, 50_000):
            m = min(50_000, n - start)
            columns: dict[str, np.ndarray] = {
                "maps": rng.random((m, (K + 1) * GRID**2), np.float32).astype(np.float16),
                "scale": np.ones((m, K + 1), np.float32),
                "pooled": rng.standard_normal((m, K * REDUCED), np.float32).astype(np.float16),
            }
            arrays = [
                pa.FixedSizeListArray.from_arrays(pa.array(v.reshape(-1)), type=schema.field(name).type)
                for name, v in columns.items()
            ]
            arrays.append(pictures.take(pa.array(rng.integers(0, PICTURES, m))))
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    return int(lance.write_dataset(reader, out / "pixels.lance", schema=schema, mode="create").version)


def metadata_of(n: int, labels: np.ndarray, crowd: np.ndarray, rng: np.random.Generator) -> Any:
    """The columns that a feature table holds beside the vectors."""
    import pyarrow as pa

    from morelli.features import metadata_schema

    width = 256 * rng.integers(1, 9, n)
    generators = np.array([f"generator-{i:02}" for i in range(CROWDS)], object)[crowd]
    sources = np.array([f"photographs-{i % 7}" for i in range(CROWDS)], object)[crowd]
    known = {
        "sha256": [hashlib.sha256(b"%d" % i).hexdigest() for i in range(n)],
        "perturbation": np.full(n, "", object),
        "uri": [f"/synthetic/{i % 1000:03}/{i:07}.jpg" for i in range(n)],
        "label": labels,
        "generator": np.where(labels == 1, generators, "real"),
        "lineage": np.where(labels == 1, np.char.add("line-", (crowd // 4).astype(str)), "real"),
        "source": np.where(labels == 1, generators, sources),
        "width": width,
        "height": width,
        "bytes": width * 400,
        "format": np.where(rng.random(n) < 0.7, "JPEG", "PNG"),
        "phash": rng.integers(0, 2**63, n, dtype=np.uint64),
        "metadata": np.full(n, "{}", object),
    }
    schema = metadata_schema()
    arrays = [pa.array(known[f.name], f.type) if f.name in known else pa.nulls(n, f.type) for f in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def make_atlas(out: Path, n: int) -> None:
    """A finished atlas of `n` synthetic rows, written by the functions that build real ones."""
    from morelli.atlas._build import HASHED
    from morelli.atlas._cell_step import lay_out, write_cells
    from morelli.atlas._collection import Collection, image_rows, open_images
    from morelli.atlas._integrity import file_hashes, table_hashes
    from morelli.atlas._options import AtlasOptions
    from morelli.atlas._record import AtlasRecord
    from morelli.atlas._versions import write_images
    from morelli.atlas.distiller import DistilledMap
    from morelli.atlas.patterns import find_prototypes
    from morelli.detectors import Bundle, default_bundle_path

    rng = np.random.default_rng(0)
    out.mkdir(parents=True)
    crowd = rng.choice(CROWDS, n, p=rng.dirichlet(np.full(CROWDS, 2)))
    centres = rng.normal(size=(CROWDS, K)).astype(np.float32)
    spreads = rng.uniform(0.3, 1.2, size=(CROWDS, 1)).astype(np.float32)
    values = rng.standard_normal((n, K), np.float32) * spreads[crowd] + centres[crowd]
    weights = rng.normal(size=K)
    impacts = (values * weights).astype(np.float32)
    labels = (impacts.sum(axis=1) + rng.normal(scale=2, size=n) > 0).astype(np.int8)
    build = Bundle.load(default_bundle_path()).build
    directions, _ = np.linalg.qr(rng.standard_normal((512, K)))
    distilled = DistilledMap(
        kind="final", unit=True, A=directions, b=np.zeros(K), activation="identity", w=weights, bias=0.0,
        build=build,
    )  # fmt: skip
    distilled.save(out / "distilled")

    some = rng.choice(n, min(n, SAMPLE), replace=False)
    found = find_prototypes(
        impacts[some],
        centres[crowd[some]][:, :, None] + 0.1 * rng.standard_normal((len(some), K, REDUCED), np.float32),
        rng.random((len(some), K + 1, GRID**2), np.float32),
        labels[some],
        random_state=0,
    )
    found.prototypes.save(out / "prototypes")
    prototypes = np.full((n, K), -1, np.int16)
    for number, k in enumerate(found.prototypes.dimension):
        prototypes[np.flatnonzero(rng.random(n) < 0.1), k] = number

    options = AtlasOptions(dimensions=K, projection="pca")
    layout, grid = lay_out(impacts, options)
    layout.save(out / "layout")
    grid.save(out / "layout" / "grid.safetensors")
    rows = image_rows(
        metadata_of(n, labels, crowd, rng), values=values, held_impacts=impacts,
        held_bias=np.zeros(n, np.float32), xy=grid.spread(layout.xy).astype(np.float32),
        code=grid.codes(layout.xy).astype(np.uint64), prototypes=prototypes,
    )  # fmt: skip
    version = write_images(out, rows)
    pixels = write_pixel_table(out, n, rng)
    thresholds = (0.2, 0.8)
    collection = Collection(open_images(out / "images.lance", K, version), distilled, thresholds)
    levels = write_cells(out / f"cells-{n}", collection, np.arange(n))
    versions = {"images": version, "pixels": pixels}
    AtlasRecord(
        name="million", build=build, kind="final", perturbation="", images=n, labelled=n, added=0,
        dimensions=K, patches=GRID**2, levels=levels, thresholds=thresholds, projection="pca",
        held_out="nothing was fitted: the rows are synthetic", versions=versions,
        files=file_hashes(out, HASHED) | table_hashes(out, versions),
    ).write(out)  # fmt: skip


def serve(atlas: Path) -> tuple[subprocess.Popen[str], str]:
    """Start `morelli serve` and wait until it listens; its address."""
    command = [sys.executable, "-m", "morelli", "serve", "--offline", "--port", "0", "--atlas", str(atlas)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout is not None
    for line in server.stdout:
        address = re.search(r"http://[\d.]+:\d+/", line)
        if address:
            break
    else:
        raise RuntimeError("the server did not start")
    return server, address.group()


def wait_until_warm(home: str, name: str) -> float:
    """Seconds until the server has opened the atlas and answered for its first view."""
    start = time.perf_counter()
    with LOCAL.open(f"{home}api/v1/atlases/{name}", timeout=120):
        return time.perf_counter() - start


# Milliseconds since the navigation began, once the overview has everything on the screen.
WATCH = """() => new Promise((done) => {
  const look = () => {
    const map = document.querySelector('.map');
    if (map?.dataset.settled === 'true') done(performance.now());
    else requestAnimationFrame(look);
  };
  look();
})"""
FRAMES = """() => {
  window.frames = [];
  let last = performance.now();
  window.stopped = false;
  const tick = (now) => {
    window.frames.push(now - last);
    last = now;
    if (!window.stopped) requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}"""
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
    page.evaluate("() => { window.stopped = true; }")
    return [float(one) for one in page.evaluate("() => window.frames.slice(2)")]


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


def memory_of(pid: int) -> float:
    """Peak resident memory of a process in GB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) / 2**20


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
    sys.path.insert(0, str(ROOT))  # the tests' own lookup, so that both use one browser
    from playwright.sync_api import sync_playwright
    from tests.browser import find_chromium

    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("needs Chromium: run `python -m tests.browser`, or name one in MORELLI_CHROMIUM")
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
            told("a selection of a fifth updates all views, median", float(np.median(waits)), 500, "ms")
            browser.close()
        told("memory of the server, peak", memory_of(server.pid), 3, "GB")
    finally:
        server.terminate()
        server.wait(timeout=30)
    told("JavaScript of Explore, gzipped", javascript(home) / 1e3, 400, "kB")


if __name__ == "__main__":
    main()
