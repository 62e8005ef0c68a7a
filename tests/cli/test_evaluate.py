"""`morelli evaluate`, `audit` and `reproduce` as people use them, on a small collection and a small model."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from morelli.evaluation import Predictions
from morelli.features import Features, FeatureTable
from tests.cli.conftest import morelli, run_morelli

FAST = ("--rounds", "40", "--maps", "none")


@pytest.fixture(scope="module")
def report(tmp_path_factory, table):
    """A report on the collection: neighbours and a probe, two protocols."""
    out = tmp_path_factory.mktemp("report") / "report"
    run = morelli(
        "evaluate", "run", table, "-o", out, "--detector", "knn:1,3", "--detector", "probe@layer:2",
        "--protocol", "lineage,transfer", "--least", "5", *FAST,
    )  # fmt: skip
    assert run.code == 0, run.err
    assert "leave-one-lineage-out" in run.out
    assert "file facts" in run.out
    # What each figure is, said once for each protocol.
    assert run.out.count("so their figures differ") == run.out.count("lower than a fit on many") == 1
    return out


def test_a_run_writes_the_table_and_every_form_of_the_report(report):
    names = {p.name for p in report.iterdir()}
    assert {"predictions.parquet", "report.html", "report.json", "report.md", "estimates.csv"} <= names
    assert "transfer.csv" in names
    predictions = Predictions.read(report / "predictions.parquet")
    assert predictions.names("detector") == ["knn:1", "knn:3", "probe@layer:2"]
    assert predictions.names("protocol") == ["leave-one-lineage-out", "transfer"]
    content = json.loads((report / "report.json").read_text("utf-8"))
    assert content["headline"]["n_images"] == 120
    assert content["provenance"]["command"].startswith("morelli")
    assert content["run"]["leaks"]["leave-one-lineage-out"]["lineage"] == 0


def test_the_same_command_writes_the_same_predictions_and_reproduce_agrees(report, table, tmp_path):
    again = morelli(
        "evaluate", "run", table, "-o", tmp_path / "r", "--detector", "knn:1,3", "--detector",
        "probe@layer:2", "--protocol", "lineage,transfer", "--least", "5", *FAST, "-q",
    )  # fmt: skip
    assert (again.code, again.out) == (0, "")
    written = [(folder / "predictions.parquet").read_bytes() for folder in (report, tmp_path / "r")]
    assert written[0] == written[1]
    outcome = morelli("reproduce", report)
    assert outcome.code == 0, outcome.out
    assert "match, to the byte" in outcome.out


def test_reproduce_says_no_with_what_differs_and_what_is_missing(table, bundle, tmp_path):
    mine = Path(shutil.copytree(bundle, tmp_path / "mine"))
    made = morelli(
        "evaluate", "run", table, "--bundle", mine, "--protocol", "fixed", "--refit", "never",
        "-o", tmp_path / "r", *FAST,
    )  # fmt: skip
    assert made.code == 0, made.err
    assert "not held out" in made.err
    assert morelli("bank", "remove", mine, json.loads((mine / "bank.json").read_text())["ids"][0]).code == 0
    changed = morelli("reproduce", tmp_path / "r", "--json")
    assert changed.code == 3
    answer = json.loads(changed.out)
    assert not answer["matches"]
    assert answer["differences"][0]["what"].startswith("bundle")
    shutil.rmtree(mine)
    missing = morelli("reproduce", tmp_path / "r")
    assert missing.code == 4
    assert "bundle at" in missing.err
    moved = morelli("reproduce", tmp_path / "r", "--input", f"bundle={bundle}")
    assert moved.code == 0, moved.out
    assert morelli("reproduce", tmp_path / "r", "--input", "bundle").code == 2
    assert morelli("reproduce", tmp_path).code == 4


def test_a_bundle_that_saw_the_images_is_fitted_anew(table, bundle, tmp_path):
    run = morelli("evaluate", "run", table, "--bundle", bundle, "--protocol", "lineage", "-o", tmp_path / "r",
                  *FAST)  # fmt: skip
    assert run.code == 0, run.err
    assert "fitted again" in run.err
    predictions = Predictions.read(tmp_path / "r" / "predictions.parquet")
    assert predictions.names("detector") == ["small refitted"]


def test_a_report_is_recomputed_from_the_table_alone(report, tmp_path):
    run = morelli(
        "evaluate", "report", report / "predictions.parquet", "-o", tmp_path / "r", "--rounds", "40"
    )
    assert run.code == 0, run.err
    old, new = (json.loads((f / "report.json").read_text("utf-8")) for f in (report, tmp_path / "r"))
    assert new["results"] == old["results"]
    assert morelli("reproduce", tmp_path / "r").code == 0
    missing = morelli("evaluate", "report", tmp_path / "none.parquet", "-o", tmp_path / "x")
    assert missing.code == 4


def test_two_tables_are_compared(report, tmp_path):
    theirs = tmp_path / "theirs.parquet"
    probe = Predictions.read(report / "predictions.parquet").select(
        protocol="leave-one-lineage-out", detector="probe@layer:2"
    )
    Predictions.from_columns(
        sha256=probe.table.column("sha256").to_pylist(),
        label=probe.labels,
        logit=np.where(probe.labels == 1, 1.0, -1.0),
        detector="oracle",
    ).write(theirs)
    run = morelli("evaluate", "compare", report / "predictions.parquet", theirs, "--rounds", "60", "--json")
    assert run.code == 0, run.err
    found = json.loads(run.out)
    assert [(c["first"], c["second"]) for c in found] == [
        (d, "oracle") for d in ("knn:1", "knn:3", "probe@layer:2")
    ]
    assert all(c["differences"]["auc"]["value"] <= 0 for c in found)
    alone = morelli("evaluate", "compare", report / "predictions.parquet", "--rounds", "40")
    assert alone.code == 0
    assert "transfer" in alone.out
    few = morelli("evaluate", "compare", report / "predictions.parquet", "--rounds", "40", "--by", "lineage")
    assert few.code == 2
    assert "no lineage has 10 images or more in the table" in few.err


def test_wrong_requests_say_what_to_do(table, tmp_path):
    unknown = morelli("evaluate", "run", table, "-o", tmp_path / "r", "--detector", "forest")
    assert unknown.code == 2
    assert "knn:1,3,5,9" in unknown.err
    nothing = morelli("evaluate", "run", table, "-o", tmp_path / "r")
    assert nothing.code == 2
    assert "--detector" in nothing.err
    protocol = morelli(
        "evaluate", "run", table, "-o", tmp_path / "r", "--detector", "probe", "--protocol", "x"
    )
    assert protocol.code == 2
    assert "lineage" in protocol.err
    train = morelli(
        "evaluate", "run", table, "-o", tmp_path / "r", "--detector", "probe", "--protocol", "univfd"
    )
    assert train.code == 2
    assert "--train" in train.err
    assert not (tmp_path / "r").exists()


def test_protocols_that_can_be_done_are_done_and_the_others_are_named(table, tmp_path):
    run = morelli(
        "evaluate", "run", table, "-o", tmp_path / "r", "--detector", "knn:3", "--detector", "univfd",
        "--protocol", "lineage,era", *FAST,
    )  # fmt: skip
    assert run.code == 0, run.err
    assert "by-era cannot be done with these images" in run.err
    assert "UnivFDProbe did not learn in" in run.err
    content = json.loads((tmp_path / "r" / "report.json").read_text("utf-8"))
    assert {one["protocol"] for one in content["results"]} == {"leave-one-lineage-out"}
    alone = morelli(
        "evaluate", "run", table, "-o", tmp_path / "s", "--detector", "knn:3", "--protocol", "era", *FAST
    )
    assert alone.code == 2 and "era" in alone.err
    assert not (tmp_path / "s").exists()
    assert morelli("reproduce", tmp_path / "r").code == 0


SCORER = """
import sys
from PIL import Image
for line in sys.stdin:
    with Image.open(line.rstrip("\\n")) as image:
        red = image.convert("RGB").resize((1, 1)).getpixel((0, 0))[0]
    print(line.rstrip("\\n"), red / 255)
