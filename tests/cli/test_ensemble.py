"""`morelli ensemble`, and the commands that answer with what it writes, on two small encoders."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from morelli.detectors import Ensemble
from tests.cli.conftest import morelli
from tests.small_ensemble import naflex_dir

__all__ = ["naflex_dir"]


@pytest.fixture(scope="session")
def other_table(tmp_path_factory: pytest.TempPathFactory, collection: Path, naflex_dir: Path) -> Path:
    """The collection's features by a second encoder."""
    out = tmp_path_factory.mktemp("other") / "N.lance"
    options = ["--encoder", naflex_dir, "--label-from", "folders", "--kinds", "final,mean:2"]
    run = morelli("extract", collection, "-o", out, *options)
    assert run.code == 0, run.err
    return out


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory: pytest.TempPathFactory, other_table: Path) -> Path:
    out = tmp_path_factory.mktemp("other-bundle") / "naflex"
    run = morelli("fit", other_table, "-o", out, "--kinds", "final")
    assert run.code == 0, run.err
    return out


@pytest.fixture(scope="session")
def both(
    tmp_path_factory: pytest.TempPathFactory, bundle: Path, other_bundle: Path, table: Path, other_table: Path
) -> Path:
    """The two joined by the program."""
    out = tmp_path_factory.mktemp("ensemble") / "both"
    run = morelli("ensemble", bundle, other_bundle, "-f", table, "-f", other_table, "-o", out)
    assert run.code == 0, run.err
    for words in ("2 forward passes an image", "small", "naflex", "plain mean", "combination"):
        assert words in run.out
    assert "Members contradict each other on" in run.out
    made = Ensemble.load(out)
    best = max("small", "naflex", key=lambda name: made.metrics["compared"][name]["auc"]["value"])
    gains = made.metrics["compared"][best]["difference"].values()
    said = f"the combination is not better than the member {best} alone"
    assert (said in " ".join(run.err.split())) == all(one["low"] <= 0 for one in gains)
    return out


@pytest.fixture
def weights(tiny_clip_dir: Path, naflex_dir: Path) -> list[str | Path]:
    """In another order than the members: each encoder takes what is its own."""
    return ["--weights", naflex_dir, "--weights", tiny_clip_dir]


def test_every_verdict_says_what_each_member_says(
    tmp_path: Path, both: Path, bundle: Path, collection: Path, tiny_clip_dir: Path, weights: list[str | Path]
) -> None:
    run = morelli("detect", collection, "--bundle", both, *weights, "--label-from", "folders", "--json")
    assert run.code == 0, run.err
    assert "Ensemble of 2 detectors: 2 forward passes an image" in run.err
    document = json.loads(run.out)
    facts = document["bundle"]["members"]
    assert [(one["name"], one["dtype"]) for one in facts] == [("small", "float32"), ("naflex", "float32")]
    alone = morelli("detect", collection, "--bundle", bundle, "--weights", tiny_clip_dir, "--json", "--quiet")
    singles = {one["uri"]: one for one in json.loads(alone.out)["results"]}
    right = []
    for result in document["results"]:
        said = result["ensemble"]
        first = said["members"][0]
        assert first["probability"] == pytest.approx(singles[result["uri"]]["probability"], abs=1e-5)
        assert said["disagree"] == (said["contradict"] or said["unusual"])
        assert any("naflex" in reason for reason in result["reasons"])
        if result["verdict"] in ("ai", "real"):
            right.append((result["verdict"] == "ai") == (result["label"] == "fake"))
    assert len(right) > 60
    assert sum(right) / len(right) > 0.9


