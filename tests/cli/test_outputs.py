"""What `detect` writes: every form holds the same records, whole or not at all."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from morelli.artefacts.text import csv_table
from morelli.cli._outputs import Csv, JsonDocument, JsonLines, Parquet, flat, record
from morelli.cli._verdict_table import BAR, MANY, SHOWN, Summary, bar, key, statements, verdict_table, why
from morelli.detectors import Neighbor, Verdict
from morelli.errors import ImageError
from morelli.images import decode
from morelli.inspection import Detection
from morelli.inspection.answers import COLUMNS, ProvenanceFinding
from morelli.reports import Picture, contact_sheet

VERDICT = Verdict(
    verdict="ai",
    probability=0.9,
    interval=(0.8, 0.95),
    logit=2.2,
    domain_distance=0.3,
    neighbors=(
        Neighbor(id="a" * 64, label=1, generator="sdxl", similarity=0.91, uri="fake/a.png"),
        Neighbor(id="b" * 64, label=0, generator=None, similarity=0.72, uri="real/b.jpg"),
    ),
    reasons=("close to sdxl", 'far from, "reals"\nof the bank'),
)


@pytest.fixture
def detections(photo_dir: Path) -> list[Detection]:
    """Two judged photographs, one failure."""
    good = []
    for index, path in enumerate(sorted(photo_dir.glob("*.jpg"))[:2]):
        decoded = decode(path.read_bytes())
        good.append(Detection(str(path), label=index, facts=decoded.facts, verdict=VERDICT))
    return [*good, Detection("ümläut\udcff.jpg", failure=ImageError("truncated", "ends too early, by far"))]


def test_every_form_holds_the_same_records(tmp_path: Path, detections: list[Detection]) -> None:
    rows = [record(detection) for detection in detections]
    summary: dict[str, object] = {}
    names = [str(tmp_path / f"v.{suffix}") for suffix in ("json", "jsonl", "csv", "parquet")]
    outputs = [
        JsonDocument(names[0], {"head": 1}, summary),
        JsonLines(names[1]),
        Csv(names[2]),
        Parquet(names[3]),
    ]
    for output in outputs:
        with output:
            for row in rows:
                output.write(row)
            summary["done"] = 2
    document = json.loads(Path(names[0]).read_text())
    lines = [json.loads(line) for line in Path(names[1]).read_text().splitlines()]
    table = pq.read_table(names[3])
    with Path(names[2]).open(newline="", encoding="utf-8-sig") as file:
        spread = list(csv.DictReader(file))

    assert document["results"] == lines == rows
    assert document["summary"] == {"done": 2}
    assert table.column_names == list(COLUMNS) == list(spread[0])
    for got, read, row in zip(table.to_pylist(), spread, rows, strict=True):
        want = flat(row) | {"uri": row["uri"].replace("\udcff", "\\udcff")}
        assert got == want
        assert {name: value or None for name, value in read.items()} == {
            name: None if value is None else str(value) or None for name, value in want.items()
        }
    assert spread[0]["nearest_generated"] == "sdxl"
    assert float(spread[0]["nearest_real_similarity"]) == 0.72
    assert (spread[2]["error"], spread[2]["verdict"]) == ("truncated", "")


@pytest.mark.parametrize("form", [JsonLines, Csv, Parquet, lambda name: JsonDocument(name, {}, {})])
def test_an_interrupted_output_never_bears_the_final_name(
    tmp_path: Path, detections: list[Detection], form: type[JsonLines]
) -> None:
    target = tmp_path / "out"
    target.write_text("the result of yesterday")
    with pytest.raises(KeyboardInterrupt), form(str(target)) as output:
        output.write(record(detections[0]))
        raise KeyboardInterrupt
    assert target.read_text() == "the result of yesterday"
    assert len(list(tmp_path.glob("out.*.part"))) == 1


def test_a_link_stays_one_and_a_pipe_is_fed(tmp_path: Path, detections: list[Detection]) -> None:
    row = record(detections[0])
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "v.csv").write_text("old")
    (tmp_path / "v.csv").symlink_to("share/v.csv")
    with Csv(str(tmp_path / "v.csv")) as output:
        output.write(row)
    assert (tmp_path / "v.csv").is_symlink()
    assert (tmp_path / "share" / "v.csv").read_text().startswith("\ufeffuri,")
    if not hasattr(os, "mkfifo"):
        return
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        got = pool.submit((tmp_path / "pipe").read_text)
        with JsonLines(str(tmp_path / "pipe")) as output:
            output.write(row)
        assert json.loads(got.result(timeout=60)) == row
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pipe", "share", "v.csv"]


def test_an_empty_document_is_valid_json(tmp_path: Path) -> None:
    with JsonDocument(str(tmp_path / "e.json"), {"bundle": {"name": "x"}}, {}):
        pass
    assert json.loads((tmp_path / "e.json").read_text())["results"] == []


@pytest.mark.parametrize(
    ("low", "point", "high"), [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.1, 0.5, 0.9), (0.49, 0.5, 0.51)]
)
def test_the_bar_has_its_point_inside_its_interval(low: float, point: float, high: float) -> None:
    drawn = bar(low, point, high)
    assert len(drawn) == BAR
    assert drawn.count("◉") == 1
    assert drawn.strip("·").replace("◉", "━").count("━") == len(drawn.strip("·"))
    assert drawn.index("◉") <= point * BAR <= drawn.index("◉") + 1


def test_a_long_run_is_counted_in_full_and_remembered_in_part(detections: list[Detection]) -> None:
    summary = Summary()
    for _ in range(500):
        summary.add(detections[0])
    assert summary.done == 500
    assert len(summary.shown) == verdict_table(summary).row_count == SHOWN
    assert summary.by_label[0]["ai"] == 500


def test_a_reason_that_many_share_is_said_once(detections: list[Detection]) -> None:
    summary = Summary()
    for index, reason in enumerate(
        ["probability 0.91 lies above 0.7", "probability 0.88 lies above 0.7", "odd"]
    ):
        verdict = replace(VERDICT, reasons=(reason, "nearest real neighbour at cosine 0.4"))
        summary.add(Detection(f"set/{index}.jpg", facts=detections[0].facts, verdict=verdict))
    assert [line.plain for line in why(summary)] == [
        "▲ 2 of 3 AI-generated: lies above 0.7",
        "▲ 1 of 3 AI-generated: odd – set/2.jpg",
    ]
    assert str(verdict_table(summary).columns[0].header) == "image in set/"
    assert [str(cell) for cell in verdict_table(summary).columns[0].cells] == ["0.jpg", "1.jpg", "2.jpg"]


def test_below_a_long_table_stand_its_columns_and_what_each_reason_is_about(
    detections: list[Detection],
) -> None:
    def table_of(rows: int) -> tuple[Summary, str]:
        summary = Summary()
        for index in range(rows):
            word, reason = ("real", "lies below 0.3") if index % 3 else ("ai", "lies above 0.7")
            verdict = replace(VERDICT, verdict=word, reasons=(reason,))
            summary.add(Detection(f"set/{index}.jpg", facts=detections[0].facts, verdict=verdict))
        screen = Console(width=120, record=True, file=io.StringIO())
        screen.print(verdict_table(summary))
        return summary, screen.export_text()

    short, printed = table_of(MANY - 1)
    assert printed.count("nearest generated") == 1 and key(short) == []
    # By verdict in the order of the counts, however frequent each is.
    assert [line.plain for line in why(short)] == [
        "▲ all 7 AI-generated: lies above 0.7",
        "● all 12 real: lies below 0.3",
    ]
    long, printed = table_of(60)
    assert printed.count("nearest generated") == 2
    assert "from 0 to 1" in key(long)[0].plain and "from 0 to 1" not in key(long, width=80)[0].plain
    assert why(long)[0].plain == "▲ all 17 AI-generated shown: lies above 0.7"
    assert [line.plain for line in why(table_of(1)[0])] == ["▲ lies above 0.7"]


def test_files_that_claim_generation_are_named_and_the_rest_counted(detections: list[Detection]) -> None:
    said = ProvenanceFinding(
        kind="generator_metadata",
        claims="edited_with_ai",
        strength="statement",
        tool="Com\x1b[2Jfy",
        version="1",
        sentence="…",
        where="PNG text",
    )
    camera = replace(said, kind="camera", claims="camera", strength="weak")
    summary = Summary()
    for index in range(60):
        found = (said, camera) if index % 2 else (camera,)
        summary.add(Detection(f"{index}.png", facts=detections[0].facts, verdict=VERDICT, provenance=found))
    lines = [line.plain for line in statements(summary)]
    assert lines[0] == r"△ the file says that a generator changed it: Com\x1b[2Jfy 1 (not signed) – 1.png"
    assert len(lines) == 9 and lines[-1] == "… and so do 22 more files"
    quiet = Summary()
    quiet.add(Detection("a.png", facts=detections[0].facts, verdict=VERDICT, provenance=(camera,)))
    assert statements(quiet) == []


def test_a_file_name_cannot_steer_the_terminal(detections: list[Detection]) -> None:
    summary = Summary()
    hostile = "a\x1b[2J[bold]b\n.jpg"
    summary.add(Detection(hostile, facts=detections[0].facts, verdict=VERDICT))
    screen = Console(width=200, record=True, file=io.StringIO())
    screen.print(verdict_table(summary))
    text = screen.export_text()
    assert "\x1b[2J" not in text
    assert r"a\x1b[2J[bold]b\n.jpg" in text


def test_a_contact_sheet_frames_each_picture_in_its_verdicts_colour(
    photos: list[tuple[str, Image.Image]],
) -> None:
    from morelli.reports._contact_sheet import CELL, COLOURS, GAP

    kinds = ["ai", "real", "inconclusive", "out_of_domain"]
    pictures = [
        Picture(image, f"{name} {'x' * 80}\n.jpg", replace(VERDICT, verdict=kind), section="labelled real")
        for (name, image), kind in zip(photos, kinds * 9, strict=False)
    ]
    sheet = contact_sheet(pictures, title="four kinds", note="a note", columns=4)
    assert sheet.width >= 4 * CELL
    colours = {colour: count for count, colour in sheet.getcolors(sheet.width * sheet.height) or []}
    for kind in kinds:
        # A frame alone has about 4 · 220 · 5 pixels; the legend's mark and the words add a few.
        framed = sum(picture.verdict.verdict == kind for picture in pictures)
        assert colours[COLOURS[kind]] >= framed * 4 * (CELL - 5) * 5
    taller = contact_sheet(pictures, title="four kinds", note="a note", columns=3)
    rows = -(-len(pictures) // 3) + len(pictures) // -4
    assert taller.height - sheet.height >= rows * (CELL + GAP)


def test_a_spreadsheet_runs_nothing_and_shows_every_character(tmp_path: Path) -> None:
    names = ['=HYPERLINK("http://a.example","x").png', "@SUM(1).png", "-2+3.png", "größe.png"]
    with Csv(str(tmp_path / "v.csv")) as output:
        for name in names:
            output.write(record(Detection(name, generator="+gen", failure=ImageError("empty", "=nothing"))))
    data = (tmp_path / "v.csv").read_bytes()
    assert data.startswith(codecs.BOM_UTF8)
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert not [cell for row in rows for cell in row.values() if cell[:1] in set("=+-@\t\r")]
    # What a path means stays: the file called =… is still found by it.
    assert [row["uri"].removeprefix("./") for row in rows] == names
    assert {row["generator"] for row in rows} == {"'+gen"}


def test_tables_begin_with_a_mark_only_where_it_is_needed() -> None:
    assert csv_table(("a", "n"), [("x", -1), (None, 2.5)]) == "a,n\nx,-1\n,2.5\n"
    assert csv_table(("a",), [("é",)]) == "\ufeffa\né\n"
