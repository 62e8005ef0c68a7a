"""The atlas: built, read, re-scored, edited, grown, exported."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from morelli.atlas import Atlas, AtlasOptions, add_images, build_atlas
from morelli.encoders import Encoder
from morelli.errors import ArtifactError, ChangedMeanwhileError, UnknownDimensionError, UsageError
from morelli.features import FeatureTable, extract
from morelli.images import iter_source
from morelli.metrics import roc_auc
from morelli.reports import export_atlas
from tests.atlas.conftest import OPTIONS


def own_impacts(atlas: Atlas) -> np.ndarray:
    """(n, K) signed shares of the full fit's logit; with its bias they sum to it."""
    return np.asarray(atlas.collection.values * atlas.distilled.w, dtype=np.float32)


def test_impacts_and_bias_are_the_logit(atlas: Atlas, table: FeatureTable) -> None:
    features = table.load(["final"])
    for row in (0, 17, len(atlas) - 1):
        item = atlas.image(row)
        assert sum(item["impacts"]) + item["bias"] == pytest.approx(item["logit"], abs=1e-5)
        probability = atlas.distilled.calibration.probability(np.array([item["logit"]]))[0]
        assert item["probability"] == pytest.approx(probability, abs=1e-6)
    logits = atlas.distilled.logits(features.matrix("final"))
    own = own_impacts(atlas).sum(axis=1) + atlas.distilled.bias
    assert np.allclose(own, logits, atol=1e-5)


def test_scores_are_of_fits_that_did_not_see_the_group(atlas: Atlas) -> None:
    held, own = atlas.collection.held_logits, own_impacts(atlas).sum(axis=1) + atlas.distilled.bias
    labels = atlas.collection.labels
    assert not np.allclose(held, own)
    assert roc_auc(labels, held) <= roc_auc(labels, own) + 0.02
    assert atlas.auc() == pytest.approx(roc_auc(labels, held))


def test_thumbnails_show_what_the_encoder_saw(atlas: Atlas, collection: Path) -> None:
    for row in (0, 100):
        data = atlas.thumbnail(row)
        original = atlas.original(row)
        assert data is not None and original is not None
        with Image.open(io.BytesIO(data)) as shown, Image.open(original) as real:
            assert shown.size == real.size  # 64 px: the encoder's own resolution, below a thumbnail's
            difference = np.asarray(shown.convert("RGB"), float) - np.asarray(real.convert("RGB"), float)
            assert np.abs(difference).mean() < 12


def test_maps_are_the_last_blocks_by_the_fit_that_did_not_see_the_image(
    atlas: Atlas, table: FeatureTable, tiny_encoder: Encoder
) -> None:
    from morelli.atlas._held_out import distil
    from morelli.encoders import LastBlock
    from morelli.explanation.relevance import relevance_maps

    part = table.load(["final", "layer:3", "tokens:3"])
    _, held = distil(part, OPTIONS, None)
    block = LastBlock(tiny_encoder)
    rows = [int(np.flatnonzero(held.folds == fold)[0]) for fold in range(len(held.maps))]
    assert len(rows) > 1
    for row in rows:
        judge = held.maps[held.folds[row]]
        assert np.allclose(judge.impacts(part.vectors["final"][[row]])[0], held.impacts[row])
        expected = relevance_maps(
            block,
            part.vectors["layer:3"][[row]],
            part.vectors["tokens:3"][[row]],
            judge.values_and_gradients,
            judge.w,
        ).square()[0]
        for k in range(4):
            shown = atlas.relevance(row, k)
            assert shown.shape == (4, 4)
            assert np.allclose(shown, expected[k], atol=2e-3 * max(expected[k].max(), 1e-9))
        assert np.allclose(atlas.relevance(row), expected[4], rtol=2e-3, atol=1e-6)
    with pytest.raises(UnknownDimensionError, match="Dimensions are 0 to 3, not 4"):
        atlas.relevance(0, 4)