"""


def test_another_tool_is_scored_and_its_run_reproduced(collection, tmp_path):
    script = tmp_path / "score.py"
    script.write_text(SCORER)
    run = morelli(
        "evaluate", "run", collection, "--external", f"{sys.executable} {script}",
        "--external-name", "redness", "--label-from", "folders", "-o", tmp_path / "r", *FAST,
    )  # fmt: skip
    assert run.code == 0, run.err
    predictions = Predictions.read(tmp_path / "r" / "predictions.parquet")
    assert predictions.names("detector") == ["redness"]
    assert len(predictions) == 120
    row = predictions.table.slice(7, 1).to_pylist()[0]
    with Image.open(row["uri"]) as image:
        red = image.convert("RGB").resize((1, 1)).getpixel((0, 0))[0]
    assert row["probability"] == pytest.approx(red / 255)
    command = f"{sys.executable} {script}"
    refused = morelli("reproduce", tmp_path / "r")
    assert refused.code == 2 and "is not run" in refused.err and str(script) in refused.err
    assert morelli("reproduce", tmp_path / "r", "--external", command).code == 0
    script.write_text(SCORER.replace("[0]\n", "[1]\n"))
    assert morelli("reproduce", tmp_path / "r", "--external", command).code == 3


def test_a_tools_images_come_from_named_columns_or_a_published_layout(collection, tmp_path):
    script = tmp_path / "score.py"
    script.write_text(SCORER)
    files = {
        "real": sorted(collection.glob("real/**/*.png"))[:6],
        "fake": sorted(collection.glob("fake/**/*.png"))[:6],
    }
    rows = [f"{path},{label},cat" for label, paths in files.items() for path in paths]
    (tmp_path / "set.csv").write_text("\n".join(["where,truth,label", *rows]) + "\n")
    for label, folder in (("real", "nature"), ("fake", "ai")):
        place = tmp_path / "GenImage" / "wukong" / "imagenet_ai_0424_wukong" / "val" / folder
        place.mkdir(parents=True)
        for path in files[label]:
            shutil.copy(path, place / f"{path.parent.name}-{path.name}")
    command = f"{sys.executable} {script}"
    for out, source, options in (
        ("columns", "set.csv", ("--image-column", "where", "--label-column", "truth")),
        ("layout", "GenImage", ("--layout", "genimage")),
    ):
        run = morelli(
            "evaluate", "run", tmp_path / source, "--external", command, *options, "-o", tmp_path / out, *FAST
        )
        assert run.code == 0, run.err
        table = Predictions.read(tmp_path / out / "predictions.parquet").table
        assert sorted(table.column("label").to_pylist()) == [0] * 6 + [1] * 6
        again = morelli("reproduce", tmp_path / out, "--external", command)
        assert again.code == 0, again.err
    rows = table.to_pylist()
    assert {row["generator"] for row in rows if row["label"]} == {"wukong"}
    assert {row["source"] for row in rows if not row["label"]} == {"imagenet"}


def test_a_sweep_keeps_its_features_and_is_reported(collection, tiny_clip_dir, tmp_path):
    small = tmp_path / "small"
    for label, named in (("real", "nature"), ("fake", "ai")):
        for folder in sorted((collection / label).iterdir())[:3]:
            shutil.copytree(folder, small / folder.name / "val" / named)
    run = morelli(
        "evaluate", "robustness", small, "--layout", "genimage", "--encoder", tiny_clip_dir, "--detector",
        "probe", "--perturbations", "jpeg:50,blur:2", "-o", tmp_path / "r", "--rounds", "20",
    )  # fmt: skip
    assert run.code == 0, run.err
    assert "layout GenImage" in run.err
    assert "jpeg:50" in run.out
    content = json.loads((tmp_path / "r" / "report.json").read_text("utf-8"))
    everything = [p for p in content["robustness"] if p["family"] == "all"]
    assert [p["perturbation"] for p in everything] == ["", "jpeg:50", "blur:2"]
    table = tmp_path / "r" / "robustness.lance"
    again = morelli(
        "evaluate", "robustness", table, "--detector", "knn:3", "-o", tmp_path / "k", "--rounds", "20"
    )
    assert again.code == 0, again.err
    assert "knn:3" in again.out
    assert morelli("reproduce", tmp_path / "r").code == 0


def _small_labelled(collection: Path, into: Path) -> Path:
    for label in ("real", "fake"):
        for folder in sorted((collection / label).iterdir())[:3]:
            shutil.copytree(folder, into / label / folder.name)
    return into


def test_a_sweep_lists_the_files_that_it_cannot_read(collection, tiny_clip_dir, tmp_path):
    small = _small_labelled(collection, tmp_path / "small")
    (small / "real" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    command = [
        "evaluate", "robustness", small, "--label-from", "folders", "--encoder", tiny_clip_dir, "--detector",
        "probe", "--perturbations", "blur:2", "-o", tmp_path / "r", "--rounds", "20",
    ]  # fmt: skip
    run = morelli(*command)
    assert run.code == 3, run.err
    assert "1 could not be swept" in run.err
    assert run.err.count("broken.png: ") == 1
    assert "blur:2" in run.out
    (tmp_path / "bad" / "real").mkdir(parents=True)
    shutil.copy(small / "real" / "broken.png", tmp_path / "bad" / "real")
    none = morelli(
        "evaluate", "robustness", tmp_path / "bad", "--encoder", tiny_clip_dir, "--detector", "probe", "-o",
        tmp_path / "n", "--perturbations", "blur:2", "--label-from", "folders",
    )  # fmt: skip
    assert none.code == 4, none.err
    assert "broken.png: " in none.err


def test_a_picture_that_a_delivery_refuses_is_left_out_of_the_sweep(collection, tiny_clip_dir, tmp_path):
    small = _small_labelled(collection, tmp_path / "small")
    Image.new("RGB", (40, 17_000), "teal").save(small / "real" / "tall.png")
    run = morelli(
        "evaluate", "robustness", small, "--label-from", "folders", "--encoder", tiny_clip_dir, "--detector",
        "probe", "--perturbations", "webp:75", "-o", tmp_path / "r", "--rounds", "20",
    )  # fmt: skip
    assert run.code == 3, run.err
    assert "tall.png: extreme_shape: under webp:75: " in run.err
    assert "images without features under a delivery are in none" in run.err
    rows = Predictions.read(tmp_path / "r" / "predictions.parquet")
    names = {d: rows.select(perturbation=d).table.column("sha256").to_pylist() for d in ("", "webp:75")}
    assert names[""] == names["webp:75"]
    assert not any("tall.png" in uri for uri in rows.table.column("uri").to_pylist())
    assert morelli("reproduce", tmp_path / "r").code == 0


def test_images_without_a_label_are_left_out_of_a_sweep_before_they_are_encoded(
    collection, tiny_clip_dir, tmp_path
):
    small = _small_labelled(collection, tmp_path / "small")
    photo = next(path for path in (small / "real").rglob("*") if path.is_file())
    (small / "later").mkdir()
    with Image.open(photo) as image:
        image.convert("RGB").rotate(90).save(small / "later" / "nobody-knows.png")
    options = ["--detector", "probe", "--rounds", "20"]
    encoded = ["--encoder", tiny_clip_dir, "--perturbations", "blur:2", *options]
    command = ["evaluate", "robustness", small, *encoded]
    run = morelli(*command, "--label-from", "folders", "-o", tmp_path / "r")
    assert run.code == 0, run.err
    assert "images without a label, left out of the sweep: 1" in run.err
    table = FeatureTable.open(tmp_path / "r" / "robustness.lance")
    assert not any("nobody-knows" in uri for uri in table.metadata(["uri"]).column("uri").to_pylist())
    none = morelli("evaluate", "robustness", small / "later", *encoded, "-o", tmp_path / "n")
    assert none.code == 2
    assert "no image has a label" in none.err
    assert not (tmp_path / "n" / "robustness.lance").exists()

    # A table that holds one all the same is swept without it.
    rows = table.load()
    labels = rows.meta.column("label").to_pylist()
    lost = rows.column("sha256")[0]
    unknown = [
        None if sha == lost else label for sha, label in zip(rows.column("sha256"), labels, strict=True)
    ]
    place = rows.meta.column_names.index("label")
    meta = rows.meta.set_column(place, rows.meta.field(place), pa.array(unknown, rows.meta.field(place).type))
    part = FeatureTable.create(tmp_path / "part.lance", table.build, table.spec.kinds)
    part.append(Features(rows.vectors, meta, rows.build))
    again = morelli("evaluate", "robustness", part.path, *options, "-o", tmp_path / "p")
    assert again.code == 0, again.err
    scored = Predictions.read(tmp_path / "p" / "predictions.parquet").table
    assert lost not in scored.column("sha256").to_pylist()
    assert len(scored) == len(rows) - 2


def test_an_audit_finds_the_shortcut_and_alignment_removes_it(photos, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(24):
        image = photos[number % len(photos)][1]
        x, y = (int(rng.integers(0, extent - 150)) for extent in image.size)
        crop = image.crop((x, y, x + 150, y + 150))
        for label, suffix in (("real", "jpg"), ("fake", "png")):
            (tmp_path / "set" / label).mkdir(parents=True, exist_ok=True)
            crop.save(tmp_path / "set" / label / f"{number}.{suffix}")
    run = morelli(
        "audit", tmp_path / "set", "--label-from", "folders", "-o", tmp_path / "audit", "--align",
        tmp_path / "aligned", "--side", "96",
    )  # fmt: skip
    assert run.code == 0, run.err
    before, after = (
        json.loads(p.read_text("utf-8"))
        for p in (tmp_path / "audit" / "audit.json", tmp_path / "audit" / "aligned" / "audit.json")
    )
    assert before["metadata_only"]["auc"] >= 0.95
    assert 0.45 <= after["metadata_only"]["auc"] <= 0.55
    page = (tmp_path / "audit" / "audit.html").read_text("utf-8")
    assert f"{before['metadata_only']['auc']:.3f}" in page
    assert f"{after['metadata_only']['auc']:.3f}" in page
    assert "<script" not in page
    assert "://" not in page
    with (tmp_path / "aligned" / "manifest.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 48
    plain = morelli("audit", tmp_path / "aligned" / "manifest.csv", "--json")
    assert plain.code == 0, plain.err
    assert json.loads(plain.out)["counts"]["real"] == 24
    assert morelli("audit", tmp_path / "set", "--align", tmp_path / "set").code == 2
    assert morelli("audit", tmp_path / "nowhere").code == 4


def test_univfds_layout_becomes_a_manifest(photos, tmp_path):
    root = tmp_path / "sets"
    for name, number in (("progan/cat", 3), ("biggan", 2)):
        for kind in ("0_real", "1_fake"):
            (root / name / kind).mkdir(parents=True)
            for k in range(number):
                photos[k][1].resize((40, 40)).save(root / name / kind / f"{k}.png")
    run = morelli("evaluate", "univfd-sets", root, "-o", tmp_path / "sets.csv")
    assert run.code == 0, run.err
    with (tmp_path / "sets.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["set"], r["label"]) for r in rows].count(("progan", "fake")) == 3
    assert all(Path(r["path"]).is_file() for r in rows)


def test_a_report_of_one_class_is_quiet_and_says_so(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, label in (("fakes", 1), ("reals", 0)):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"label": [label] * 30, "probability": np.linspace(0, 1, 30)}), path)
        out = tmp_path / name
        options = ["-o", out, "--rounds", "5", "-q"]
        run = run_morelli("evaluate", "report", path, *options, PYTHONWARNINGS="always")
        assert (run.code, run.err) == (0, "")
        assert "only one class is present" in (out / "report.md").read_text()
