"""`morelli detect` on a small real model: outputs, exit codes, hostile files, memory."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin
from sklearn.metrics import roc_auc_score

from morelli.cli import _console
from morelli.detectors import Bundle
from morelli.encoders import encoder_for_build
from morelli.images import ImageItem, iter_source
from morelli.inspection import STABILITY_PERTURBATIONS
from morelli.inspection._stream import detect
from tests.cli.conftest import Finished, morelli, peak_of_morelli, run_morelli
from tests.images.hostile import write_hostile_files
from tests.provenance.made import BLOCK

VERDICTS = {"ai", "real", "inconclusive", "out_of_domain"}


@dataclass(frozen=True)
class Judge:
    """The program's `detect` with the small bundle and its model."""

    bundle: Path
    weights: Path

    @property
    def options(self) -> list[str]:
        return ["--bundle", str(self.bundle), "--weights", str(self.weights)]

    def __call__(self, *arguments: str | Path) -> Finished:
        return morelli("detect", *arguments, *self.options)


@pytest.fixture
def judge(bundle: Path, tiny_clip_dir: Path) -> Judge:
    return Judge(bundle, tiny_clip_dir)


def results(run: Finished) -> list[dict[str, Any]]:
    return list(json.loads(run.out)["results"])


def test_pictures_of_high_dynamic_range_are_counted(judge: Judge, photo_dir: Path, tmp_path: Path) -> None:
    with Image.open(sorted(photo_dir.iterdir())[0]) as photo:
        small = photo.convert("RGB").resize((64, 64))
    small.save(tmp_path / "plain.png")
    plain = (tmp_path / "plain.png").read_bytes()
    chunk = b"cICP" + bytes([9, 18, 0, 1])
    (tmp_path / "hlg.png").write_bytes(
        plain[:33] + b"\0\0\0\4" + chunk + zlib.crc32(chunk).to_bytes(4, "big") + plain[33:]
    )
    assert "of high dynamic range (PQ or HLG): 1;" in judge(tmp_path).out
    assert "dynamic range" not in judge(tmp_path / "plain.png").out


def test_a_pipe_gets_lines_of_progress_beside_a_table_and_none_beside_a_document(
    judge: Judge, photo_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_console, "LINE_SECONDS", 0.005)
    table, document = judge(photo_dir), judge(photo_dir, "--json")
    assert table.code == document.code == 0
    assert re.search(r"^judging: (\d+ done, )?\d+ s so far$", table.err, re.MULTILINE)
    assert "judging" not in table.out and "judging" not in document.err


def test_every_picture_gets_a_verdict_with_its_evidence(judge: Judge, photo_dir: Path) -> None:
    run = judge(photo_dir, "--json")
    assert run.code == 0, run.err
    rows = results(run)
    assert [row["uri"] for row in rows] == [item.uri for item in iter_source(photo_dir)]
    for row in rows:
        low, high = row["interval"]
        assert row["verdict"] in VERDICTS
        assert 0 <= low <= row["probability"] <= high <= 1
        assert {neighbor["label"] for neighbor in row["neighbors"]} == {"real", "fake"}
        assert all(-1.001 <= neighbor["similarity"] <= 1.001 for neighbor in row["neighbors"])
        assert row["reasons"]
    document = json.loads(run.out)
    assert document["summary"]["done"] == len(rows)
    assert document["bundle"]["build"] == Bundle.load(judge.bundle).build.fingerprint


