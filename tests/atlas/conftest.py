"""An atlas of the small labelled collection, built as a user would, by the small real CLIP."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from morelli.atlas import Atlas, AtlasOptions, build_atlas
from morelli.encoders import Encoder, load_encoder
from morelli.features import FeatureTable, extract
from morelli.images import iter_source

OPTIONS = AtlasOptions(dimensions=4, projection="pca")


@pytest.fixture(scope="session")
def tiny_encoder(tiny_clip_dir: Path) -> Encoder:
    return load_encoder(str(tiny_clip_dir))


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory, collection: Path, tiny_encoder: Encoder) -> FeatureTable:
    """Features with the last block's input; each photograph is a source, each kind of fake a generator."""
    out = tmp_path_factory.mktemp("features") / "F.lance"
    items = list(iter_source(collection, label_from="folders"))
    extract(items, out, encoder=tiny_encoder, kinds=["final", "layer:3", "tokens:3"])
    return FeatureTable.open(out)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, table: FeatureTable, tiny_encoder: Encoder) -> Path:
    """The atlas's folder; tests that change anything work on a copy."""
    out = tmp_path_factory.mktemp("atlas") / "small.atlas"
    build_atlas(table, out, OPTIONS, encoder=tiny_encoder, workers=1, command="morelli atlas build")
    return out


@pytest.fixture
def atlas(built: Path) -> Atlas:
    return Atlas.open(built)


@pytest.fixture
def own_atlas(built: Path, tmp_path: Path) -> Atlas:
    """A copy of the atlas that a test may change."""
    return Atlas.open(shutil.copytree(built, tmp_path / "own.atlas"))
