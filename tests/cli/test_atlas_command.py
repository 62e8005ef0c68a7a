"""`morelli atlas` as a user runs it: build, look, take out, add."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import morelli


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory, collection: Path, tiny_clip_dir: Path) -> Path:
    """An atlas of the collection without one generator, made from files by the program."""
    folder = tmp_path_factory.mktemp("atlas")
    table, out = folder / "F.lance", folder / "small.atlas"
    run = morelli(
        "extract", collection, "-o", table, "--encoder", tiny_clip_dir, "--label-from", "folders",
        "--kinds", "final,layer:3,tokens:3",
    )  # fmt: skip
    assert run.code == 0, run.err
    run = morelli(
        "atlas", "build", table, "-o", out, "--dimensions", "4", "--projection", "pca", "--workers", "1",
        "--where", "generator != 'generator-of-coffee' OR generator IS NULL", "--weights", tiny_clip_dir,
    )  # fmt: skip
    assert run.code == 0, run.err
    assert "held-out AUC" in run.out and "files alone" in run.out
    return out


def test_an_atlas_says_what_it_holds(atlas: Path) -> None:
    document = json.loads(morelli("atlas", "info", atlas, "--json").out)
    assert document["images"] == sum(document["counts"][name] for name in ("real", "fake"))
    assert len(document["dimensions_view"]) == 4
    words = morelli("atlas", "info", atlas).out
    assert f"{document['images']} images" in words
    names = [one["name"] for one in document["dimensions_view"]]
    assert len(set(names)) == 4
    assert all(name.split()[0] in words for name in names)


def test_what_files_alone_give_away_is_one_figure_in_fit_and_atlas(table: Path, tmp_path: Path) -> None:
    built = morelli(
        "atlas",
        "build",
        table,
        "-o",
        tmp_path / "all.atlas",
        "--no-maps",
        "--dimensions",
        "2",
        "--projection",
        "pca",
    )
    fitted = morelli("fit", table, "-o", tmp_path / "b", "--kinds", "final")
    assert built.code == fitted.code == 0, built.err + fitted.err
    alone = re.search(r"files alone (\d\.\d{3})", built.out)
    assert alone
    beside = re.search(r"AUC of file facts alone +(\d\.\d{3})  \(90 %: ", fitted.out)
    assert beside and beside.group(1) == alone.group(1)
    # Each says why its own area under the curve is not that of the others.
    assert "`morelli evaluate run` leaves one lineage out at a time" in fitted.out
    assert "of these 2 dimensions alone; " in built.out and "their figures differ" in built.out


def test_figures_of_a_selection(atlas: Path) -> None:
    spec = '{"column": "label", "in": ["real"]}'
    found = json.loads(morelli("atlas", "info", atlas, "--select", spec, "--json").out)
    assert found["n"] == found["confusion"]["tn"] + found["confusion"]["fp"]
    assert "one class only" in morelli("atlas", "info", atlas, "--select", spec).out
    both = morelli("atlas", "info", atlas, "--select", '{"not": {"text": "no such text"}}').out
    assert "held-out AUC" in both and "folds" in both and "without an answer (" in both
    wrong = morelli("atlas", "info", atlas, "--select", "nobody saved this")
    assert wrong.code == 2 and "neither a selection" in wrong.err


def test_an_atlas_is_taken_out_in_every_form(atlas: Path, tmp_path: Path) -> None:
    for view in ("overview", "patterns", "dimensions"):
        run = morelli("atlas", "export", atlas, "-o", tmp_path / f"{view}.png", "--view", view)
        assert run.code == 0, run.err
        with Image.open(tmp_path / f"{view}.png") as drawn:
            assert min(drawn.size) > 100
    assert morelli("atlas", "export", atlas, "-o", tmp_path / "a.html").code == 0
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<html" in page and "http://" not in page.replace("http://www.w3.org", "")
    spec = '{"column": "label", "in": ["fake"]}'
    run = morelli("atlas", "export", atlas, "-o", tmp_path / "fakes.csv", "--select", spec)
    assert run.code == 0, run.err
    with (tmp_path / "fakes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and {row["label"] for row in rows} == {"fake"}
    assert morelli("atlas", "export", atlas, "-o", tmp_path / "a.docx").code == 2


def test_images_are_added(atlas: Path, tiny_clip_dir: Path) -> None:
    before = json.loads(morelli("atlas", "info", atlas, "--json").out)
    table = atlas.parent / "F.lance"
    run = morelli("atlas", "add", atlas, table, "--workers", "1", "--weights", tiny_clip_dir)
    assert run.code == 0, run.err
    after = json.loads(morelli("atlas", "info", atlas, "--json").out)
    assert after["images"] > before["images"]
    assert f"{after['images'] - before['images']} images added" in " ".join(run.out.split())
    assert "0 images added" in morelli("atlas", "add", atlas, table, "--weights", tiny_clip_dir).out


def test_a_build_that_cannot_be_is_refused(atlas: Path, tmp_path: Path) -> None:
    again = morelli("atlas", "build", atlas.parent / "F.lance", "-o", atlas, "--no-maps")
    assert again.code == 2 and "finished atlas" in again.err
    table, few = atlas.parent / "F.lance", tmp_path / "few.atlas"
    refused = morelli("atlas", "build", table, "-o", few, "--no-maps", "--where", "label = 1")
    assert refused.code == 2 and not few.exists(), refused.err
    none = morelli("atlas", "info", tmp_path / "none.atlas")
    assert none.code == 4 and "is not there" in none.err
