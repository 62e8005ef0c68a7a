"""A bundle and a distilled map over a small real CLIP, and servers that judge with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from morelli.atlas.distiller import DistilledMap
from morelli.detectors import LinearProbe, Recipe, fit_bundle
from morelli.encoders import load_encoder
from morelli.features import Features, FeatureTable, extract
from morelli.server import ServerSettings
from tests.server.running import Running, running

DIMENSIONS = 4


def png(image: Image.Image) -> bytes:
    stored = BytesIO()
    image.save(stored, "PNG")
    return stored.getvalue()


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory, collection: Path, tiny_clip_dir: Path) -> FeatureTable:
    """The collection's features, with what relevance needs."""
    from morelli.images import iter_source

    out = tmp_path_factory.mktemp("server-table") / "F.lance"
    encoder = load_encoder(tiny_clip_dir)
    items = iter_source(collection, label_from="folders")
    extract(items, out, encoder=encoder, kinds=("final", "layers", "tokens:3"))
    return FeatureTable.open(out)


@pytest.fixture(scope="session")
def features(table: FeatureTable) -> Features:
    return table.load(kinds=["final", "layer:3"])


@pytest.fixture(scope="session")
def bundle_dir(tmp_path_factory: pytest.TempPathFactory, features: Features) -> Path:
    """A small detector, fitted on those features."""
    out = tmp_path_factory.mktemp("server-bundle") / "small"
    recipe = Recipe(
        name="small", kinds=("layer:3",), estimator=LinearProbe(), bank_kinds=("final",), n_draws=8
    )
    fit_bundle(features, recipe).bundle.save(out)
    return out


@pytest.fixture(scope="session")
def distilled_dir(tmp_path_factory: pytest.TempPathFactory, features: Features) -> Path:
    """A distilled map: principal components, and the head that tells the classes apart in them."""
    X = features.matrix("final").astype(np.float64)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    A = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)[2][:DIMENSIONS].T
    z = X @ A
    y = 2.0 * features.labels - 1
    design = np.column_stack([z, np.ones(len(z))])
    w = np.linalg.solve(design.T @ design + 1e-3 * np.eye(DIMENSIONS + 1), design.T @ y)
    out = tmp_path_factory.mktemp("server-map") / "map"
    DistilledMap(
        kind="final", unit=True, A=A, b=np.zeros(DIMENSIONS), activation="identity",
        w=w[:-1], bias=float(w[-1]), build=features.build, names=("grid", "D2", "D3", "<b>D4</b>"),
    ).save(out)  # fmt: skip
    return out


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
