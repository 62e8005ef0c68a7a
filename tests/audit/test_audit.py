"""The audit finds what was planted, and says so; an aligned copy no longer has it."""

from __future__ import annotations

import csv
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from morelli.audit import AlignRecipe, AuditReport, _metadata_baseline, align, audit, metadata_only_auc
from morelli.audit._associations import cramers_v
from morelli.errors import SourceError, UsageError
from morelli.images import iter_source
from morelli.reports._audit_files import write_audit
from morelli.reports._audit_page import audit_page
from tests.planted_sets import Photos, crops, format_shortcut
from tests.provenance.made import typed, xmp
from tests.provenance.signing import created, sign


@pytest.fixture(scope="module")
def shortcut(tmp_path_factory: pytest.TempPathFactory, photos: Photos) -> Path:
    return format_shortcut(tmp_path_factory.mktemp("planted") / "set", photos)


@pytest.fixture(scope="module")
def shortcut_report(shortcut: Path) -> AuditReport:
    return audit(shortcut, label_from="folders", workers=2)


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory, shortcut: Path) -> Path:
    out = tmp_path_factory.mktemp("aligned") / "copy"
    report = align(shortcut, out, AlignRecipe(side=96), label_from="folders")
    assert report.written == 80
    assert not report.failed
    return report.manifest


def test_planted_format_shortcut_is_told(shortcut_report: AuditReport) -> None:
    report = shortcut_report
    assert report.counts == {"real": 40, "generated": 40, "unlabelled": 0, "unreadable": 0}
    assert report.baseline is not None
    assert report.baseline.auc >= 0.95
    assert report.findings[0].severity == "high"
    assert report.findings[0].code == "format_shortcut"
    assert "never sees a pixel" in report.findings[0].sentence
    assert any("“JPEG file” means real: balanced accuracy 1.00" in f.sentence for f in report.findings)
    assert "no_fair_subset" in {f.code for f in report.findings}  # no PNG among the real images


def test_same_picture_in_both_classes_is_listed(shortcut_report: AuditReport) -> None:
    pairs = [group for group in shortcut_report.duplicates if "class" in group.across]
    found = {(Path(uri).stem, Path(uri).suffix) for group in pairs for uri in group.uris}
    # Both encodings of each of the 40 pictures; a bare texture has no low frequencies to be known by.
    assert len(found) >= 78
    for group in pairs:
        assert not group.exact
        assert {Path(uri).suffix for uri in group.uris} == {".png", ".jpg"}


def test_alignment_removes_the_shortcut(aligned: Path) -> None:
    report = audit(aligned)
    assert report.counts["real"] == report.counts["generated"] == 40
    assert report.baseline is not None and report.with_bytes is not None
    assert 0.45 <= report.baseline.auc <= 0.55
    assert "format_shortcut" not in {f.code for f in report.findings}
    sizes = {
        (w, h)
        for w, h in zip(*(report.table.column(c).to_pylist() for c in ("width", "height")), strict=True)
    }
    assert sizes == {(96, 96)}
    assert set(report.table.column("jpeg_quality").to_pylist()) == {85}
    assert set(report.table.column("subsampling").to_pylist()) == {"4:2:0"}
    assert not any(report.table.column("has_exif").to_pylist() + report.table.column("has_icc").to_pylist())


def test_manifest_says_what_was_done(aligned: Path, shortcut: Path) -> None:
    rows = list(csv.DictReader(aligned.read_text().splitlines()))
    assert len(rows) == 80
    for row in rows:
        with Image.open(row["original_path"]) as before, Image.open(aligned.parent / row["path"]) as after:
            assert after.size == (96, 96)
            assert f"{before.width}" == row["original_width"]
            assert float(row["align_scale"]) == pytest.approx(96 / min(before.size), rel=1e-4)
            assert before.format == row["original_format"]
        assert "JPEG quality 85" in row["align_done"]
        assert row["label"] == ("fake" if "/fake/" in row["original_path"] else "real")
    items = list(iter_source(aligned))
    assert sorted(item.label for item in items if item.label is not None) == [0] * 40 + [1] * 40


def test_alignment_resumes_and_repairs(tmp_path: Path, shortcut: Path) -> None:
    recipe = AlignRecipe(side=64)
    first = align(shortcut, tmp_path / "out", recipe, label_from="folders")
    before = first.manifest.read_bytes()
    copies = sorted((tmp_path / "out" / "fake").iterdir())
    copies[0].unlink()
    copies[1].write_bytes(copies[1].read_bytes()[:100])  # cut short by a kill
    first.manifest.unlink()
    second = align(shortcut, tmp_path / "out", recipe, label_from="folders")
    assert (second.written, second.reused) == (2, 78)
    assert second.manifest.read_bytes() == before
    with pytest.raises(UsageError, match="another folder"):
        align(shortcut, tmp_path / "out", AlignRecipe(side=32), label_from="folders")
    with pytest.raises(UsageError, match="lies inside"):
        align(shortcut, shortcut / "out", recipe, label_from="folders")


