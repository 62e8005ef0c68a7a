"""`morelli evaluate analyses` on a small collection and a small model."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from tests.cli.conftest import morelli


def test_analyses_come_with_plots_and_with_the_baseline(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "analyses"
    run = morelli("evaluate", "analyses", table, "-o", out, "--maps", "pca")
    assert run.code == 0, run.err
    assert "file facts alone reach AUC" in run.out
    found = json.loads((out / "analyses.json").read_text())
    kinds = [score["kind"] for score in found["layers"]]
    assert "final" in kinds and len(kinds) == len(set(kinds))
    assert all(
        score["auc"]["low"] <= score["auc"]["value"] <= score["auc"]["high"] for score in found["layers"]
    )
    assert {one["kind"] for one in found["maps"]} == set(kinds)
    assert 0 <= found["metadata_only"]["auc"] <= 1
    for name in ("layers", "bank", "maps-by-label", "maps-by-generator"):
        with Image.open(out / f"{name}.png") as picture:
            assert min(picture.size) > 200


def test_an_unknown_kind_is_a_usage_error(table: Path, tmp_path: Path) -> None:
    run = morelli("evaluate", "analyses", table, "-o", tmp_path / "a", "--kind", "layer:99", "--maps", "pca")
    assert run.code == 2
    assert "layer:99" in run.err
