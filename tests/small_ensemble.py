"""An ensemble over two small encoders of different families, for the tests of rooms that answer with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from morelli.detectors import Bundle, LinearProbe, Recipe, fit_bundle, fit_ensemble
from morelli.encoders import load_encoder
from morelli.features import Features, FeatureTable, extract
from tests.small_detector import bundle_dir, features, table

__all__ = ["bundle_dir", "ensemble_dir", "features", "naflex_dir", "naflex_features", "naflex_table", "table"]


def save_naflex(folder: Path) -> Path:
    """Write a small SigLIP 2 whose transform keeps the aspect; return `folder`."""
    import torch
    from transformers import Siglip2VisionConfig, Siglip2VisionModel

    torch.manual_seed(3)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
    model = Siglip2VisionModel(Siglip2VisionConfig(**sizes, patch_size=16, num_patches=16)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.1 if parameter.ndim < 2 else 0.05))
    model.save_pretrained(folder)
    processor = {
        "image_processor_type": "Siglip2ImageProcessor",
        "patch_size": 16,
        "max_num_patches": 64,
        "resample": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


@pytest.fixture(scope="session")
def naflex_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_naflex(tmp_path_factory.mktemp("models") / "tiny-naflex")


@pytest.fixture(scope="session")
def naflex_table(
    tmp_path_factory: pytest.TempPathFactory, collection: Path, naflex_dir: Path
) -> FeatureTable:
    """The collection's features by the second encoder."""
    from morelli.images import iter_source

    out = tmp_path_factory.mktemp("ensemble-table") / "N.lance"
    items = iter_source(collection, label_from="folders")
    extract(items, out, encoder=load_encoder(naflex_dir), kinds=("final", "mean:2"))
    return FeatureTable.open(out)


@pytest.fixture(scope="session")
def naflex_features(naflex_table: FeatureTable) -> Features:
    return naflex_table.load()


@pytest.fixture(scope="session")
def ensemble_dir(
    tmp_path_factory: pytest.TempPathFactory, bundle_dir: Path, features: Features, naflex_features: Features
) -> Path:
    """The small detector and one on the second encoder, joined."""
    recipe = Recipe(name="other", kinds=("final",), estimator=LinearProbe(), bank_kinds=("final",), n_draws=8)
    members = [Bundle.load(bundle_dir), fit_bundle(naflex_features, recipe).bundle]
    out = tmp_path_factory.mktemp("ensemble") / "both"
    fit_ensemble(members, [naflex_features, features], name="both").ensemble.save(out)
    return out
