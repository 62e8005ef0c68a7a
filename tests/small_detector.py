"""A bundle and a distilled map over a small real CLIP, for the tests of rooms that answer with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from morelli.atlas.distiller import DistilledMap
from morelli.detectors import LinearProbe, Recipe, fit_bundle
from morelli.encoders import load_encoder
from morelli.features import Features, FeatureTable, extract

DIMENSIONS = 4


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