@pytest.mark.parametrize("there", ["manifest.csv", "real/photo.jpg", "notes.txt"])
def test_aligned_copies_join_no_folder_of_somebody_else(there: str, tmp_path: Path, shortcut: Path) -> None:
    out = tmp_path / "mine"
    (out / there).parent.mkdir(parents=True)
    (out / there).write_text("mine")
    with pytest.raises(UsageError, match="something else than aligned copies"):
        align(shortcut, out, AlignRecipe(side=64), label_from="folders")
    assert [path for path in out.rglob("*") if path.is_file()] == [out / there]
    assert (out / there).read_text() == "mine"
    (tmp_path / "new" / ".hidden").mkdir(parents=True)  # such as a lock
    assert align(shortcut, tmp_path / "new", AlignRecipe(side=64), label_from="folders").written


def test_small_images_can_be_left_out(tmp_path: Path, photos: Photos) -> None:
    for number, image in enumerate(crops(photos, 6, (40, 60)) + crops(photos, 4, (90, 120))):
        image.save(tmp_path / f"{number}.png")
    report = align(
        tmp_path, tmp_path.parent / f"{tmp_path.name}-out", AlignRecipe(side=80, small="skip"), label=1
    )
    assert report.skipped == {"fake": 6}
    assert report.written == 4