def test_what_a_file_says_is_beside_its_verdict(judge: Judge, photo_dir: Path, tmp_path: Path) -> None:
    photo = sorted(photo_dir.glob("*.jpg"))[0]
    folder = tmp_path / "in"
    folder.mkdir()
    with Image.open(photo) as opened:
        image = opened.convert("RGB")
        info = PngImagePlugin.PngInfo()
        info.add_text("parameters", BLOCK + "Version: v1.10.1")
        image.save(folder / "plain.png")
        image.save(folder / "says.png", pnginfo=info)
        camera = Image.Exif()
        camera[0x10F], camera[0x110] = "Canon", "EOS 5D"
        image.save(folder / "shot.jpg", exif=camera)
    (folder / "zut.png").write_bytes((folder / "says.png").read_bytes()[:150])
    outputs = {name: tmp_path / f"v.{name}" for name in ("jsonl", "csv", "parquet")}
    run = judge(folder, *(part for name, path in outputs.items() for part in (f"--{name}", str(path))))
    assert run.code == 3, run.err
    assert "▲ the file says that a generator made it: AUTOMATIC1111 web UI v1.10.1 (not signed)" in run.out
    assert run.out.count("the file says") == 1
    rows = {Path(row["uri"]).name: row for row in map(json.loads, outputs["jsonl"].read_text().splitlines())}
    assert rows["plain.png"]["provenance"] == [] and "provenance" not in rows["zut.png"]
    (one,) = rows["says.png"]["provenance"]
    assert set(one) == {"kind", "claims", "strength", "tool", "version", "sentence", "where"}
    for name in ("verdict", "interval", "logit", "probability", "reasons"):
        assert rows["plain.png"][name] == rows["says.png"][name]
    with outputs["csv"].open(newline="", encoding="utf-8-sig") as file:
        cells = [row["provenance"] for row in csv.DictReader(file)]
    assert cells == ["", "generated: AUTOMATIC1111 web UI v1.10.1", "camera data: Canon EOS 5D", ""]
    column = pq.read_table(outputs["parquet"]).column("provenance").to_pylist()
    assert column == [*cells[:3], None]
    silent = judge(folder / "plain.png", folder / "shot.jpg")
    assert silent.code == 0 and "says" not in silent.out


def test_the_collection_it_was_fitted_on_is_told_apart(judge: Judge, collection: Path) -> None:
    """Easy by construction: what it shows is that labels, kinds and signs are not mixed up on the way."""
    rows = results(judge(collection, "--json", "--label-from", "folders"))
    mean = {
        label: sum(row["probability"] for row in rows if row["label"] == label) / (len(rows) / 2)
        for label in ("real", "fake")
    }
    assert mean["fake"] > 0.8
    assert mean["real"] < 0.2
    # Every picture is in the bank itself, so the nearest of its own label is the picture.
    for row in rows:
        nearest = max(
            neighbor["similarity"] for neighbor in row["neighbors"] if neighbor["label"] == row["label"]
        )
        assert nearest > 0.999


def test_all_outputs_of_one_run_agree(tmp_path: Path, judge: Judge, photo_dir: Path) -> None:
    paths = {form: tmp_path / "new folder" / f"v.{form}" for form in ("jsonl", "csv", "parquet")}
    options = [argument for form, path in paths.items() for argument in (f"--{form}", path)]
    sheet = tmp_path / "sheet.png"
    run = judge(photo_dir, "--json", *options, "--sheet", sheet)
    assert run.code == 0, run.err
    rows = results(run)
    with paths["csv"].open(newline="", encoding="utf-8-sig") as file:
        spread = list(csv.DictReader(file))
    table = pq.read_table(paths["parquet"]).to_pylist()
    assert [json.loads(line) for line in paths["jsonl"].read_text().splitlines()] == rows
    for row, line, entry in zip(rows, spread, table, strict=True):
        assert row["uri"] == line["uri"] == entry["uri"]
        assert row["verdict"] == line["verdict"] == entry["verdict"]
        assert row["probability"] == float(line["probability"]) == entry["probability"]
    with Image.open(sheet) as image:
        assert image.size[0] > 600
        assert image.size[1] > 300
    assert not list(tmp_path.rglob("*.part"))


