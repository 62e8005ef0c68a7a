"""The check panel judges as the detectors' room does, and `show` says what it takes."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import traitlets
from PIL import Image

import morelli
from morelli import extras
from morelli.atlas import Atlas
from morelli.detectors import Bundle, LinearProbe, Recipe, fit_bundle
from morelli.encoders import load_encoder
from morelli.errors import ImageError, UsageError
from morelli.features import FeatureTable
from morelli.images import ImageItem
from morelli.inspection._stream import detect
from morelli.notebook import CheckWidget
from tests.notebook.kernel import Kernel


@pytest.fixture(scope="session")
def judging(
    tmp_path_factory: pytest.TempPathFactory, planted_atlas_dir: Path, tiny_clip_dir: Path
) -> dict[str, Any]:
    """What `show` is told besides the image: a small detector, the atlas's own map, the small encoder."""
    features = FeatureTable.open(planted_atlas_dir.parent / "F.lance").load(kinds=["final", "layer:3"])
    recipe = Recipe(
        name="small", kinds=("layer:3",), estimator=LinearProbe(), bank_kinds=("final",), n_draws=4
    )
    bundle = tmp_path_factory.mktemp("notebook-bundle") / "small"
    fit_bundle(features, recipe).bundle.save(bundle)
    distilled = Atlas.open(planted_atlas_dir).path / "distilled"
    return {
        "bundle": bundle,
        "distilled": distilled,
        "weights": tiny_clip_dir,
        "device": "cpu",
        "offline": True,
    }


@pytest.fixture
def file(collection: Path) -> Path:
    return sorted((collection / "fake").rglob("*.png"))[7]


def test_the_verdict_is_the_detectors_own(
    kernel: Kernel, judging: dict[str, Any], file: Path, tiny_clip_dir: Path
) -> None:
    shown = morelli.show(file, **judging)
    assert isinstance(shown, CheckWidget)
    item = ImageItem(file.name, file.read_bytes)
    (direct,) = detect([item], Bundle.load(judging["bundle"]), load_encoder(str(tiny_clip_dir)))
    assert direct.verdict is not None
    assert shown.verdict == direct.verdict.verdict
    assert shown.probability == pytest.approx(direct.verdict.probability, abs=1e-5)
    assert len(shown.logit_map) == 4 * 16
    assert shown.case["evidence"]["logit"] == shown.case["logit"]
    parts = shown.case["distilled"]
    assert sum(parts["impacts"]) + parts["bias"] == pytest.approx(parts["logit"], abs=1e-6)
    assert shown.relevance is not None and shown.relevance.shape[0] == len(parts["impacts"]) + 1
    assert (shown.relevance >= 0).all() and shown.relevance.max() > 0
    assert Image.open(io.BytesIO(shown.picture)).size == (64, 64)
    # All that the page needs is in the state that a saved notebook keeps.
    assert {"case", "picture", "maps", "grid", "dimension", "_esm", "_css"} <= set(kernel.state)
    assert shown.verdict in repr(shown) and file.name in repr(shown)


def test_a_file_its_bytes_and_its_picture_are_judged_alike(
    kernel: Kernel, judging: dict[str, Any], file: Path
) -> None:
    given = [file, str(file), file.read_bytes(), Image.open(file)]
    found = [morelli.show(one, **judging).probability for one in given]
    np.testing.assert_allclose(found, found[0], atol=1e-6)
    rare = morelli.show(file, base_rate=0.01, **judging)
    assert rare.probability < found[0] and rare.case["base_rate"] == 0.01


def test_the_dimension_is_shared_and_checked(kernel: Kernel, judging: dict[str, Any], file: Path) -> None:
    shown = morelli.show(file, **judging)
    kernel.say(shown, {"method": "update", "state": {"dimension": "3"}})
    assert shown.dimension == "3"
    for wrong in ("8", "-1", "x"):
        with pytest.raises(traitlets.TraitError):
            shown.dimension = wrong
    with pytest.raises(traitlets.TraitError):
        shown.case = {}


def test_what_cannot_be_shown_is_said(judging: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        morelli.show(tmp_path / "missing.png", **judging)
    with pytest.raises(UsageError, match="not int"):
        morelli.show(3, **judging)  # type: ignore[arg-type]
    with pytest.raises(ImageError):
        morelli.show(b"no picture", **judging)
    with pytest.raises(morelli.errors.ArtifactError):
        morelli.show(tmp_path, **judging)


def test_without_anywidget_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    real = extras.installed
    monkeypatch.setattr(extras, "installed", lambda *names: "anywidget" not in names and real(*names))
    with pytest.raises(UsageError, match=r"pip install 'morelli\[notebook\]'"):
        morelli.show(file)


def test_the_name_is_there_without_loading_anything() -> None:
    import subprocess

    script = (
        "import sys, morelli; assert 'morelli.notebook' not in sys.modules; morelli.show; "
        "assert not {'anywidget', 'torch', 'numpy', 'PIL', 'ipywidgets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
