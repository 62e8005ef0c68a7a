"""The report: one page that asks for nothing, figures that come from the table, and reproduction."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from morelli.detectors import LinearProbe, NearestNeighborDetector, Recipe, fit_bundle
from morelli.errors import ArtifactError, UsageError
from morelli.evaluation import (
    Candidate,
    Input,
    MeasureOptions,
    Predictions,
    Run,
    compare_tables,
    evaluate,
    execute,
    summarize,
)
from morelli.evaluation._compare import compare
from morelli.evaluation._univfd_protocol import univfd
from morelli.features import Features, FeatureTable
from morelli.images import iter_source
from morelli.metrics import roc_auc, tpr_at_fpr
from morelli.palette import css_variables
from morelli.reports import _figures as figures
from morelli.reports import reproduce, write_report
from morelli.reports._curves import matrix, roc, worst
from morelli.reports._document import robustness_series
from morelli.reports._figures import heat_colour
from morelli.reports._published import PUBLISHED, SETS, comparable
from tests.reports.offline_page import assert_asks_for_nothing

QUICK = MeasureOptions(rounds=40)


def planted(seed: int = 0, n: int = 12) -> Features:
    """Four lineages and four real sources of `n` images, apart by a shift and by their file format."""
    rng = np.random.default_rng(seed)
    lineage = [f"l{i // n}" for i in range(4 * n)] + [None] * (4 * n)
    source = [None] * (4 * n) + [f"s{i // n}" for i in range(4 * n)]
    y = np.repeat([1, 0], 4 * n)
    X = rng.normal(size=(8 * n, 10))
    X[:, 0] += 1.4 * y
    return Features.from_arrays(
        {"final": X, "layer:1": X[:, :4] * 3},
        labels=y,
        lineage=lineage,
        generator=lineage,
        source=source,
        phash=[int(h) for h in rng.integers(0, 2**63, 8 * n, dtype=np.uint64)],
        format=["PNG" if label else "JPEG" for label in y],
        width=[256] * (8 * n),
        height=[256] * (8 * n),
    )


def stored(features: Features, path: Path) -> Path:
    table = FeatureTable.create(path, features.build, {k: v.shape[1] for k, v in features.vectors.items()})
    table.append(features)
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return stored(planted(), tmp_path_factory.mktemp("features") / "F.lance")


@pytest.fixture(scope="module")
def run(table):
    return Run(
        inputs=(Input("features", str(table)),),
        detectors=("knn:1,3", "probe"),
        protocols=("lineage", "transfer"),
    )


@pytest.fixture(scope="module")
def report(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports") / "report"
    return write_report(execute(run), folder, options=QUICK, name="A <b>trial</b>", command="morelli x")


def test_the_page_is_one_file_that_asks_for_nothing(report):
    text = report.page.read_text("utf-8")
    assert_asks_for_nothing(text)
    assert "A &lt;b&gt;trial&lt;/b&gt;" in text  # names are text, never markup
    assert css_variables() in text


def test_every_result_has_file_facts_beside_it(report):
    text = report.page.read_text("utf-8")
    for result in report.summary.results:
        assert result.metadata_only is not None
        assert result.metadata_only.value > 0.95  # PNG against JPEG
        assert text.count(f"{result.metadata_only.value:.3f}") >= 3
    captions = re.findall(r"<caption>(.*?)</caption>", text, re.S)
    assert captions
    assert all("File facts alone" in c for c in captions)
    assert f"{report.summary.results[0].metadata_only.value:.3f}" in (report.folder / "report.md").read_text()


def test_all_figures_come_from_the_table_beside_the_report(report):
    again = summarize(Predictions.read(report.folder / "predictions.parquet"), QUICK)
    assert again.to_json()["results"] == report.summary.to_json()["results"]
    content = json.loads((report.folder / "report.json").read_text("utf-8"))
    for written, result in zip(content["results"], again.to_json()["results"], strict=True):
        assert {k: written[k] for k in result} == result
    rows = list(csv.DictReader(io.StringIO((report.folder / "estimates.csv").read_text("utf-8"))))
    best = content["headline"]
    match = [
        r for r in rows
        if (r["protocol"], r["detector"], r["scope"], r["metric"])
        == (best["protocol"], best["detector"], "all", "auc")
    ]  # fmt: skip
    assert [float(r["value"]) for r in match] == [best["auc"]["value"]]
    stated = content["provenance"]["predictions"]["sha256"]
    assert hashlib.sha256((report.folder / "predictions.parquet").read_bytes()).hexdigest() == stated


def test_two_runs_write_the_same_bytes_and_reproduce_says_so(run, report, tmp_path):
    assert execute(run).predictions.write(tmp_path / "p.parquet") == report.predictions_sha256
    outcome = reproduce(report.folder)
    assert outcome.matches
    assert outcome.exact
    assert outcome.differences == ()


def copied(report, tmp_path) -> Path:
    return Path(shutil.copytree(report.folder, tmp_path / "copy"))


def test_reproduce_says_what_was_changed_in_a_report(report, tmp_path):
    folder = copied(report, tmp_path)
    file = folder / "report.json"
    content = json.loads(file.read_text("utf-8"))
    content["results"][1]["metrics"]["auc"]["value"] += 0.01
    file.write_text(json.dumps(content))
    outcome = reproduce(file)
    assert not outcome.matches
    assert outcome.exact  # the predictions are as they were
    assert [d.what for d in outcome.differences] == ["results[leave-one-lineage-out knn:3].metrics.auc.value"]


def test_reproduce_finds_changed_predictions_beside_the_report(report, tmp_path):
    folder = copied(report, tmp_path)
    predictions = Predictions.read(folder / "predictions.parquet")
    predictions.rows(np.arange(len(predictions) - 1)).write(folder / "predictions.parquet")
    outcome = reproduce(folder)
    assert not outcome.matches
    assert "predictions.parquet" in outcome.differences[0].what


def test_reproduce_finds_changed_features(report, tmp_path):
    features = planted()
    vectors = {k: v.copy() for k, v in features.vectors.items()}
    vectors["final"][3] += 2.0
    columns = {c: features.column(c) for c in ("sha256", "uri", "lineage", "generator", "source", "phash",
                                               "format", "width", "height")}  # fmt: skip
    other = Features.from_arrays(vectors, labels=features.labels, build=features.build, **columns)
    moved = stored(other, tmp_path / "other.lance")
    outcome = reproduce(report.folder, replaced={"features": moved})
    assert not outcome.matches
    assert outcome.differences[0].what.startswith("features")
    assert any("logits of probe" in d.what for d in outcome.differences)
    assert outcome.largest > 0.01


def test_reproduce_names_missing_inputs(report, tmp_path):
    folder = copied(report, tmp_path / "elsewhere" / "deeper")
    file = folder / "report.json"
    content = json.loads(file.read_text("utf-8"))
    for entry in content["provenance"]["inputs"]:
        entry["path"] = "gone/F.lance"
    file.write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match=r"features at gone/F\.lance"):
        reproduce(folder)
    with pytest.raises(ArtifactError, match="no input called bundle"):
        reproduce(folder, replaced={"bundle": tmp_path})


def test_a_report_moves_together_with_its_inputs(tmp_path):
    """Inputs are found as they lie from the report's folder, whatever the working directory."""
    home = tmp_path / "a"
    path = stored(planted(1), home / "F.lance")
    made = Run(inputs=(Input("features", str(path)),), detectors=("probe",), protocols=("lineage",))
    write_report(execute(made), home / "report", options=QUICK)
    home.rename(tmp_path / "b")
    assert reproduce(tmp_path / "b" / "report").exact


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """A bundle fitted on the images of `table`, and one fitted on others."""
    folder = tmp_path_factory.mktemp("bundles")
    for name, seed in (("seen", 0), ("unseen", 9)):
        recipe = Recipe(name=name, estimator=LinearProbe(C=0.1), n_draws=4, n_folds=4)
        fit_bundle(planted(seed), recipe).bundle.save(folder / name)
    return folder


