"""Feedback of Check as a feature table: what the bank would say with it, and rows for other commands."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from morelli.detectors import Bundle
from morelli.errors import UsageError
from morelli.features import Features, FeatureTable
from morelli.server import ServerSettings
from tests.server.conftest import png
from tests.server.running import Running, running


def told(server: Running, case: str, label: str, **more: str) -> dict[str, Any]:
    answer = server.post("/feedback", json={"case": case, "label": label, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_corrections_become_a_table_that_goes_into_the_bank(
    settings: ServerSettings, picture: bytes, photos: list[tuple[str, Image.Image]], tmp_path: Path
) -> None:
    path = tmp_path / "corrections.lance"
    with running(replace(settings, feedback=path, roots=())) as server:
        case = server.upload(("mine.png", picture)).json()["cases"][0]
        answer = told(server, case["id"], "fake", note="by hand")
        assert (answer["stored"], answer["place"], answer["replaced"], answer["kept"]) == (
            "table",
            "corrections.lance",
            None,
            1,
        )
        # In the bank the picture is its own nearest neighbour; the fitted head does not move.
        difference = answer["difference"]
        before, after = difference["before"], difference["after"]
        assert difference["refit"]
        assert before["probability"] == after["probability"] == case["probability"]
        nearest = case["neighbors"]["fake"][0]["distance"]
        assert before["nearest_fake"] == pytest.approx(nearest, abs=1e-6)
        assert abs(after["nearest_fake"]) < 1e-3 < before["nearest_fake"]
        assert after["nearest_real"] == before["nearest_real"]
        # What the server judges with is as it was.
        again = server.get(f"/cases/{case['id']}/neighbors").json()
        assert again["fake"][0]["distance"] == pytest.approx(nearest, abs=1e-6)

        second = server.upload(("b.png", png(photos[1][1].crop((0, 0, 90, 90))))).json()["cases"][0]
        assert told(server, second["id"], "real")["kept"] == 2
        # A later word on the same picture takes the place of the earlier.
        answer = told(server, case["id"], "real")
        assert (answer["replaced"], answer["kept"]) == ("fake", 2)
        edited = server.post(f"/cases/{case['id']}/whatif", json={"edits": [{"name": "jpeg", "value": 60}]})
        refused = server.post("/feedback", json={"case": edited.json()["after"]["id"], "label": "real"})
        assert refused.status_code == 422
        assert "as they came" in refused.json()["detail"]

    table = FeatureTable.open(path)
    rows = table.metadata(["sha256", "uri", "label", "metadata"]).to_pylist()
    assert {(row["sha256"], row["uri"], row["label"]) for row in rows} == {
        (case["id"], "mine.png", 0),
        (second["id"], "b.png", 0),
    }
    assert '"by hand"' in next(row["metadata"] for row in rows if row["sha256"] == case["id"])
    assert settings.bundle is not None
    bundle = Bundle.load(settings.bundle)
    grown = bundle.with_bank_added(table.load(kinds=list(bundle.kinds)))
    assert grown.bank is not None and bundle.bank is not None
    assert len(grown.bank) == len(bundle.bank) + 2
    with pytest.raises(UsageError, match="SHA-256"):
        table.relabel("' OR 1=1 --", 1)


def test_a_later_note_on_the_same_picture_is_kept_in_the_table(
    settings: ServerSettings, picture: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "corrections.lance"
    notes = []
    with running(replace(settings, feedback=path, roots=())) as server:
        case = server.upload(("mine.png", picture)).json()["cases"][0]
        other = server.upload(("b.png", png(Image.new("RGB", (80, 80), "teal")))).json()["cases"][0]
        told(server, other["id"], "real", note="another picture")
        for label, note in (
            ("fake", "first"),
            ("real", 'it\'s "mine", \\ ünïcode'),
            ("fake", ""),
            ("fake", "last"),
        ):
            answer = told(server, case["id"], label, note=note)
            assert answer["kept"] == 2
            table = FeatureTable.open(path)
            rows = {row["uri"]: row for row in table.metadata(["uri", "label", "metadata"]).to_pylist()}
            assert rows["mine.png"]["label"] == (1 if label == "fake" else 0)
            notes.append(json.loads(rows["mine.png"]["metadata"])["note"])
            assert json.loads(rows["b.png"]["metadata"]) == {"note": "another picture"}
    # Feedback without a note leaves the one that is there.
    assert notes == ["first", 'it\'s "mine", \\ ünïcode', 'it\'s "mine", \\ ünïcode', "last"]


def test_the_ending_of_a_table_is_one_in_any_case(
    settings: ServerSettings, picture: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "F.LANCE"
    with running(replace(settings, feedback=path, roots=())) as server:
        case = server.upload(("mine.png", picture)).json()["cases"][0]
        answer = told(server, case["id"], "fake")
    assert (answer["stored"], answer["place"]) == ("table", "F.LANCE")
    assert FeatureTable.open(path).metadata(["label"]).to_pylist() == [{"label": 1}]


def test_a_label_given_without_a_note_and_a_note_given_later(
    settings: ServerSettings, picture: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "corrections.lance"
    with running(replace(settings, feedback=path, roots=())) as server:
        case = server.upload(("mine.png", picture)).json()["cases"][0]
        told(server, case["id"], "fake")
        assert FeatureTable.open(path).metadata(["metadata"]).to_pylist() == [{"metadata": "{}"}]
        told(server, case["id"], "fake", note="seen at the source")
    assert FeatureTable.open(path).metadata(["note"]).to_pylist() == [{"note": "seen at the source"}]


def test_entries_of_all_perturbations_of_an_image_and_of_no_other(tmp_path: Path) -> None:
    build = Features.from_arrays(np.eye(1)).build
    rows = Features.from_arrays(
        np.eye(4),
        labels=[0, 0, 1, 1],
        build=build,
        sha256=["a" * 64, "a" * 64, "b" * 64, "c" * 64],
        perturbation=["", "jpeg's", "", ""],
        metadata=['{"camera": "X100", "note": "old"}', None, '{"note": "other"}', None],
    )
    table = FeatureTable.create(tmp_path / "F.lance", build, {"final": 4})
    table.append(rows)
    table.relabel("a" * 64, 1, {"note": "new"})
    table.relabel("d" * 64, 1, {"note": "nobody"})
    found = table.metadata(["sha256", "perturbation", "label", "metadata"]).to_pylist()
    assert [
        (row["sha256"][0], row["perturbation"], row["label"], json.loads(row["metadata"] or "{}"))
        for row in sorted(found, key=lambda row: (row["sha256"], row["perturbation"]))
    ] == [
        ("a", "", 1, {"camera": "X100", "note": "new"}),
        ("a", "jpeg's", 1, {"note": "new"}),
        ("b", "", 1, {"note": "other"}),
        ("c", "", 1, {}),
    ]


def test_lines_of_others_stay_byte_for_byte(settings: ServerSettings, picture: bytes, tmp_path: Path) -> None:
    path = tmp_path / "corrections.jsonl"
    with running(replace(settings, feedback=path, roots=())) as server:
        case = server.upload(("mine.png", picture)).json()["cases"][0]
        odd = f'{{"sha256": "{case["id"]}", "edits": [], "label": ["real"]}}'.encode()
        theirs = ['{"note": "one\u2028line"}'.encode(), b"caf\xe9", b"[" * 20_000, odd]
        path.write_bytes(b"\n".join(theirs))
        assert told(server, case["id"], "fake")["kept"] == len(theirs) + 1
        answer = told(server, case["id"], "real")
        assert (answer["replaced"], answer["kept"]) == ("fake", len(theirs) + 1)
    *before, last, end = path.read_bytes().split(b"\n")
    assert (before, end) == (theirs, b"")
    assert json.loads(last)["label"] == 0


def test_a_picture_that_the_bank_knows_changes_nothing(server: Running, collection: Path) -> None:
    known = next((collection / "real").rglob("*.png"))
    case = server.upload(("known.png", known.read_bytes())).json()["cases"][0]
    difference = told(server, case["id"], "fake")["difference"]
    assert (difference["known_as"], difference["after"]) == ("real", None)
    assert told(server, case["id"], "unknown")["difference"] is None


def test_a_word_on_an_image_of_an_atlas_says_what_it_replaces(whole: Running) -> None:
    for label, before in (("real", None), ("fake", "real"), ("fake", "fake")):
        answer = whole.post("/feedback", json={"atlas": "small", "row": 7, "label": label}).json()
        assert (answer["stored"], answer["replaced"], answer["place"]) == ("atlas", before, "feedback.csv")
        assert answer["kept"] >= 1
        assert answer["difference"] is None


def test_a_word_on_two_things_at_once_is_refused(whole: Running, picture: bytes) -> None:
    case = whole.upload(("mine.png", picture)).json()["cases"][0]["id"]
    told(whole, case, "real")
    for place in ({"atlas": "small", "row": 8}, {"atlas": "small"}, {"row": 8}):
        answer = whole.post("/feedback", json={"case": case, "label": "fake", **place})
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:morelli:problem:invalid-request")
    # Neither was kept.
    assert told(whole, case, "real")["replaced"] == "real"
    said = whole.post("/feedback", json={"atlas": "small", "row": 8, "label": "real"}).json()
    assert said["replaced"] is None


def test_pictures_of_known_images_are_shown_from_the_declared_folders_alone(
    settings: ServerSettings, server: Running, picture: bytes, tmp_path: Path, collection: Path
) -> None:
    case = server.upload(("mine.png", picture)).json()["cases"][0]
    near = case["neighbors"]["real"][0]["id"]
    found = server.get("/bank/pictures", params={"ids": f"{near},{'0' * 64}"}).json()
    assert [one["state"] for one in found] == ["there", "unknown"]
    answer = server.get("/bank/picture", params={"id": near, "size": 48})
    assert answer.headers["content-type"] == "image/jpeg"
    assert max(Image.open(BytesIO(answer.content)).size) <= 48
    assert server.get("/bank/picture", params={"id": "0" * 64}).status_code == 404

    # A bundle may be anybody's: whatever its paths say, nothing else is read, and no other file's bytes.
    assert settings.bundle is not None
    bundle = Bundle.load(settings.bundle)
    assert bundle.bank is not None
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.png").symlink_to(next(collection.rglob("*.png")))
    (root / "changed.png").write_bytes(picture)
    paths = [
        "/etc/passwd",
        "../root/../x",
        str(root / "link.png"),
        str(root / "changed.png"),
        "a.zip::b.png",
        None,
    ]
    uris = (*paths, *bundle.bank.uris[len(paths) :])
    out = tmp_path / "forged"
    replace(bundle, bank=replace(bundle.bank, uris=uris)).save(out)
    with running(replace(settings, bundle=out, roots=(root,))) as forged:
        ids = bundle.bank.ids[: len(paths)]
        states = forged.get("/bank/pictures", params={"ids": ",".join(ids)}).json()
        assert [one["state"] for one in states] == [
            *["outside-roots"] * 3,
            "there",
            "in-archive",
            "no-path",
        ]
        for id in ids:
            refused = forged.get("/bank/picture", params={"id": id})
            assert (refused.status_code, refused.json()["type"]) == (404, "urn:morelli:problem:no-picture")
            # Another folder helps where the picture lies elsewhere, and not where it is in an archive.
            helps = forged.get("/bank/pictures", params={"ids": id}).json()[0]["state"] == "outside-roots"
            assert ("Start the server" in refused.json()["next"]) == helps
