"""Servers that answer with a small detector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from morelli.encoders import load_encoder
from morelli.features import FeatureTable
from morelli.server import ServerSettings
from tests.server.running import Running, running
from tests.small_detector import DIMENSIONS, bundle_dir, distilled_dir, features, table

__all__ = ["DIMENSIONS", "bundle_dir", "distilled_dir", "features", "table"]


def png(image: Image.Image) -> bytes:
    stored = BytesIO()
    image.save(stored, "PNG")
    return stored.getvalue()


@pytest.fixture(scope="session")
def settings(
    bundle_dir: Path,
    distilled_dir: Path,
    tiny_clip_dir: Path,
    collection: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> ServerSettings:
    """A server of the small detector that may read the collection."""
    feedback = tmp_path_factory.mktemp("feedback") / "feedback.jsonl"
    return ServerSettings(
        bundle=bundle_dir,
        distilled=distilled_dir,
        weights=tiny_clip_dir,
        device="cpu",
        offline=True,
        roots=(collection,),
        feedback=feedback,
    )


@pytest.fixture(scope="session")
def server(settings: ServerSettings) -> Iterator[Running]:
    """The server that most tests ask."""
    with running(settings) as one:
        yield one


@pytest.fixture
def with_limits(settings: ServerSettings):  # type: ignore[no-untyped-def]
    """Settings like `settings`, with other limits."""

    def make(**limits: float) -> ServerSettings:
        return replace(settings, limits=replace(settings.limits, **limits))

    return make


@pytest.fixture(scope="session")
def picture(photos: list[tuple[str, Image.Image]]) -> bytes:
    """A photograph as a client would send it."""
    image = photos[0][1].copy()
    image.thumbnail((200, 200))
    return png(image)


@pytest.fixture(scope="session")
def atlas_dir(tmp_path_factory: pytest.TempPathFactory, table: FeatureTable, tiny_clip_dir: Path) -> Path:
    """An atlas of the collection with maps, thumbnails and prototypes, called `small`."""
    from morelli.atlas import AtlasOptions, build_atlas

    out = tmp_path_factory.mktemp("server-atlas") / "small.atlas"
    options = AtlasOptions(dimensions=DIMENSIONS, projection="pca")
    build_atlas(table, out, options, encoder=load_encoder(str(tiny_clip_dir)), workers=1)
    return out


@pytest.fixture(scope="session")
def whole(
    settings: ServerSettings, atlas_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A server with all that it can be given: detector, map, atlas, report, roots, folders to write."""
    report = tmp_path_factory.mktemp("reports") / "study"
    report.mkdir()
    (report / "report.html").write_text("<!doctype html><title>study</title>")
    (report / "report.json").write_text('{"title": "study"}')
    keep = tmp_path_factory.mktemp("kept")
    with running(replace(settings, atlases=(atlas_dir,), reports=(report,), keep=keep)) as one:
        yield one