def test_leaks_across_splits_folders_and_bytes(tmp_path: Path, photos: Photos) -> None:
    for name in ("train", "test"):
        (tmp_path / name / "fake").mkdir(parents=True)
    for number, image in enumerate(crops(photos, 12, seed=3)):
        image.save(tmp_path / "train" / "fake" / f"{number}.png")
    again = crops(photos, 12, seed=3)
    again[2].resize((150, 150)).save(tmp_path / "test" / "fake" / "again.jpg", quality=60)
    (tmp_path / "test" / "fake" / "same.png").write_bytes(
        (tmp_path / "train" / "fake" / "5.png").read_bytes()
    )
    (tmp_path / "train" / "fake" / "twin.png").write_bytes(
        (tmp_path / "train" / "fake" / "7.png").read_bytes()
    )
    (tmp_path / "test" / "fake" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    report = audit(tmp_path, label_from="folders")
    groups = {frozenset(Path(uri).name for uri in group.uris): group for group in report.duplicates}
    assert groups[frozenset({"5.png", "same.png"})].exact
    assert groups[frozenset({"5.png", "same.png"})].across == ("split", "folder")
    assert not groups[frozenset({"2.png", "again.jpg"})].exact
    assert groups[frozenset({"7.png", "twin.png"})].across == ()
    assert len(groups) == 3
    assert [Path(entry.uri).name for entry in report.failed] == ["broken.png"]
    codes = [finding.code for finding in report.findings]
    assert {"duplicates_across_split", "unreadable", "one_class"} <= set(codes)
    assert report.baseline is None  # one class only


def test_different_pictures_are_no_duplicates(tmp_path: Path, photos: Photos) -> None:
    for number, (_, image) in enumerate(photos):
        image.resize((160, 120)).save(tmp_path / f"{number}.png")
    for grey in (0, 128, 255):  # blank images share a hash but not their grey
        Image.new("RGB", (64, 64), (grey, grey, grey)).save(tmp_path / f"blank{grey}.png")
    names = {frozenset(Path(uri).stem for uri in group.uris) for group in audit(tmp_path).duplicates}
    assert all(name == frozenset({"5", "6"}) for name in names), names  # at most the stereo pair


def labelled(folder: Path, photos: Photos, real: list[str], fake: list[str]) -> Path:
    """Pictures that say what `real` and `fake` list: nothing, a generator, credentials, a camera."""
    camera = Image.Exif()
    camera[0x10F], camera[0x110] = "Canon", "EOS 5D"
    images = iter(crops(photos, len(real) + len(fake)))
    for label, kinds in (("real", real), ("fake", fake)):
        (folder / label).mkdir(parents=True)
        for number, kind in enumerate(kinds):
            file = BytesIO()
            options = {"exif": camera} if kind == "camera" else {}
            if kind == "generator":
                options = {"xmp": xmp(typed("trainedAlgorithmicMedia"))}
            image = next(images).convert("RGB")
            image.info.clear()
            image.save(file, "JPEG", **options)
            data = file.getvalue()
            if kind == "credentials":
                data = sign(data, "JPEG", created())
            (folder / label / f"{number}.jpg").write_bytes(data)
    return folder


def test_statements_of_files_are_counted_by_class(tmp_path: Path, photos: Photos) -> None:
    real = ["camera", "camera", "", "", ""]
    fake = ["generator", "credentials", "camera", ""]
    report = audit(labelled(tmp_path / "set", photos, real, fake), label_from="folders", workers=1)
    assert report.statement_shares == {
        "generator metadata": {"real": 0.0, "generated": 0.25},
        "Content Credentials": {"real": 0.0, "generated": 0.25},
        "camera data": {"real": 0.4, "generated": 0.25},
    }
    assert report.to_json()["statements"]["real"]["camera"] == 2
    found = {one.code: one for one in report.findings}
    leak = found["generator_metadata_leak"]
    assert leak.severity == "high" and "1 of 4 generated images (25 %)" in leak.sentence
    assert "0.jpg" in leak.sentence and "--align" in leak.advice
    assert "1.jpg" in found["credentials_leak"].sentence
    write_audit(report, tmp_path / "out", plots=False)
    text = (tmp_path / "out" / "audit.md").read_text()
    assert "| camera data | 40.0% | 25.0% |" in text
    assert '<td>camera data</td><td class="n">40.0 %</td>' in audit_page(report)
    table = pq.read_table(tmp_path / "out" / "facts.parquet")
    assert sorted(filter(None, table.column("statements").to_pylist())) == sorted(filter(None, real + fake))
    made = align(tmp_path / "set", tmp_path / "aligned", AlignRecipe(side=96), label_from="folders")
    assert audit(made.manifest).statement_shares == {}


def test_metadata_in_both_classes_is_no_leak_in_real_ones_a_question(tmp_path: Path, photos: Photos) -> None:
    both = labelled(tmp_path / "both", photos, ["generator", ""], ["generator", ""])
    assert "generator_metadata_leak" not in {f.code for f in audit(both, label_from="folders").findings}
    silent = audit(labelled(tmp_path / "silent", photos, ["", ""], ["", ""]), label_from="folders")
    assert silent.statement_shares == {} and not any("leak" in f.code for f in silent.findings)
    wrong = audit(labelled(tmp_path / "wrong", photos, ["generator", ""], ["", ""]), label_from="folders")
    (leak,) = [f for f in wrong.findings if f.code == "generator_metadata_leak"]
    assert "real images" in leak.sentence and leak.advice.startswith("Check their labels first")
    alone = audit(tmp_path / "wrong" / "real")
    assert not any("leak" in f.code for f in alone.findings)


def test_fair_subset_is_level(tmp_path: Path, photos: Photos) -> None:
    for word in ("real", "fake"):
        (tmp_path / word).mkdir()
    for number, image in enumerate(crops(photos, 100, (110, 118), seed=1)):
        own = "real" if number % 2 else "fake"
        shared = number < 50
        suffix = ".png" if shared or own == "fake" else ".jpg"
        image.info.clear()
        image.save(tmp_path / own / f"{number}{suffix}")
    report = audit(tmp_path, label_from="folders")
    assert report.baseline is not None and report.fair is not None and report.fair.baseline is not None
    kept = report.table.take(pa.array(report.fair.rows))
    assert kept.column("format").to_pylist() == ["PNG"] * len(report.fair.rows)
    assert sum(kept.column("label").to_pylist()) * 2 == len(report.fair.rows) >= 32
    assert report.fair.baseline.auc < 0.7 < report.baseline.auc


def test_report_is_written_whole(tmp_path: Path, shortcut_report: AuditReport) -> None:
    report = shortcut_report
    folder = write_audit(report, tmp_path / "audit")
    data = json.loads((folder / "audit.json").read_text())
    assert report.baseline is not None
    assert data["metadata_only"]["auc"] == report.baseline.auc
    assert data["duplicates"]["across"]["class"] == len([g for g in report.duplicates if "class" in g.across])
    text = (folder / "audit.md").read_text()
    assert "# Audit of" in text and "Metadata-only classifier" in text
    assert pq.read_table(folder / "facts.parquet").num_rows == 80
    for name in ("facts-by-class.png", "separation-by-fact.png"):
        with Image.open(folder / name) as picture:
            assert np.asarray(picture.convert("RGB")).std() > 10


def test_a_forest_is_a_function_of_its_rows() -> None:
    """All other tests rely on it: there, a forest is fitted once to equal rows."""
    X = np.random.default_rng(0).integers(0, 4, size=(90, 6)).astype(np.float32)
    y = np.arange(90) % 2
    one, other = (_metadata_baseline._forest.make(90, 3).fit(X, y).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert one is not other


def test_facts_that_say_nothing_give_one_half() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 90)
    table = pa.table(
        {"label": y.astype(np.int8), "format": ["PNG"] * 90, "width": [64] * 90, "height": [64] * 90}
    )
    found = metadata_only_auc(table, np.arange(90) % 17)
    assert (found.auc, found.interval) == (0.5, (0.5, 0.5))


def test_groups_keep_a_lineage_from_helping_itself() -> None:
    # Every lineage and source has its own width: telling for its own images, worthless for the others.
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(40), 10)
    y = (group % 2).astype(np.int8)
    width = rng.permutation(np.arange(100, 140))[group]
    table = pa.table({"label": y, "width": width, "height": np.full(400, 100)})
    assert metadata_only_auc(table, np.arange(400)).auc > 0.95
    assert metadata_only_auc(table, group).auc < 0.75


