"""Recipes from end to end on miniatures with small real encoders: bundle, card, report; resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from morelli.cli._app import app
from morelli.detectors import Bundle
from morelli.encoders import load_encoder
from morelli.errors import UsageError
from morelli.inspection import load
from morelli.recipes.plans import plan
from morelli.recipes.run import feature_kinds, run_plan
from tests.encoders.rotary_reference import save_rotary
from tests.recipes.data_hub import DataHub, serve
from tests.recipes.miniatures import write_openfake


@pytest.fixture(scope="module")
def pe_core(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pe-core")
    save_rotary(folder, "pe")
    return load_encoder(folder)


@pytest.fixture(scope="module")
def openfake(tmp_path_factory, photos):
    return write_openfake(tmp_path_factory.mktemp("openfake"), photos)


@pytest.fixture
def hub(openfake: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataHub]:
    import huggingface_hub.constants as constants

    with serve(DataHub({"ComplexDataLab/OpenFake": openfake})) as running:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", running.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield running


def test_openfake_from_the_hub_through_pe_core(hub, pe_core, tmp_path, photos):
    small = replace(plan("openfake").scaled(18), evaluate=("source",))
    out = tmp_path / "out"

    class EndedError(Exception):
        pass

    def end(what: str, done: int, total: int | None) -> None:
        if what == "extracting" and done >= 12:
            raise EndedError

    with pytest.raises(EndedError):
        run_plan(small, out, encoder=pe_core, fetch=True, on_progress=end)
    assert not (out / "bundle").exists()
    requests = len(hub.requests)

    made = run_plan(small, out, encoder=pe_core, fetch=True, command="morelli recipe run openfake")
    assert len(hub.requests) == requests  # what was taken is not fetched again
    assert [step.ran for step in made.steps] == [False, False, True, True, True]
    assert set(made.bundle.head_kinds) == set(feature_kinds(small, pe_core))
    assert made.bundle.metrics["auc"]["value"] > 0.7

    card = (out / "bundle" / "MODEL_CARD.md").read_text()
    assert "CC BY-NC 4.0" in card
    assert "Never run on the published files" in card
    page = (out / "RECIPE.md").read_text()
    assert "| OpenFake | 18 | 18 | 12 | 4 | 0 | hub:ComplexDataLab/OpenFake@2222" in page
    report = json.loads((out / "report" / "report.json").read_text())
    assert {row["protocol"] for row in report["results"]} == {"by-real-source"}
    record = json.loads((out / "recipe.json").read_text())
    assert record["build"]["fingerprint"] == pe_core.build.fingerprint
    assert [step["step"] for step in record["steps"]] == [
        *("collect-openfake", "align", "extract", "fit", "evaluate"),
    ]

    # The bundle judges new pictures with the encoder that made it.
    photo = tmp_path / "photo.png"
    photos[3][1].save(photo)
    (found,) = load(made.folder / "bundle", weights=pe_core.checkpoint.folder).detect(photo)
    assert 0 <= found.verdict.probability <= 1

    # Nothing is done twice, and an output that is missing is made again.
    again = run_plan(small, out, encoder=pe_core, fetch=False)
    assert not any(step.ran for step in again.steps)
    shutil.rmtree(out / "bundle")
    mended = run_plan(small, out, encoder=pe_core, fetch=False)
    assert [step.ran for step in mended.steps] == [False, False, False, True, False]
    assert Bundle.load(out / "bundle").digest == mended.bundle.digest


def own_folders(collection: Path, folder: Path, *, groups: int, encoder: Path, images: int) -> list[str]:
    """Copy so many groups of each class to `folder`/mine; the command that runs a recipe of them to `out`."""
    for label in ("real", "fake"):
        for group in sorted((collection / label).iterdir())[:groups]:
            shutil.copytree(group, folder / "mine" / label / group.name)
    document = {**plan("own-folders").document, "evaluate": ["source"]}
    (folder / "own.json").write_text(json.dumps(document))
    return [
        *("recipe", "run", str(folder / "own.json"), "-o", str(folder / "out")),
        *("--data", str(folder / "mine"), "--encoder", str(encoder), "--images", str(images)),
    ]


def test_own_folders_on_the_command_line(collection, tiny_clip_dir, tmp_path):
    pictures, out = tmp_path / "mine", tmp_path / "out"
    arguments = own_folders(collection, tmp_path, groups=4, encoder=tiny_clip_dir, images=20)
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.output
    assert "terms: yours to know" in first.output
    assert "groups held out" in first.output
    assert Bundle.load(out / "bundle").training["n_real"] == 20

    # A folder that changed is read again.
    shutil.rmtree(next((pictures / "fake").iterdir()))
    second = CliRunner().invoke(app, arguments)
    assert second.exit_code == 0, second.output
    assert "there already" not in second.output
    assert len(Bundle.load(out / "bundle").training["generators"]) == 3


def test_a_renamed_folder_of_the_same_pictures_is_fitted_again(collection, tiny_clip_dir, tmp_path):
    pictures, out = tmp_path / "mine", tmp_path / "out"
    arguments = own_folders(collection, tmp_path, groups=3, encoder=tiny_clip_dir, images=1000)
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.output
    renamed = max((pictures / "fake").iterdir())
    renamed.rename(renamed.with_name("zz-flux9"))
    second = CliRunner().invoke(app, arguments)
    assert second.exit_code == 0, second.output
    generators = Bundle.load(out / "bundle").training["generators"]
    assert len(generators) == 3
    assert "zz-flux9" in generators
    assert renamed.name not in generators


def test_what_recipe_list_shows():
    shown = CliRunner().invoke(app, ["recipe", "list"])
    assert shown.exit_code == 0
    for name in ("community-forensics", "openfake", "genimage", "drct", "own-folders"):
        assert name in shown.output
    assert "CC BY-NC 4.0" in shown.output
    rows = json.loads(CliRunner().invoke(app, ["recipe", "list", "--json"]).output)
    assert {row["encoder"] for row in rows} >= {"pe-core-l14-336"}


def test_folders_of_others_are_left_alone(pe_core, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="something else"):
        run_plan(plan("own-folders"), tmp_path, encoder=pe_core)
    with pytest.raises(UsageError, match="no collection"):
        run_plan(plan("own-folders"), tmp_path / "new", encoder=pe_core, data={"others": tmp_path})