def test_switching_a_dimension_off_rescores_everything(atlas: Atlas) -> None:
    told = atlas.rescore([1, 1])
    logits = atlas.collection.held_logits - atlas.collection.held_impacts[:, 1]
    assert told["off"] == [1]
    assert told["auc_after"] == pytest.approx(roc_auc(atlas.collection.labels, logits))
    low, high = (np.float32(one) for one in atlas.record.thresholds)
    after = atlas.probabilities([1]).astype(np.float32)
    verdicts = [np.sign((p > high).astype(int) - (p < low)) for p in (atlas.collection.probabilities, after)]
    assert told["changed"] == int((verdicts[0] != verdicts[1]).sum())
    assert sum(told["errors_after"].values()) == len(atlas)
    every = atlas.rescore(range(4))
    assert every["auc_after"] is None or every["auc_after"] <= told["auc_before"]
    with pytest.raises(UsageError, match="Dimensions are 0 to 3"):
        atlas.rescore([4])


def test_tiles_follow_selection_and_switches(atlas: Atlas) -> None:
    whole = atlas.tile(2)
    assert sum(whole["count"].to_pylist()) == len(atlas)
    chosen = atlas.select({"column": "label", "in": ["fake"]})
    some = atlas.tile(2, selection=chosen)
    assert sum(some["selected"].to_pylist()) == chosen.counts["count"]
    assert some["count"].to_pylist() == whole["count"].to_pylist()
    off = atlas.tile(2, off=[0])
    assert off["cell"].to_pylist() == whole["cell"].to_pylist()
    assert all(one[0] == 0 for one in off["impact"].to_pylist())


def test_dimension_view(atlas: Atlas) -> None:
    chosen = atlas.select({"column": "label", "in": ["real"]})
    views = atlas.dimensions(chosen, off=[3])
    assert [v["off"] for v in views] == [False, False, False, True]
    for view in views:
        assert sum(view["real"]) + sum(view["fake"]) == len(atlas)
        assert view["selected"] == view["real"]
        column = atlas.collection.impacts[:, view["dimension"]]
        for end, sign in (("lowest", 1), ("highest", -1)):
            shown = sign * column[view[end]]
            assert (np.diff(shown) >= 0).all()
            # Silent images are no end: what is not there is not shown as the first of many ties.
            assert shown[0] == (sign * column).min() if len(shown) else (sign * column >= 0).all()


def test_rows_come_in_the_order_asked_for(atlas: Atlas) -> None:
    probabilities = [r["probability"] for r in atlas.rows(sort="probability", descending=True, limit=200)]
    assert probabilities == sorted(probabilities, reverse=True) and len(probabilities) == len(atlas)
    first, second = atlas.rows(sort="impact:2", limit=10), atlas.rows(sort="impact:2", offset=10, limit=10)
    impacts = [r["impacts"][2] for r in first + second]
    assert impacts == sorted(impacts)
    assert atlas.rows(sort="similarity:7", descending=True, limit=1)[0]["row"] == 7
    for wrong in ("nothing", "impact:", "impact:99", "similarity:x"):
        with pytest.raises(UsageError):
            atlas.rows(sort=wrong)


def test_evaluation_counts_what_the_threshold_says(atlas: Atlas) -> None:
    at = atlas.evaluation(threshold=0.7, base_rate=0.2)
    labels = atlas.collection.labels
    p = atlas.distilled.calibration.probability(atlas.collection.held_logits, 0.2)
    assert at["confusion"]["fp"] == int(((p > 0.7) & (labels == 0)).sum())
    assert sum(at["confusion"].values()) == at["n"] == len(atlas)
    assert at["metrics"]["auc"]["low"] <= at["metrics"]["auc"]["value"] <= at["metrics"]["auc"]["high"]
    assert at["roc"][0] == [0, 0] and at["roc"][-1] == [1, 1]
    assert sum(g["n"] for g in at["generators"]) == int((labels == 1).sum())
    # The atlas's own two thresholds leave some without an answer, which is neither right nor wrong.
    outcomes = atlas.evaluation()["outcomes"]
    low, high = (np.float32(one) for one in at["thresholds"])
    even = atlas.collection.probabilities
    open_ = (even >= low) & (even <= high)  # an image at a threshold has no answer
    assert outcomes["unanswered"] == int(open_.sum()) > 0
    assert outcomes["unanswered_real"] == int((open_ & (labels == 0)).sum())
    assert outcomes["fn"] == int(((even < low) & (labels == 1)).sum())
    assert sum(outcomes[name] for name in ("tn", "fp", "fn", "tp", "unanswered")) == len(atlas)
    generators = {g["name"]: g for g in at["generators"]}
    share = sum(g["unanswered"] * g["n"] for g in generators.values())
    assert share == pytest.approx(outcomes["unanswered"] - outcomes["unanswered_real"])
    assert all(
        (even[w["row"]] < low) if w["label"] == "fake" else (even[w["row"]] > high) for w in at["worst"]
    )
    assert "auc" in at["audit"], "what file facts alone would score belongs beside every result"
    only_real = atlas.evaluation(atlas.select({"column": "label", "in": ["real"]}))
    assert "metrics" not in only_real and only_real["confusion"]["tp"] == 0
    json.dumps(at, allow_nan=False)
    for wrong in ({"threshold": 0}, {"base_rate": 1}):
        with pytest.raises(UsageError):
            atlas.evaluation(**wrong)


