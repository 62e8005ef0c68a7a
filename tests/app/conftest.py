"""A real server with the real encoder, and a real browser that may talk to nobody else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from morelli.atlas import Atlas
from morelli.atlas.distiller import DistilledMap, default_map_path
from morelli.detectors import Bundle, default_bundle_path
from morelli.server import ServerSettings
from tests.browser import killed_if_slow, running_chromium
from tests.labelled_collection import gridded
from tests.planted_atlas import NAME
from tests.server.running import Running, running

if TYPE_CHECKING:
    from PIL import Image
    from playwright.sync_api import Browser, Page

    from morelli.encoders import Encoder

STATIC = Path(__file__).resolve().parents[2] / "src" / "morelli" / "server" / "static"


@pytest.fixture(scope="package")
def built_app() -> Path:
    """The app as `npm run build` leaves it."""
    if not (STATIC / "index.html").is_file():
        pytest.skip("needs the built app: run `npm ci && npm run build` in web/")
    return STATIC


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The Chromium of `tests.browser`. What is expected of a page may take long on a busy machine."""
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)
    with running_chromium() as browser:
        yield browser


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
def collections(tmp_path_factory: pytest.TempPathFactory, photos: list[tuple[str, Image.Image]]) -> Path:
    """A folder of collections with one: four photographs, and four with the trace of an upsampler."""
    root = tmp_path_factory.mktemp("collections") / "pictures"
    for name, image in photos[:4]:
        crop = image.crop((0, 0, 256, 256))
        for label, picture in (("real", crop), ("fake", gridded(crop))):
            place = root / "holiday 2024" / label
            place.mkdir(parents=True, exist_ok=True)
            picture.save(place / f"{name}.png")
    (root / "holiday 2024" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return root


@pytest.fixture(scope="package")
def feedback(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the judging server keeps what people say of verdicts."""
    return tmp_path_factory.mktemp("feedback") / "corrections.lance"


@pytest.fixture(scope="package")
def judging(
    real_encoder: Encoder, built_app: Path, map_dir: Path, collections: Path, feedback: Path
) -> Iterator[Running]:
    """A server with the shipped detector and the real encoder."""
    with running(ServerSettings(distilled=map_dir, collections=collections, feedback=feedback)) as server:
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
        context.set_default_timeout(120_000)  # a busy machine may take long even to load it
        context.on("request", lambda request: asked.append(request.url))
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        # Playwright begins to catch file dialogues a moment after somebody listens.
        page.on("filechooser", lambda chooser: None)
        page.goto(address)
        return page

    yield open_it
    with killed_if_slow():
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


@pytest.fixture
def exploring(planted_atlas_dir: Path, built_app: Path, tmp_path: Path) -> Iterator[Running]:
    """A server with a copy of the atlas that the test may edit; nothing is judged, so it needs no encoder."""
    copy = shutil.copytree(planted_atlas_dir, tmp_path / planted_atlas_dir.name)
    with running(ServerSettings(atlases=(copy,), offline=True), ready=False) as server:
        yield server


@pytest.fixture
def atlas(exploring: Running) -> Atlas:
    """The atlas that the server shows."""
    found: Atlas = exploring.state.atlases.get(NAME).atlas
    return found
