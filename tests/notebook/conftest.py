"""A small atlas and a small detector for the widgets, and a kernel's end of their messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from morelli.atlas import Atlas, AtlasOptions, build_atlas
from morelli.encoders import load_encoder
from morelli.features import FeatureTable, extract
from morelli.images import iter_source
from tests.notebook.kernel import Kernel


@pytest.fixture(scope="session")
def atlas_dir(tmp_path_factory: pytest.TempPathFactory, collection: Path, tiny_clip_dir: Path) -> Path:
    """An atlas of the small labelled collection with eight dimensions, maps and thumbnails."""
    folder = tmp_path_factory.mktemp("notebook-atlas")
    encoder = load_encoder(str(tiny_clip_dir))
    items = list(iter_source(collection, label_from="folders"))
    extract(items, folder / "F.lance", encoder=encoder, kinds=["final", "layer:3", "tokens:3"])
    out = folder / "planted.atlas"
    options = AtlasOptions(dimensions=8, projection="pca")
    build_atlas(FeatureTable.open(folder / "F.lance"), out, options, encoder=encoder, workers=1)
    return out


@pytest.fixture
def atlas(atlas_dir: Path) -> Atlas:
    return Atlas.open(atlas_dir)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    """Where widgets made by the test send their messages."""
    with Kernel.listening(monkeypatch) as one:
        yield one