def test_the_table_names_each_picture_and_counts_verdicts(
    judge: Judge, photo_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")  # names stay in one piece, wherever the temporary folder lies
    deep = shutil.copytree(photo_dir, tmp_path / ("far" * 20) / ("away" * 20) / "photographs")
    run = judge(deep)
    assert "image in …" in run.out
    assert "/photographs/" in run.out
    for path in deep.rglob("*.*"):
        assert path.relative_to(deep).as_posix() in run.out
    assert f"{sum(1 for _ in deep.rglob('*.*'))} images: " in run.out
    assert judge(deep, "-q").out == ""


def test_batches_do_not_change_verdicts(judge: Judge, photo_dir: Path) -> None:
    one, many = (results(judge(photo_dir, "--json", "--batch-size", size)) for size in ("1", "16"))
    for first, second in zip(one, many, strict=True):
        assert first["uri"] == second["uri"]
        assert first["verdict"] == second["verdict"]
        assert first["probability"] == pytest.approx(second["probability"], abs=1e-4)


def test_a_rarer_expectation_lowers_all_alike(judge: Judge, photo_dir: Path) -> None:
    even, rare = (results(judge(photo_dir, "--json", "--base-rate", rate)) for rate in ("0.5", "0.1"))
    shifts = [
        math.log(p / (1 - p)) - math.log(q / (1 - q))
        for p, q in ((a["probability"], b["probability"]) for a, b in zip(even, rare, strict=True))
        if 1e-6 < p < 1 - 1e-6 and 1e-6 < q < 1 - 1e-6
    ]
    assert shifts
    assert shifts == pytest.approx([math.log(9)] * len(shifts), rel=1e-3)


def test_a_stricter_false_positive_rate_never_adds_ai_verdicts(judge: Judge, collection: Path) -> None:
    counts = []
    for rate in ("0.001", "0.05", "0.3"):
        rows = results(judge(collection, "--json", "--fpr", rate))
        counts.append({row["uri"] for row in rows if row["verdict"] == "ai"})
    assert counts[0] <= counts[1] <= counts[2]


def test_hostile_files_are_each_listed_and_stop_nothing(
    tmp_path: Path, judge: Judge, photo_dir: Path
) -> None:
    hostile = write_hostile_files(tmp_path / "hostile")
    assert len(hostile) >= 60
    good = sorted(photo_dir.glob("*.jpg"))
    out = tmp_path / "v.jsonl"
    sources = [good[0], *(entry.path for entry in hostile), good[-1]]
    command = ("detect", *sources, *judge.options, "--jsonl", out, "--offline")
    run, peak = peak_of_morelli(tmp_path / "peak", *command)
    assert run.code == 3, run.err
    assert "Traceback" not in run.err
    assert peak <= 2_000_000  # KiB

    rows = [json.loads(line) for line in out.read_text().splitlines()]
    judged = {row["uri"] for row in rows if "verdict" in row}
    failed = {row["uri"]: row["error"] for row in rows if "error" in row}
    assert {str(good[0]), str(good[-1])} <= judged
    said = " ".join(run.err.split())
    for uri, error in list(failed.items())[:10]:
        assert " ".join(f"{uri}: {error['reason']}:".split()) in said
    assert f"and {len(failed) - 10} more;" in said
    assert all(error["message"] for error in failed.values())
    reasons = [error["reason"] for error in failed.values()]
    for reason in set(reasons):
        assert f"{reasons.count(reason)} {reason.replace('_', ' ')}" in said
    for entry in hostile:
        if entry.expected_reason is not None:
            assert entry.expected_reason in reasons, entry.path


def test_only_bad_files_means_nothing_done(tmp_path: Path, judge: Judge) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "b.png").write_text("no picture")
    out = tmp_path / "v.csv"
    run = judge(tmp_path / "a.jpg", tmp_path / "b.png", "--csv", out)
    assert run.code == 4
    assert "a.jpg: empty" in run.err
    assert "b.png: not_an_image" in run.err
    with out.open(newline="") as file:
        assert [row["error"] for row in csv.DictReader(file)] == ["empty", "not_an_image"]


def test_a_missing_path_fails_before_any_weights_are_wanted(tmp_path: Path, bundle: Path) -> None:
    run = morelli("detect", tmp_path / "none.jpg", "--bundle", bundle, "--weights", tmp_path / "no-weights")
    assert run.code == 4
    assert "none.jpg: missing" in run.err


def test_an_empty_folder_is_nothing_done(tmp_path: Path, judge: Judge) -> None:
    run = judge(tmp_path)
    assert run.code == 4
    assert "No image found" in run.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_that_nothing_reads_takes_no_other_output_along(
    tmp_path: Path, judge: Judge, photo_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("morelli.artefacts._file.PIPE_WAIT", 0.05)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "share.csv").write_text("old")
    (tmp_path / "v.csv").symlink_to("share.csv")
    run = judge(photo_dir, "--csv", tmp_path / "v.csv", "--jsonl", tmp_path / "pipe")
    assert run.code == 2
    assert "pipe is a pipe, and nothing read from it" in run.err
    assert (tmp_path / "v.csv").is_symlink()
    with (tmp_path / "share.csv").open(encoding="utf-8-sig", newline="") as file:
        assert {row["uri"] for row in csv.DictReader(file)} == {item.uri for item in iter_source(photo_dir)}
    alone = judge(photo_dir, "--jsonl", tmp_path / "pipe")
    assert (alone.code, alone.out) == (2, "")
    assert (tmp_path / "pipe").is_fifo()