def test_a_bundle_that_has_seen_the_images_is_fitted_anew(table, bundles):
    inputs = (Input("features", str(table)), *(Input("bundle", str(bundles / n)) for n in ("seen", "unseen")))
    made = execute(Run(inputs=inputs, protocols=("lineage",)))
    record = made.predictions.run
    assert record["seen"] == {"seen": 96, "unseen": 0}
    assert made.predictions.names("detector") == ["seen refitted", "unseen"]
    assert any("seen was fitted on 96 of these 96 images" in n for n in record["notes"])
    expected = evaluate(
        FeatureTable.open(table).load(), [Candidate("p", LinearProbe(C=0.1))], ["leave-one-lineage-out"]
    )
    own = made.predictions.select(detector="seen refitted")
    np.testing.assert_array_equal(own.logits, expected.logits)
    assert own.names("bundle") == []
    assert made.predictions.select(detector="unseen").names("bundle") == [record["bundles"]["unseen"]]

    as_it_is = execute(Run(inputs=inputs[:2], protocols=("fixed",), refit="never"))
    scored = as_it_is.predictions
    assert roc_auc(scored.labels, scored.logits) > roc_auc(own.labels, own.logits)
    assert any("not held out" in n for n in scored.run["notes"])


def test_a_changed_bundle_makes_reproduce_say_no(table, bundles, tmp_path):
    mine = Path(shutil.copytree(bundles / "unseen", tmp_path / "mine"))
    run = Run(inputs=(Input("features", str(table)), Input("bundle", str(mine))), protocols=("fixed",))
    write_report(execute(run), tmp_path / "report", options=QUICK)
    assert reproduce(tmp_path / "report").exact
    recipe = Recipe(name="unseen", estimator=LinearProbe(C=0.2), n_draws=4, n_folds=4)
    fit_bundle(planted(9), recipe).bundle.save(mine)
    outcome = reproduce(tmp_path / "report")
    assert not outcome.matches
    assert outcome.differences[0].what.startswith("bundle")
    assert any("logits of unseen" in d.what for d in outcome.differences)