def test_a_bad_file_is_said_and_stops_nothing(
    tmp_path: Path, both: Path, collection: Path, weights: list[str | Path]
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number, file in enumerate(sorted(collection.rglob("*.png"))[:4]):
        shutil.copy(file, folder / f"{number}.png")
    (folder / "1b.png").write_bytes(b"no picture at all")
    Image.new("RGB", (8, 8), "red").save(folder / "3b.png")
    table = tmp_path / "verdicts.csv"
    run = morelli("detect", folder, "--bundle", both, *weights, "--csv", table)
    assert run.code == 3
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = {Path(row["uri"]).name: row for row in csv.DictReader(file)}
    assert list(rows) == ["0.png", "1.png", "1b.png", "2.png", "3.png", "3b.png"]
    assert rows["1b.png"]["error"]
    assert rows["3b.png"]["verdict"] == "out_of_domain"
    assert all("naflex" in rows[f"{number}.png"]["reasons"] for number in range(4))


def test_an_image_is_judged_alike_alone_and_among_others(
    both: Path, collection: Path, weights: list[str | Path]
) -> None:
    file = sorted(collection.rglob("*.png"))[3]

    def judged(*paths: Path) -> dict[str, Any]:
        run = morelli("detect", *paths, "--bundle", both, *weights, "--json", "--quiet")
        return next(one for one in json.loads(run.out)["results"] if one["uri"] == str(file))

    alone, among = judged(file), judged(file.parent)
    assert among["probability"] == pytest.approx(alone["probability"], abs=1e-4)
    assert among["verdict"] == alone["verdict"]


def test_encoders_that_cannot_be_had_end_the_command_before_any_work(
    tmp_path: Path, both: Path, collection: Path, tiny_clip_dir: Path
) -> None:
    table = tmp_path / "verdicts.csv"
    run = morelli("detect", collection, "--bundle", both, "--weights", tiny_clip_dir, "--csv", table)
    assert run.code == 4
    assert "tiny-naflex" in run.err
    assert "--weights FOLDER" in run.err
    assert not table.exists()


def test_options_that_an_ensemble_does_not_have_are_refused(
    both: Path, bundle: Path, collection: Path, tiny_clip_dir: Path, weights: list[str | Path]
) -> None:
    fast = morelli("detect", collection, "--bundle", both, *weights, "--precision", "fast")
    assert fast.code == 2
    assert "What bfloat16 and int8 cost the ensemble both was not measured" in fast.err
    twice = morelli("detect", collection, "--bundle", bundle, *weights)
    assert twice.code == 2
    assert "give --weights once" in twice.err
    bank = morelli("bank", "info", both)
    assert bank.code == 4
    assert "is an ensemble of detectors" in bank.err


def test_other_rates_and_deliveries(both: Path, collection: Path, weights: list[str | Path]) -> None:
    file = sorted((collection / "fake").rglob("*.png"))[0]
    options = ["--bundle", both, *weights, "--json", "--fpr", "0.2", "--base-rate", "0.01", "--thorough"]
    run = morelli("detect", file, *options)
    assert run.code == 0, run.err
    assert "16 forward passes an image" in run.err
    document = json.loads(run.out)
    (result,) = document["results"]
    assert document["bundle"]["thresholds"]["ai"]["rate"] == 0.2
    assert len(result["stability"]["deliveries"]) == 7
    assert result["ensemble"]["members"][0]["probability"] < 0.999


def test_evaluation_scores_it_beside_others(
    tmp_path: Path, both: Path, bundle: Path, table: Path, other_table: Path
) -> None:
    """As it is with --refit never; else it is left out, since it has seen the images."""
    options = ["--protocol", "fixed,lineage", "--detector", "knn:3", "--rounds", "20", "--maps", "none"]
    run = morelli(
        *("evaluate", "run", table, "--more", other_table, "--bundle", both, "--bundle", bundle),
        *(*options, "--refit", "never", "-o", tmp_path / "report"),
    )
    assert run.code == 0, run.err
    assert "both" in run.out
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert "both" in json.dumps(report)
    again = morelli("reproduce", tmp_path / "report")
    assert again.code == 0, again.err + again.out
    left = morelli(
        *("evaluate", "run", table, "--more", other_table, "--bundle", both),
        *(*options, "-o", tmp_path / "left"),
    )
    assert left.code == 0, left.err
    assert "its model card has the figures" in " ".join(left.err.split())


def test_evaluation_without_a_members_table_says_which(
    tmp_path: Path, both: Path, table: Path, other_table: Path
) -> None:
    options = ["--protocol", "fixed", "--maps", "none", "-o", tmp_path / "report"]
    run = morelli("evaluate", "run", table, "--bundle", both, *options)
    assert run.code == 2
    assert "no table has features by tiny-naflex" in " ".join(run.err.split())
    sweep = morelli("evaluate", "robustness", table, "--bundle", both, "-o", tmp_path / "sweep")
    assert sweep.code == 2
    assert "a sweep reads one table of one encoder" in " ".join(sweep.err.split())


def test_tables_and_bundles_that_do_not_belong_together_are_refused(
    tmp_path: Path, bundle: Path, other_bundle: Path, table: Path, other_table: Path
) -> None:
    out = tmp_path / "out"
    alone = morelli("ensemble", bundle, "-f", table, "-o", out)
    assert alone.code == 2
    assert "two bundles or more" in alone.err
    missing = morelli("ensemble", bundle, other_bundle, "-f", table, "-o", out)
    assert missing.code == 2
    assert "no tables have features by tiny-naflex" in " ".join(missing.err.split())
    foreign = morelli("ensemble", bundle, bundle, "-f", other_table, "-o", out)
    assert foreign.code == 2
    assert "which no member was fitted on" in " ".join(foreign.err.split())
    assert not out.exists()
