"""Second detectors beside the small one: on the same encoder, and on another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from morelli.detectors import LinearProbe, Recipe, fit_bundle
from morelli.features import Features
from tests.small_ensemble import naflex_dir, naflex_features, naflex_table

__all__ = ["contrary_dir", "naflex_dir", "naflex_features", "naflex_table", "other_dir"]


@pytest.fixture(scope="session")
def contrary_dir(tmp_path_factory: pytest.TempPathFactory, features: Features) -> Path:
    """A detector on the same encoder that was taught the opposite: it disagrees wherever both are sure.

    Of half the pictures that it takes for generated it is not sure.
    """
    labels = pa.array(1 - features.labels, features.meta.schema.field("label").type)
    index = features.meta.schema.get_field_index("label")
    swapped = Features(
        features.vectors, features.meta.set_column(index, "label", labels), build=features.build
    )
    recipe = Recipe(name="contrary", kinds=("final",), estimator=LinearProbe(), n_draws=8)
    out = tmp_path_factory.mktemp("beside") / "contrary"
    bundle = fit_bundle(swapped, recipe).bundle
    middle = float(np.median(bundle.logits(swapped)[swapped.labels == 1]))
    replace(bundle, ai=replace(bundle.ai, logit=middle)).save(out)
    return out


@pytest.fixture(scope="session")
def other_dir(tmp_path_factory: pytest.TempPathFactory, naflex_features: Features) -> Path:
    """A detector on another encoder."""
    recipe = Recipe(name="other", kinds=("final",), estimator=LinearProbe(), bank_kinds=("final",), n_draws=8)
    out = tmp_path_factory.mktemp("beside") / "other"
    fit_bundle(naflex_features, recipe).bundle.save(out)
    return out
