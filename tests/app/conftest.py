"""A real server with the real encoder, and a real browser that may talk to nobody else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from morelli.atlas import Atlas, AtlasOptions, build_atlas
from morelli.atlas.distiller import DistilledMap, default_map_path
from morelli.detectors import Bundle, default_bundle_path
from morelli.encoders import load_encoder
from morelli.features import FeatureTable, extract
from morelli.images import iter_source
from morelli.server import ServerSettings
from tests.app.explore_atlas import NAME
from tests.browser import find_chromium
from tests.server.running import Running, running

if TYPE_CHECKING:
    from PIL import Image
    from playwright.sync_api import Browser, Page

    from morelli.encoders import Encoder

STATIC = Path(__file__).resolve().parents[2] / "src" / "morelli" / "server" / "static"
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
]


@pytest.fixture(scope="package")
def built_app() -> Path:
    """The app as `npm run build` leaves it."""
    if not (STATIC / "index.html").is_file():
        pytest.skip("needs the built app: run `npm ci && npm run build` in web/")
    return STATIC


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The Chromium of `tests.browser`."""
    from playwright.sync_api import sync_playwright

    found = find_chromium()
    if found is None:
        pytest.skip("needs Chromium: run `python -m tests.browser`, or name one in MORELLI_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS, headless=True)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def map_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped distilled map; without one, sixteen random directions, which sum just as exactly."""
    shipped = default_map_path()
    if shipped is not None and shipped.is_dir():
        return shipped
    rng = np.random.default_rng(0)
    directions, _ = np.linalg.qr(rng.standard_normal((512, 16)))
    out = tmp_path_factory.mktemp("app-map") / "map"
    DistilledMap(
        kind="final",
        unit=True,
        A=directions,
        b=np.zeros(16),
        activation="identity",
        w=rng.normal(0, 8, 16),
        bias=0.2,
        build=Bundle.load(default_bundle_path()).build,
    ).save(out)
    return out


@pytest.fixture(scope="package")
def judging(real_encoder: Encoder, built_app: Path, map_dir: Path) -> Iterator[Running]:
    """A server with the shipped detector and the real encoder."""
    with running(ServerSettings(distilled=map_dir)) as server:
        yield server


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page at an address, in a context of its own; at the end, nothing may have been asked elsewhere.

    Errors of the page's own scripts fail the test too.
    """
    contexts, asked, errors, homes = [], [], [], set()

    def open_it(address: str, **options: object) -> Page:
        homes.add("/".join(address.split("/")[:3]))
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})  # type: ignore[arg-type]
        context.set_default_timeout(30_000)
        context.on("request", lambda request: asked.append(request.url))
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        # Playwright begins to catch file dialogues a moment after somebody listens.
        page.on("filechooser", lambda chooser: None)
        page.goto(address)
        return page

    yield open_it
    for context in contexts:
        context.close()
    abroad = [url for url in asked if not url.startswith((*homes, "blob:", "data:"))]
    assert abroad == []
    assert errors == []


@pytest.fixture(scope="package")
def pictures(
    tmp_path_factory: pytest.TempPathFactory, photos: list[tuple[str, Image.Image]]
) -> dict[str, Path]:
    """Photographs as files that a person might drop: one wide, one PNG, one small JPEG."""
    folder = tmp_path_factory.mktemp("dropped")
    by_name = dict(photos)
    files = {
        "coffee": folder / "coffee.jpg",
        "astronaut": folder / "astronaut.png",
        "chelsea": folder / "chelsea.webp",
    }
    for name, path in files.items():
        by_name[name].save(path)
    return files


@pytest.fixture(scope="session")
def atlas_dir(tmp_path_factory: pytest.TempPathFactory, collection: Path, tiny_clip_dir: Path) -> Path:
    """An atlas of the small labelled collection, with maps and prototypes; tests work on copies."""
    folder = tmp_path_factory.mktemp("explore")
    encoder = load_encoder(str(tiny_clip_dir))
    items = list(iter_source(collection, label_from="folders"))
    extract(items, folder / "F.lance", encoder=encoder, kinds=["final", "layer:3", "tokens:3"])
    out = folder / f"{NAME}.atlas"
    options = AtlasOptions(dimensions=8, projection="pca")
    build_atlas(FeatureTable.open(folder / "F.lance"), out, options, encoder=encoder, workers=1)
    return out


@pytest.fixture
def exploring(atlas_dir: Path, built_app: Path, tmp_path: Path) -> Iterator[Running]:
    """A server with a copy of the atlas that the test may edit; nothing is judged, so it needs no encoder."""
    copy = shutil.copytree(atlas_dir, tmp_path / atlas_dir.name)
    with running(ServerSettings(atlases=(copy,), offline=True), ready=False) as server:
        yield server


@pytest.fixture
def atlas(exploring: Running) -> Atlas:
    """The atlas that the server shows."""
    found: Atlas = exploring.state.atlases.get(NAME).atlas
    return found