def test_roc_points_are_the_metric(table):
    rows = execute(
        Run(inputs=(Input("features", str(table)),), detectors=("probe",), protocols=("lineage",))
    ).predictions
    curve = roc(rows, "leave-one-lineage-out")
    for fpr, tpr in list(zip(curve["fpr"], curve["tpr"], strict=True))[::8]:
        assert tpr == pytest.approx(tpr_at_fpr(rows.labels, rows.logits, fpr), abs=1e-12)


def test_the_matrix_keeps_every_cell_and_puts_the_easy_ones_first(report):
    result = next(r for r in report.summary.results if r.protocol == "transfer")
    drawn = matrix(result)
    assert drawn["trained"] == drawn["tested"]  # the diagonal is the framed one
    assert drawn["as_test"] == sorted(drawn["as_test"], reverse=True)
    for fold in result.folds:
        for group in fold.generators:
            i, j = drawn["trained"].index(fold.name), drawn["tested"].index(group.name)
            assert drawn["auc"][i][j] == group.auc.value


def test_bars_of_a_table_begin_below_its_lowest_end():
    rows = [{"value": 0.91, "low": 0.85, "high": 0.95}, {"value": 0.46, "low": 0.31, "high": 0.6}]
    assert figures.lowest(rows[:1]) == 0.4
    low = figures.lowest([*rows, None, {"value": None}])
    assert low == 0.3

    def left(row, **axis):
        found = re.search(r'class="est range" x1="([0-9.]+)"', figures.interval_bar(row, **axis))
        return float(found[1])

    edge = 4.0
    assert left(rows[1]) == edge  # on the usual axis it would be cut off
    assert edge < left(rows[1], low=low) < left(rows[0], low=low)