def test_names_notes_and_merges_are_kept(own_atlas: Atlas) -> None:
    shown = own_atlas.prototypes()
    assert len(shown) >= 2, "the planted grid must give prototypes to both classes or dimensions"
    a, b = shown[0]["id"], shown[1]["id"]
    own_atlas.edit_prototype(a, {"name": "chequered edges", "note": "seen twice"})
    own_atlas.edit_prototype(b, {"merged_into": a})
    own_atlas.edit_dimension(2, {"name": "grid"})
    again = Atlas.open(own_atlas.path)
    assert again.prototypes()[a]["name"] == "chequered edges"
    assert again.dimension_names()[2] == "grid"
    both = again.select({"prototype": a})
    assert both.counts["count"] >= max(shown[0]["images"], shown[1]["images"])
    with pytest.raises(UsageError, match="merged into"):
        again.edit_prototype(a, {"merged_into": b})
    again.edit_prototype(a, {"name": ""})
    assert again.prototypes()[a]["name"] == again.prototypes()[a]["suggested"]
    for wrong in ({"colour": "red"}, {"name": 3}, {"hidden": "yes"}, {"name": "x" * 5000}):
        with pytest.raises(UsageError):
            again.edit_prototype(a, wrong)


def test_of_two_who_rename_one_thing_the_second_is_told(own_atlas: Atlas) -> None:
    number = own_atlas.prototypes()[0]["id"]
    for edit, at in ((own_atlas.edit_prototype, number), (own_atlas.edit_dimension, 1)):
        other = Atlas.open(own_atlas.path)
        edit(at, {"name": "", "note": ""})
        edit(at, {"name": "the first"}, {"name": ""})
        second = other.edit_prototype if edit == own_atlas.edit_prototype else other.edit_dimension
        with pytest.raises(ChangedMeanwhileError, match="is 'the first' by now"):
            second(at, {"name": "the second"}, {"name": ""})
        assert second(at, {"note": "another field"}, {"note": ""})["name"] == "the first"
        assert second(at, {"name": "the second"}, {"name": "the first"})["name"] == "the second"
        with pytest.raises(UsageError, match="colour"):
            edit(at, {"name": "a"}, {"colour": "red"})


def test_selections_are_saved_and_exported(own_atlas: Atlas, tmp_path: Path) -> None:
    spec = {"column": "label", "in": ["fake"]}
    own_atlas.edits.save_selection("the fakes", spec)
    assert Atlas.open(own_atlas.path).info()["saved_selections"] == {"the fakes": spec}
    told = export_atlas(own_atlas, tmp_path / "fakes.csv", "the fakes")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "fakes.csv").read_text())))
    assert len(rows) == own_atlas.select(spec).counts["count"] and "60" in told
    assert {row["label"] for row in rows} == {"fake"}
    export_atlas(own_atlas, tmp_path / "fakes.parquet", json.dumps(spec))
    assert pa.parquet.read_table(tmp_path / "fakes.parquet").num_rows == len(rows)
    export_atlas(own_atlas, tmp_path / "fakes.txt", json.dumps(spec))
    assert (tmp_path / "fakes.txt").read_text().split() == [row["sha256"] for row in rows]
    with pytest.raises(UsageError, match="the fakes"):
        export_atlas(own_atlas, tmp_path / "x.csv", "no such name")
    with pytest.raises(UsageError, match=r"\.html"):
        export_atlas(own_atlas, tmp_path / "x.docx")