def test_cramers_v_at_its_ends() -> None:
    assert cramers_v(np.array([[50, 0], [0, 50]])) == pytest.approx(1, abs=0.02)
    assert cramers_v(np.array([[25, 25], [25, 25]])) == 0


def test_one_class_and_no_image_are_plain_errors(tmp_path: Path) -> None:
    (tmp_path / "note.png").write_bytes(b"not an image")
    with pytest.raises(SourceError, match=r"could be read: .*not an image"):
        audit(tmp_path)
    with pytest.raises(SourceError, match=r"gone could be read: .*gone does not exist$"):
        audit(tmp_path / "gone")
    (tmp_path / "set.csv").write_text("path,label\ngone.png,real\n")
    with pytest.raises(SourceError, match=r"gone\.png does not exist; paths in a manifest .* --root"):
        audit(tmp_path / "set.csv")
    table = pa.table({"label": pa.array([1, 1], pa.int8()), "width": [1, 2], "height": [1, 2]})
    with pytest.raises(UsageError, match="both classes"):
        metadata_only_auc(table)


def test_a_graph_in_the_camera_fields_names_no_camera(tmp_path: Path, photos: Photos) -> None:
    for name, fields in {
        "fake/graph": {0x010F: 'workflow:{"nodes": []}', 0x0110: 'prompt:{"1": {"class_type": "KSampler"}}'},
        "real/phone": {0x010F: "Panasonic", 0x0110: "DMC-TZ10"},
    }.items():
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for k, picture in enumerate(crops(photos, 2, (96, 97))):
            exif = Image.Exif()
            for tag, value in fields.items():
                exif[tag] = value
            picture.save(folder / f"{k}.webp", exif=exif)
    rows = audit(tmp_path, label_from="folders").table.to_pylist()
    cameras = {row["uri"].split("/")[-2]: row["camera"] for row in rows}
    assert cameras == {"graph": "", "phone": "Panasonic DMC-TZ10"}


def test_a_gain_map_is_no_animation(tmp_path: Path, photos: Photos) -> None:
    for label in ("real", "fake"):
        (tmp_path / label).mkdir()
    picture, other = crops(photos, 2, (96, 97))
    gain = picture.resize((24, 24))
    picture.save(tmp_path / "real" / "hdr.jpg", "MPO", save_all=True, append_images=[gain])
    picture.save(tmp_path / "fake" / "moving.webp", save_all=True, append_images=[other])
    rows = audit(tmp_path, label_from="folders").table.to_pylist()
    found = {Path(row["uri"]).name: row["animated"] for row in rows}
    assert found == {"hdr.jpg": False, "moving.webp": True}


def test_labels_that_the_files_contradict_are_named(tmp_path: Path, photos: Photos) -> None:
    folder = labelled(tmp_path / "set", photos, ["generator", "", "camera"], ["", "camera", "credentials"])
    image = crops(photos, 1)[0].convert("RGB")
    image.save(folder / "fake" / "shot.jpg", xmp=xmp(typed("digitalCapture")))
    found = [f for f in audit(folder, label_from="folders").findings if f.code == "label_contradiction"]
    assert {f.severity for f in found} == {"high"}
    real, fake = found
    assert "1 file labelled real claims generation by AI" in real.sentence and "real/0.jpg" in real.sentence
    assert "labelled generated claims to come from a camera" in fake.sentence
    # Camera data alone claim nothing: anybody can copy them.
    assert "fake/shot.jpg" in fake.sentence and "fake/1.jpg" not in fake.sentence
    clean = labelled(tmp_path / "clean", photos, ["camera", ""], ["generator", "credentials"])
    codes = {f.code for f in audit(clean, label_from="folders").findings}
    assert "label_contradiction" not in codes