def test_two_outputs_cannot_share_stdout(judge: Judge, photo_dir: Path) -> None:
    run = judge(photo_dir, "--json", "--csv", "-")
    assert run.code == 2
    assert "stdout" in run.err


def test_other_weights_than_the_bundles_are_refused(tmp_path: Path, judge: Judge, photo_dir: Path) -> None:
    from tests.small_models import save_tiny_clip

    other = save_tiny_clip(tmp_path / "tiny-clip", seed=1)
    run = Judge(judge.bundle, other)(photo_dir)
    assert run.code == 4
    assert run.err.count("\n") <= 3
    assert "weights" in run.err


def test_a_reader_that_stops_early_ends_the_run_quietly(judge: Judge, collection: Path) -> None:
    command = [sys.executable, "-m", "morelli", "detect", str(collection), *judge.options]
    command += ["--jsonl", "-", "-q"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        json.loads(process.stdout.readline())
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(timeout=120)
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors


def test_an_interrupted_run_leaves_whole_lines_in_a_part(
    tmp_path: Path, judge: Judge, collection: Path
) -> None:
    archive = tmp_path / "many.tar"
    with tarfile.open(archive, "w") as tar:
        pictures = sorted(collection.rglob("*.png"))
        for index in range(6_000):
            tar.add(pictures[index % len(pictures)], f"{index:05}.png")
    out = tmp_path / "v.jsonl"
    command = [str(Path(sys.executable).with_name("morelli")), "detect", str(archive), *judge.options]
    command += ["--jsonl", str(out), "-q"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        part = tmp_path / f"v.jsonl.{process.pid}.part"
        deadline = time.monotonic() + 120
        while (not part.exists() or part.stat().st_size < 20_000) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert f"{part} holds what was done until now" in said
    assert "begins again" in said
    assert not out.exists()
    lines = part.read_text().splitlines()
    assert len(lines) > 10
    assert all(json.loads(line)["verdict"] in VERDICTS for line in lines)


def test_the_stream_reads_only_a_little_ahead(judge: Judge, photo_dir: Path) -> None:
    loaded = Bundle.load(judge.bundle)
    encoder = encoder_for_build(loaded.build, weights=judge.weights, device="cpu")
    item = next(iter_source(photo_dir))
    taken = 0

    def endless() -> Iterator[ImageItem]:
        nonlocal taken
        while True:
            taken += 1
            yield item

    stream = detect(endless(), loaded, encoder, batch_size=4)
    for _ in range(40):
        next(stream)
    assert taken <= 40 + 4 * 4
    stream.close()


def test_memory_does_not_grow_with_the_number_of_images(
    tmp_path: Path, judge: Judge, collection: Path
) -> None:
    pictures = sorted(collection.rglob("*.png"))
    peaks = []
    for count in (100, 800):
        archive = tmp_path / f"{count}.tar"
        with tarfile.open(archive, "w") as tar:
            for index in range(count):
                tar.add(pictures[index % len(pictures)], f"{index:05}.png")
        command = ("detect", archive, *judge.options, "-q", "--csv", tmp_path / f"{count}.csv")
        run, peak = peak_of_morelli(tmp_path / "peak", *command)
        assert run.code == 0, run.err
        peaks.append(peak)
        with (tmp_path / f"{count}.csv").open(newline="") as file:
            assert sum(1 for _ in csv.DictReader(file)) == count
    assert peaks[1] < 1.1 * peaks[0] + 20_000


@pytest.mark.encoder
def test_the_shipped_detector_judges_photographs(
    tmp_path: Path, real_encoder: object, photo_dir: Path
) -> None:
    """End to end as a newcomer runs it, offline, with the real encoder and the shipped bundle."""
    folder = tmp_path / "photos"
    shutil.copytree(photo_dir, folder)
    run = run_morelli("detect", folder, "--json", "--sheet", tmp_path / "sheet.png", "--offline")
    assert run.code == 0, run.err
    rows = results(run)
    assert len(rows) == sum(1 for path in folder.rglob("*.*"))
    assert {row["verdict"] for row in rows} <= VERDICTS
    assert (tmp_path / "sheet.png").stat().st_size > 50_000
    # Photographs from well-known packages: not each need be called real, but most must not be called AI.
    assert sum(row["verdict"] == "ai" for row in rows) <= len(rows) / 4


def test_thorough_tells_the_range_over_deliveries(judge: Judge, photo_dir: Path, tmp_path: Path) -> None:
    photos = sorted(photo_dir.glob("*.jpg"))[:2]
    folder = tmp_path / "in"
    folder.mkdir()
    for photo in photos:
        shutil.copy(photo, folder)
    (folder / "zut.png").write_bytes(b"no picture")
    plain = {row["uri"]: row for row in results(judge(folder, "--json"))}
    sheet = tmp_path / "v.csv"
    run = judge(folder, "--json", "--thorough", "--csv", sheet, "--batch-size", "3")
    assert run.code == 3, run.err
    thorough = {row["uri"]: row for row in results(run)}
    assert list(thorough) == list(plain)
    for uri, row in thorough.items():
        if "error" in row:
            assert row == plain[uri]
            continue
        moved = row.pop("stability")
        own = {key: value for key, value in row.items() if key != "reasons"}
        alone = {key: value for key, value in plain[uri].items() if key != "reasons"}
        # Batches of another size round differently in the last bits.
        assert own.pop("logit") == pytest.approx(alone.pop("logit"), abs=1e-4)
        assert own["verdict"] == alone["verdict"] and own["sha256"] == alone["sha256"]
        assert [one["delivery"] for one in moved["deliveries"]] == list(STABILITY_PERTURBATIONS)
        every = [row["probability"], *(one["probability"] for one in moved["deliveries"])]
        assert (moved["low"], moved["high"]) == (min(every), max(every))
        assert moved["low"] < moved["high"]
    with sheet.open(newline="", encoding="utf-8-sig") as file:
        for line in csv.DictReader(file):
            assert bool(line["stability_low"]) == (not line["error"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--csv", ""], "--csv was given an empty name"),
        (["--parquet", " "], "--parquet was given an empty name"),
        (["--csv", "v.csv", "--jsonl", "./v.csv"], "--jsonl and --csv name one file"),
        (["--parquet", "v", "--sheet", "v"], "--parquet and --sheet name one file"),
        (["--sheet", "."], "is a folder"),
        (["--csv", "-", "--parquet", "-"], "can have stdout"),
    ],
)
def test_outputs_that_cannot_be_told_apart_are_refused_before_any_work(
    options: list[str], words: str, photo_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = morelli("detect", photo_dir, "--offline", *options)
    assert run.code == 2
    assert words in run.err
    assert not list(tmp_path.iterdir())


def test_figures_are_made_of_the_table_of_verdicts(judge: Judge, collection: Path, tmp_path: Path) -> None:
    labelled = tmp_path / "set"
    for name in ("real/chelsea", "fake/generator-of-chelsea"):
        shutil.copytree(collection / name, labelled / name)
    (labelled / "real" / "chelsea" / "cut.png").write_bytes(b"")
    tables = [tmp_path / "v.csv", tmp_path / "v.parquet"]
    outputs = ("--csv", tables[0], "--parquet", tables[1])
    run = judge(labelled, "--label-from", "folders", "--json", *outputs)
    assert run.code == 3
    scored = [row for row in results(run) if "error" not in row]
    y = [row["label"] == "fake" for row in scored]
    expected = roc_auc_score(y, [row["logit"] for row in scored])
    for table in tables:
        out = tmp_path / f"report-{table.suffix}"
        made = morelli("evaluate", "report", table, "-o", out, "--no-thumbnails", "--rounds", "50")
        assert made.code == 0, made.err
        (result,) = json.loads((out / "report.json").read_text())["results"]
        assert result["n_images"] == len(scored) == 20
        assert result["metrics"]["auc"]["value"] == pytest.approx(expected)