def test_an_exported_csv_is_a_manifest(own_atlas: Atlas, tmp_path: Path) -> None:
    export_atlas(own_atlas, tmp_path / "all.csv")
    items = list(iter_source(tmp_path / "all.csv"))
    assert len(items) == len(own_atlas) and {item.label for item in items} == {0, 1}
    assert all(item.problem is None for item in items)
    # An inconclusive verdict is exported as no answer, never as an error.
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    assert {row["outcome"] for row in rows if row["verdict"] == "inconclusive"} == {"no answer"}
    right = {("real", "real"), ("fake", "ai")}
    for row in rows:
        if row["verdict"] != "inconclusive":
            assert row["outcome"] == ("right" if (row["label"], row["verdict"]) in right else "wrong")


def test_wrong_verdicts_become_a_manifest(own_atlas: Atlas) -> None:
    own_atlas.feedback(3, "real", "my own photograph")
    own_atlas.feedback(3, "fake", "no, it was not")
    own_atlas.feedback(5, "real")
    items = list(iter_source(own_atlas.edits.feedback_path))
    assert [item.label for item in items] == [1, 0]
    assert items[0].metadata["note"] == "no, it was not"
    with pytest.raises(UsageError):
        own_atlas.feedback(3, "perhaps")


def test_the_page_opens_offline(own_atlas: Atlas, tmp_path: Path) -> None:
    own_atlas.edit_dimension(0, {"name": "<script>alert(1)</script>"})
    export_atlas(own_atlas, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page
    assert page.count("data:image/jpeg") > 10 and "data:image/png" in page


def test_added_images_leave_the_others_alone(
    built: Path,
    tmp_path: Path,
    table: FeatureTable,
    tiny_encoder: Encoder,
    photos: list[tuple[str, Image.Image]],
) -> None:
    import shutil

    folder = Path(shutil.copytree(built, tmp_path / "grown.atlas"))
    before = Atlas.open(folder)
    (tmp_path / "new").mkdir()
    for index, (_, image) in enumerate(photos[6:9]):
        image.resize((96, 80)).save(tmp_path / "new" / f"{index}.png")
    out = tmp_path / "new.lance"
    extract(
        [*iter_source(tmp_path / "new"), *list(iter_source(table_folder(table), label_from="folders"))[:5]],
        out,
        encoder=tiny_encoder,
        kinds=["final", "layer:3", "tokens:3"],
    )
    grown = add_images(folder, FeatureTable.open(out), encoder=tiny_encoder, workers=1)
    n = len(before)
    assert len(grown) == n + 3, "images that are there already are not added again"
    for column in ("codes", "xy", "values", "prototypes", "held_logits", "labels"):
        old, new = getattr(before.collection, column), getattr(grown.collection, column)
        assert np.array_equal(old, new[:n]), column
    assert grown.collection.labels[n:].tolist() == [-1, -1, -1]
    assert grown.thumbnail(n + 2) is not None and grown.relevance(n).max() > 0
    assert sum(grown.tile(0)["count"].to_pylist()) == n + 3
    assert add_images(folder, FeatureTable.open(out), encoder=tiny_encoder).record == grown.record


def table_folder(table: FeatureTable) -> Path:
    """The collection that a table was extracted from."""
    uri = Path(table.metadata(["uri"]).column("uri")[0].as_py())
    return uri.parents[2]


def test_an_interrupted_build_goes_on(
    built: Path, tmp_path: Path, table: FeatureTable, tiny_encoder: Encoder
) -> None:
    class StopError(Exception):
        pass

    def stop(step: str, done: int, total: int) -> None:
        if step == "prototypes":
            raise StopError

    out = tmp_path / "again.atlas"
    with pytest.raises(StopError):
        build_atlas(table, out, OPTIONS, encoder=tiny_encoder, workers=1, progress=stop)
    with pytest.raises(ArtifactError, match="not finished"):
        Atlas.open(out)
    steps: list[tuple[str, int]] = []
    build_atlas(
        table, out, OPTIONS, encoder=tiny_encoder, workers=1,
        progress=lambda step, done, total: steps.append((step, done)),
    )  # fmt: skip
    assert "maps" not in dict(steps), "maps were there already"
    ours, whole = Atlas.open(out), Atlas.open(built)
    assert np.array_equal(ours.collection.codes, whole.collection.codes)
    # Lance gives its files random names.
    mine, theirs = (
        {k: v for k, v in one.record.files.items() if ".lance/" not in k} for one in (ours, whole)
    )
    assert mine == theirs and len(mine) > 10
    with pytest.raises(UsageError, match="finished atlas"):
        build_atlas(table, out, OPTIONS, encoder=tiny_encoder)


def test_without_tokens_the_images_are_encoded_again(
    tmp_path: Path, collection: Path, tiny_encoder: Encoder, atlas: Atlas
) -> None:
    out = tmp_path / "F.lance"
    items = list(iter_source(collection, label_from="folders"))
    extract(items, out, encoder=tiny_encoder, kinds=["final"])
    made = build_atlas(FeatureTable.open(out), tmp_path / "x.atlas", OPTIONS, encoder=tiny_encoder)
    for row in (0, 50):
        assert np.allclose(made.relevance(row, 1), atlas.relevance(row, 1), rtol=0.02, atol=1e-4)


def test_missing_images_are_told_and_cost_only_their_own_pictures(
    tmp_path: Path, collection: Path, tiny_encoder: Encoder
) -> None:
    import shutil

    folder = Path(shutil.copytree(collection, tmp_path / "images"))
    out = tmp_path / "F.lance"
    extract(list(iter_source(folder, label_from="folders")), out, encoder=tiny_encoder, kinds=["final"])
    gone = sorted(folder.rglob("*.png"))[3]
    gone.unlink()
    changed = sorted(folder.rglob("*.png"))[7]
    changed.write_bytes(b"something else")
    made = build_atlas(FeatureTable.open(out), tmp_path / "x.atlas", OPTIONS, encoder=tiny_encoder)
    reasons = dict(made.record.unreadable)
    assert reasons == {str(gone): "missing", str(changed): "changed"}
    lacking = [row for row in range(len(made)) if made.thumbnail(row) is None]
    assert len(lacking) == 2 and all(made.relevance(row).max() == 0 for row in lacking)


def test_without_encoder_there_are_no_maps(tmp_path: Path, table: FeatureTable) -> None:
    made = build_atlas(table, tmp_path / "bare.atlas", OPTIONS)
    assert made.thumbnail(0) is None and made.prototypes() == [] and not made.info()["has_maps"]
    with pytest.raises(UsageError, match="no maps"):
        made.relevance(0)
    assert "Dimensions" in export_page(made, tmp_path)


def export_page(atlas: Atlas, folder: Path) -> str:
    export_atlas(atlas, folder / "page.html")
    return (folder / "page.html").read_text()


def test_wrong_requests_say_what_to_do(tmp_path: Path, table: FeatureTable, atlas: Atlas) -> None:
    with pytest.raises(ArtifactError, match="is not there"):
        Atlas.open(tmp_path / "nothing.atlas")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="no atlas"):
        build_atlas(table, tmp_path / "full", OPTIONS)
    with pytest.raises(UsageError, match="no rows"):
        build_atlas(table, tmp_path / "x.atlas", AtlasOptions(where="width > 99999"))
    with pytest.raises(UsageError, match="both classes"):
        build_atlas(table, tmp_path / "y.atlas", AtlasOptions(where="label = 1"))
    for row in (-1, len(atlas)):
        with pytest.raises(UsageError):
            atlas.image(row)