def test_heat_is_darker_the_further_from_chance():
    def light(value):
        return sum(int(heat_colour(value)[k : k + 2], 16) for k in (1, 3, 5))

    above = [light(v) for v in np.linspace(0.5, 1, 26)]
    below = [light(v) for v in np.linspace(0.5, 0, 26)]
    assert above == sorted(above, reverse=True)
    assert below == sorted(below, reverse=True)


def test_worst_cases_are_on_the_wrong_side_and_not_of_one_group():
    logits = np.r_[-np.arange(1.0, 9), [2.0], np.arange(8.0), [-3.0]]
    predictions = Predictions.from_columns(
        label=[1] * 9 + [0] * 9,
        logit=logits,
        uri=[f"{i}.png" for i in range(18)],
        generator=["a"] * 7 + ["b", "c"] + [None] * 9,
        source=[None] * 9 + ["s"] * 8 + ["t"],
    )
    found = worst(predictions)
    assert [w["uri"] for w in found["missed"]] == ["7.png", "6.png", "5.png", "4.png"]
    assert [w["group"] for w in found["missed"]] == ["b", "a", "a", "a"]
    assert [w["logit"] for w in found["false_alarms"]] == [7.0, 6.0, 5.0]


def test_pictures_are_shown_only_of_the_very_bytes(tmp_path, photos):
    folder = tmp_path / "set"
    for name in ("real", "fake"):
        (folder / name).mkdir(parents=True)
    for k in range(4):
        picture = photos[k][1].resize((160, 120))
        picture.save(folder / ("real" if k % 2 else "fake") / f"{k}.png")
    items = list(iter_source(folder, label_from="folders"))
    predictions = Predictions.from_columns(
        label=[i.label for i in items],
        logit=[-1.0 if i.label else 1.0 for i in items],  # all wrong
        uri=[i.uri for i in items],
        sha256=[hashlib.sha256(i.read()).hexdigest() for i in items],
    )
    with Image.open(folder / "fake" / "0.png") as image:
        image.convert("L").save(folder / "fake" / "0.png")  # another picture under the old name
    moved = folder.rename(tmp_path / "moved")
    made = write_report(
        predictions,
        tmp_path / "report",
        options=QUICK,
        images=lambda: list(iter_source(moved, label_from="folders")),
    )
    text = made.page.read_text("utf-8")
    assert text.count("data:image/jpeg;base64,") == 3
    without = write_report(predictions, tmp_path / "bare", options=QUICK, thumbnails=False)
    assert "data:image" not in without.page.read_text("utf-8")


def test_a_folder_with_other_things_is_not_written_to(tmp_path, report):
    (tmp_path / "thesis.doc").write_text("mine")
    predictions = Predictions.read(report.folder / "predictions.parquet")
    with pytest.raises(UsageError, match="something else than a report"):
        write_report(predictions, tmp_path, options=QUICK)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.doc"]


def test_published_rows_are_as_printed():
    """Their own means over the 19 sets are those that were printed; a slip in copying would show."""
    for row in PUBLISHED:
        assert tuple(row.values) == SETS
        mean = float(np.mean(list(row.values.values())))
        assert mean == pytest.approx(row.mean, abs=0.011) or f"printed values is {mean:.2f}" in row.note
    reprinted = next(p for p in PUBLISHED if p.mean == 90.14)
    assert "nearest neighbours" in reprinted.detector  # and not the linear layer, as later papers have it
    gan = np.mean([reprinted.values[s] for s in SETS[:6]])
    diffusion = np.mean([reprinted.values[s] for s in SETS[11:]])
    assert (round(gan, 1), round(diffusion, 1)) == (96.3, 90.4)


