"""`morelli extract` as a user runs it: labels from folders, resume, exit codes."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
import time
from pathlib import Path

import pytest

from morelli.cli import _console
from morelli.cli._extract import _usual_kinds
from morelli.detectors import Bundle, default_bundle_path
from morelli.encoders import Encoder, expand_kinds, load_encoder
from morelli.features import FeatureTable
from tests.cli.conftest import Finished, morelli


def extract(source: Path, out: Path, encoder: Path, *options: str | Path) -> Finished:
    return morelli("extract", source, "-o", out, "--encoder", encoder, *options)


def test_folders_become_labels_generators_and_sources(
    tmp_path: Path, collection: Path, tiny_clip_dir: Path
) -> None:
    out = tmp_path / "F.lance"
    part = tmp_path / "part"
    for place in ("real/chelsea", "fake/generator-of-coffee"):
        shutil.copytree(collection / place, part / place)
    run = morelli(
        "extract",
        part,
        "-o",
        out,
        "--label-from",
        "folders",
        "--encoder",
        tiny_clip_dir,
        "--kinds",
        "final,layers",
    )
    assert run.code == 0, run.err
    assert "20 new" in run.err
    table = FeatureTable.open(out)
    assert set(table.kinds) == {"final", *(f"layer:{k}" for k in range(1, 5))}
    features = table.load()
    assert sorted(set(features.groups())) == ["fake/generator-of-coffee", "real/chelsea"]
    assert features.labels.sum() == 10

    again = extract(part, out, tiny_clip_dir, "--label-from", "folders")
    assert again.code == 0
    assert "0 new, 20 already there" in again.err
    assert len(FeatureTable.open(out)) == 20


@pytest.mark.parametrize("option", [None, "--quiet"])
def test_output_that_is_no_terminal_gets_a_line_now_and_then(
    tmp_path: Path, collection: Path, tiny_clip_dir: Path, monkeypatch: pytest.MonkeyPatch, option: str | None
) -> None:
    monkeypatch.setattr(_console, "LINE_SECONDS", 0.01)
    options = [option] if option else []
    run = extract(collection, tmp_path / "F.lance", tiny_clip_dir, "--kinds", "final", *options)
    assert run.code == 0 and run.out == "", run.err
    lines = [line for line in run.err.splitlines() if line.startswith("extracting: ")]
    if option:
        assert lines == []
        return
    shape = r"extracting: (\d+) of 120, \d+ s so far(, about .+ left)?"
    counts = [int(found.group(1)) for line in lines if (found := re.fullmatch(shape, line))]
    assert counts and counts == sorted(counts) and counts[-1] <= 120
    assert "120 new" in run.err.splitlines()[-1]


def test_a_usual_line_comes_every_half_minute_and_none_where_data_alone_is_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _console.LINE_SECONDS == 30
    monkeypatch.setattr(_console, "LINE_SECONDS", 0.01)
    for how in ({"quiet": True}, {"lines": False}):
        with _console.progress(**how) as display:
            display.add_task("judging", total=None)
            time.sleep(0.1)
        assert capsys.readouterr() == ("", "")
    with _console.progress() as display:
        display.add_task("over", total=3, completed=3)
        display.update(display.add_task("judging", total=None), completed=1234)
        deadline = time.monotonic() + 60
        while (said := capsys.readouterr().err) == "" and time.monotonic() < deadline:
            time.sleep(0.02)
    assert {re.sub(r"\d+ s ", "", line) for line in said.splitlines()} == {"judging: 1,234 done, so far"}


def test_missing_and_contradicting_labels_are_reported(
    tmp_path: Path, collection: Path, tiny_clip_dir: Path
) -> None:
    first, second, third = sorted((collection / "real" / "chelsea").iterdir())[:3]
    for place, image in [("fakes", first), ("reals", first), ("reals", second), ("more", third)]:
        (tmp_path / "set" / place).mkdir(parents=True, exist_ok=True)
        shutil.copy(image, tmp_path / "set" / place / f"{place}-{image.name}")
    options = ["--label-from", "folders", "--kinds", "final"]
    run = extract(tmp_path / "set", tmp_path / "F.lance", tiny_clip_dir, *options)
    assert run.code == 0, run.err
    assert "images without a label: 1;" in run.err
    assert "opposite label: 1;" in run.err
    assert f"reals-{first.name}" in run.err
    assert sorted(FeatureTable.open(tmp_path / "F.lance").load().column("label").tolist(), key=str) == [
        0,
        1,
        None,
    ]

    again = extract(tmp_path / "set" / "reals", tmp_path / "F.lance", tiny_clip_dir, *options)
    assert "opposite label: 1;" in again.err  # with what the table holds from before
    assert "without a label" not in again.err


def test_classes_of_another_task_are_reported(tmp_path: Path, collection: Path, tiny_clip_dir: Path) -> None:
    first, second = sorted((collection / "real" / "chelsea").iterdir())[:2]
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        for key, image, number in (("a", first, b"1"), ("b", second, b"340")):
            archive.add(image, f"{key}.png")
            info = tarfile.TarInfo(f"{key}.cls")
            info.size = len(number)
            archive.addfile(info, io.BytesIO(number))
    run = extract(tmp_path / "shard.tar", tmp_path / "F.lance", tiny_clip_dir, "--kinds", "final")
    assert run.code == 0, run.err
    assert "a class of another task: 2 (such as '340');" in run.err
    assert set(FeatureTable.open(tmp_path / "F.lance").load().column("label").tolist()) == {None}


def test_bad_images_are_listed_and_the_exit_code_says_so(
    tmp_path: Path, photo_dir: Path, tiny_clip_dir: Path
) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(photo_dir, folder)
    (folder / "broken.jpg").write_text("this is no picture")
    mixed = morelli(
        "extract", folder, "-o", tmp_path / "a.lance", "--encoder", tiny_clip_dir, "--kinds", "final"
    )
    assert mixed.code == 3
    assert "broken.jpg: not_an_image" in mixed.err

    lone = morelli("extract", folder / "broken.jpg", "-o", tmp_path / "b.lance", "--encoder", tiny_clip_dir)
    assert lone.code == 4
    assert "Traceback" not in lone.err
    assert not (tmp_path / "b.lance").exists()


def test_many_failures_are_summed_up_and_wrong_paths_point_to_root(
    tmp_path: Path, collection: Path, tiny_clip_dir: Path, bundle: Path
) -> None:
    pictures = sorted((collection / "real" / "chelsea").iterdir())[:2]
    rows = "\n".join(f"{picture.relative_to(collection)},real" for picture in pictures)
    (tmp_path / "set.csv").write_text(f"path,label\n{rows}\n")
    wrong = extract(tmp_path / "set.csv", tmp_path / "F.lance", tiny_clip_dir)
    assert wrong.code == 4
    assert "2 could not be read: 2 missing" in wrong.err
    assert "no path of" in wrong.err and "--root FOLDER" in wrong.err
    assert not (tmp_path / "F.lance").exists()
    judged = morelli("detect", tmp_path / "set.csv", "--bundle", bundle, "--weights", tiny_clip_dir)
    assert judged.code == 4 and "--root FOLDER" in judged.err
    right = extract(tmp_path / "set.csv", tmp_path / "F.lance", tiny_clip_dir, "--root", collection)
    assert right.code == 0, right.err

    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copy(pictures[0], folder)
    for number in range(14):
        (folder / f"broken-{number:02}.jpg").write_bytes(b"no picture" if number % 2 else b"")
    mixed = extract(folder, tmp_path / "G.lance", tiny_clip_dir)
    assert mixed.code == 3
    assert "14 could not be read: 7 empty, 7 not an image" in mixed.err
    assert mixed.err.count("broken-") == 10
    assert "and 4 more; `FeatureTable.open(…).failures()` gives them all" in mixed.err
    assert len(FeatureTable.open(tmp_path / "G.lance").failures()) == 14


def test_wrong_requests_are_refused_in_one_line(tmp_path: Path, photo_dir: Path, tiny_clip_dir: Path) -> None:
    out = tmp_path / "F.lance"
    for arguments, words in [
        (["--kinds", "eyebrows"], "not a feature kind"),
        (["--label", "maybe"], "real or fake"),
        (["--perturb", "sparkle:3"], "sparkle"),
        (["--encoder", "clip-vit-b61"], "clip-vit-b16"),
        (["--stored", "float8"], "float8"),
    ]:
        encoder = [] if "--encoder" in arguments else ["--encoder", str(tiny_clip_dir)]
        run = morelli("extract", photo_dir, "-o", out, *encoder, *arguments)
        assert run.code == 2, (arguments, run.err)
        assert words in " ".join(run.err.split())
        assert "Traceback" not in run.err


@pytest.mark.encoder
def test_without_kinds_a_table_holds_what_the_shipped_detector_reads(
    tiny_clip_dir: Path, real_encoder: Encoder, tmp_path: Path
) -> None:
    tiny = load_encoder(str(tiny_clip_dir))
    reads = Bundle.load(default_bundle_path()).head_kinds
    found = _usual_kinds(real_encoder, tmp_path / "F.lance")
    assert found[:2] == ["final", "layers"]
    assert set(reads) <= set(expand_kinds(found, layers=12, heads=12))
    assert _usual_kinds(tiny, tmp_path / "F.lance") == ["final", "layers"]
    FeatureTable.create(tmp_path / "F.lance", tiny.build, {"layer:2": 32})
    assert _usual_kinds(real_encoder, tmp_path / "F.lance") == ("layer:2",)