def test_no_two_names_are_alike_and_silence_is_no_picture(atlas: Atlas) -> None:
    dimensions, prototypes = atlas.dimensions(), atlas.prototypes()
    names = [one["name"].casefold() for one in (*dimensions, *prototypes)]
    assert len(set(names)) == len(names) > 4
    for k, one in enumerate(dimensions):
        column = atlas.collection.impact_columns[k]
        assert one["quiet"] == int((column == 0).sum())
        if one["quiet"]:
            assert (column[one["lowest"]] < 0).all() and (column[one["highest"]] > 0).all()
        assert sum(found["share"] for found in one["generators"]) <= 1 + 1e-6


def test_a_patterns_page_says_what_the_score_would_be_without_it(atlas: Atlas) -> None:
    for one in atlas.prototypes():
        page = atlas.pattern_page(one["id"])
        rows = atlas.select({"prototype": one["id"]}).rows
        assert page["without"]["images"] == len(rows) == page["prototype"]["images"]
        shown = [image["row"] for image in page["images"]]
        assert shown and set(shown) <= set(rows.tolist()) and len(set(shown)) == len(shown)
        for image in page["images"]:
            held = atlas.collection.held_logits[image["row"]]
            assert image["logit"] == pytest.approx(held, abs=1e-5)
            gone = image["impact"] - page["typical"]
            assert image["logit_without"] == pytest.approx(held - gone, abs=1e-4)
        assert sum(page["without"]["outcomes"].values()) == len(rows)