def test_published_figures_stand_only_beside_the_same_protocol(tmp_path):
    assert comparable(["progan"], ["biggan"])
    assert not comparable(["progan", "ldm"], ["biggan"])
    assert not comparable(None, ["biggan"])
    assert not comparable(["progan"], ["mine"])
    train, test = planted(2), planted(3)
    names = np.array(["biggan", "gaugan"])[np.arange(len(test)) % 2]
    sets = Features.from_arrays(
        test.vectors, labels=test.labels, build=test.build, set=names,
        generator=[n if y else None for n, y in zip(names, test.labels, strict=True)],
        format=test.column("format"), width=test.column("width"), height=test.column("height"),
    )  # fmt: skip
    rows = univfd(train, sets, [Candidate("probe", LinearProbe())])
    for trained, shown in ((["ProGAN"], True), (["ldm"], False)):
        marked = Predictions(rows.table, {"trained_on": trained})
        text = write_report(marked, tmp_path / trained[0], options=QUICK).page.read_text("utf-8")
        assert ("(published" in text) is shown
        assert ("82.0" in text) is False  # StyleGAN was not tested, so its published figure is not there
        assert ("94.5" in text) is shown


def test_another_tool_is_compared_on_the_shared_images(table):
    ours = execute(
        Run(inputs=(Input("features", str(table)),), detectors=("knn:3", "probe"), protocols=("lineage",))
    ).predictions
    probe = ours.select(detector="probe")
    order = np.random.default_rng(0).permutation(len(probe))[:-10]
    theirs = Predictions.from_columns(
        sha256=[probe.table.column("sha256").to_pylist()[i] for i in order],
        label=probe.labels[order],
        lineage=[probe.table.column("lineage").to_pylist()[i] for i in order],
        source=[probe.table.column("source").to_pylist()[i] for i in order],
        logit=probe.logits[order] * 2,
        detector="probe",
    )
    found = compare_tables(ours, theirs, options=QUICK)
    assert [(c.first, c.second, c.n_images) for c in found] == [
        ("knn:3", "probe (second)", 86),
        ("probe (first)", "probe (second)", 86),
    ]
    assert found[1].differences["auc"].value == 0.0  # the same ranking
    plain = compare(
        Predictions.concat([ours.select(detector="knn:3"), probe]).rows(
            np.isin(np.tile(np.arange(len(probe)), 2), order)
        ),
        "knn:3",
        "probe",
        options=QUICK,
    )
    assert found[0].differences["auc"] == plain.differences["auc"]
    with pytest.raises(UsageError, match="no protocol in common"):
        compare_tables(ours, theirs, protocol="transfer")


def test_axes_of_a_sweep_start_clean_and_grow_harsher():
    def point(spec, strength, value):
        return {
            "detector": "d", "family": "all", "perturbation": spec, "axis": spec.partition(":")[0],
            "strength": strength, "auc": {"value": value},
        }  # fmt: skip

    series = robustness_series(
        [point("", None, 0.9), point("jpeg:30", 30.0, 0.6), point("jpeg:90", 90.0, 0.8),
         point("blur:3", 3.0, 0.5), point("blur:1", 1.0, 0.7)]
    )  # fmt: skip
    assert [name for name, _ in series["jpeg"]["d"]] == ["clean", "90", "30"]
    assert [name for name, _ in series["blur"]["d"]] == ["clean", "1", "3"]


def test_a_bundle_without_a_recipe_cannot_be_refitted(table, tmp_path):
    recipe = Recipe(name="knn", estimator=NearestNeighborDetector(k=3), n_draws=0, n_folds=4)
    fitted = fit_bundle(planted(), recipe).bundle
    fitted.save(tmp_path / "knn")
    inputs = (Input("features", str(table)), Input("bundle", str(tmp_path / "knn")))
    made = execute(Run(inputs=inputs, protocols=("lineage",)))
    assert made.predictions.names("detector") == ["knn refitted"]
    replace(fitted, recipe={}).save(tmp_path / "bare")
    with pytest.raises(UsageError, match="no recipe"):
        execute(Run(inputs=(inputs[0], Input("bundle", str(tmp_path / "bare"))), protocols=("lineage",)))
    with pytest.raises(UsageError, match="no detector"):
        execute(Run(inputs=inputs[:1], protocols=("lineage",)))
