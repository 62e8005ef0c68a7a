"""Without torch and all other extras, judging, explaining, atlases and the distiller still work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.encoders.test_without_torch import BLOCKED


def run_without_torch(code: str, *arguments: object) -> None:
    """Run a script in a fresh interpreter that has no torch, transformers, triton and nvidia packages."""
    command = [sys.executable, "-W", "error", "-c", BLOCKED + code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_blocker_blocks() -> None:
    run_without_torch("""
for name in ("torch", "transformers", "torch.nn"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise AssertionError(name)
""")


def test_large_banks_are_searched_and_what_needs_an_extra_names_it() -> None:
    run_without_torch("""
import numpy as np
from morelli.atlas.cells import project
from morelli.detectors import NearestNeighborDetector
from morelli.errors import UsageError

rng = np.random.default_rng(0)
bank = rng.normal(size=(9000, 8)).astype(np.float32)
unit = bank / np.linalg.norm(bank, axis=1, keepdims=True)
labels = np.arange(9000) % 2
found = NearestNeighborDetector().fit(bank, labels).predict(bank[:50] + 0.01)
asked = bank[:50] + 0.01
assert (found == labels[np.argmax(asked @ unit.T, axis=1)]).all()
for extra, use in {
    "umap": lambda: project(bank[:50], "umap"),
    "faiss": lambda: NearestNeighborDetector(index="hnsw").fit(bank, labels),
}.items():
    try:
        use()
    except UsageError as error:
        assert f"pip install 'morelli[{extra}]'" in str(error), error
    else:
        raise AssertionError(extra)
""")


@pytest.mark.encoder
def test_one_picture_with_the_shipped_bundle(real_encoder: object, photo_dir: Path) -> None:
    """`real_encoder` has fetched the weights."""
    photo = sorted(photo_dir.glob("*.jpg"))[0]
    run_without_torch(
        """
import numpy as np
import morelli

detector = morelli.load(device="cpu", offline=True)
found = detector.inspect(sys.argv[1])
assert 0 < found.probability < 1 and found.evidence is not None and found.distilled is not None
assert found.relevance.shape == (17, 14, 14) and found.relevance[-1].max() > 0
assert detector.distilled.values(np.ones((1, 512))).shape == (1, 16)
""",
        photo,
    )


def test_an_atlas_its_distiller_and_every_kind_of_map(
    tmp_path: Path, collection: Path, tiny_clip_dir: Path
) -> None:
    run_without_torch(
        """
from pathlib import Path

import numpy as np

from morelli.atlas import Atlas, AtlasOptions, build_atlas
from morelli.atlas.distiller import DistilledMap
from morelli.atlas.distiller._spelling import Spelling
from morelli.encoders import LastBlock, load_encoder
from morelli.explanation.relevance import relevance_maps, rollout_maps
from morelli.explanation.relevance._comparisons import attention_map
from morelli.explanation.relevance._deletion import deletion_curve, token_deletion_curve
from morelli.features import FeatureTable, extract
from morelli.images import decode, iter_source

folder, collection, model = map(Path, sys.argv[1:])
encoder = load_encoder(str(model), device="cpu")
block = LastBlock(encoder)
items = list(iter_source(collection, label_from="folders"))
extract(items, folder / "F.lance", encoder=encoder, kinds=["final", *block.inputs])
table = FeatureTable.open(folder / "F.lance")
options = AtlasOptions(dimensions=4)
build_atlas(table, folder / "small.atlas", options, encoder=encoder, workers=1)
atlas = Atlas.open(folder / "small.atlas")
assert atlas.relevance(0).shape == (4, 4)

distilled = atlas.distilled
distilled.save(folder / "map")
distilled = DistilledMap.load(folder / "map")
features = table.load(["final", *block.inputs])
inputs = [features.vectors[kind][:4] for kind in block.inputs]
maps = relevance_maps(block, *inputs, distilled.values_and_gradients, distilled.w).maps
assert maps.shape == (4, 5, 16) and maps[:, -1].max() > 0
assert attention_map(block, *inputs).shape == (4, 16)
token_deletion_curve(block, *inputs, maps[:, -1], distilled.logits)

files = sorted(collection.rglob("*.png"))[:4]
pixels = np.stack([encoder.transform(decode(file.read_bytes()).image) for file in files])
rollout_maps(encoder, pixels[:1], distilled.values_and_gradients, distilled.w)
for fill in ("drop", "mean"):
    curve = deletion_curve(encoder, pixels, maps[:, -1], distilled.logits, fill=fill, fractions=[0.5])
    assert np.isfinite(curve).all()
rng = np.random.default_rng(0)
Spelling.learn(*rng.normal(size=(3, 20, 8)), steps=5)
""",
        tmp_path,
        collection,
        tiny_clip_dir,
    )
