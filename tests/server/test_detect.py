"""Uploads: the answer is the room's own, limits hold while bytes arrive, and nothing is kept."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from morelli.detectors import Bundle
from morelli.encoders import load_encoder
from morelli.images import ImageItem
from morelli.inspection._stream import detect
from morelli.server import ServerSettings
from tests.images.hostile import write_hostile_files
from tests.labelled_collection import gridded
from tests.server.conftest import png
from tests.server.running import Running, running

NOT_PICTURES = {".zip", ".tar", ".csv", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".tsv", ".parquet"}


def test_a_verdict_is_what_the_detectors_room_says(
    server: Running, bundle_dir: Path, tiny_clip_dir: Path, collection: Path
) -> None:
    files = sorted(collection.rglob("*.png"))[:5]
    answer = server.upload(*((path.name, path.read_bytes()) for path in files))
    assert answer.status_code == 200
    items = [ImageItem(path.name, path.read_bytes) for path in files]
    direct = list(detect(items, Bundle.load(bundle_dir), load_encoder(tiny_clip_dir)))
    for case, detection, path in zip(answer.json()["cases"], direct, files, strict=True):
        assert detection.verdict is not None
        assert case["verdict"] == detection.verdict.verdict
        assert case["id"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert case["probability"] == pytest.approx(detection.verdict.probability, abs=1e-4)
        assert case["reasons"] == list(detection.verdict.reasons)
        assert case["interval"][0] <= case["probability"] <= case["interval"][1]


def test_parts_sum_to_the_logit_that_decided_and_the_other_readers_to_its_own(
    server: Running, picture: bytes
) -> None:
    case = server.upload(("a.png", picture)).json()["cases"][0]
    distilled, evidence = case["distilled"], case["evidence"]
    assert sum(distilled["impacts"]) + distilled["bias"] == pytest.approx(distilled["logit"], abs=1e-9)
    parts = [part["logit"] for part in evidence["parts"]]
    assert evidence["logit"] == case["logit"]
    assert sum(parts) + evidence["bias"] == pytest.approx(case["logit"], abs=1e-9)
    assert [abs(one) for one in parts] == sorted(map(abs, parts), reverse=True)
    assert distilled["logit"] != case["logit"] and "probability" not in distilled


def test_the_sentence_names_everything_needed_to_repeat_it(server: Running, picture: bytes) -> None:
    case = server.upload(("a.png", picture)).json()["cases"][0]
    versions = case["versions"]
    for needed in ("a.png", versions["build"], versions["bundle"], case["facts"]["sha256"], "not proof"):
        assert needed in case["sentence"]
    assert versions["bundle_digest"] and versions["distilled_digest"]


def test_a_base_rate_moves_probability_and_thresholds_together(server: Running, picture: bytes) -> None:
    even, rare = (
        server.upload(("a.png", picture), base_rate=rate).json()["cases"][0] for rate in (0.5, 0.01)
    )
    assert rare["probability"] < even["probability"]
    assert rare["thresholds"]["ai"] < even["thresholds"]["ai"]
    assert rare["verdict"] == even["verdict"]


def test_unreadable_pictures_are_listed_beside_the_others(server: Running, picture: bytes) -> None:
    answer = server.upload(("good.png", picture), ("cut.png", picture[: len(picture) // 2]))
    assert answer.status_code == 200
    assert [case["name"] for case in answer.json()["cases"]] == ["good.png"]
    assert [(one["name"], one["reason"]) for one in answer.json()["failures"]] == [("cut.png", "truncated")]


def test_hostile_files_are_refused_with_their_reason(server: Running, tmp_path: Path) -> None:
    hostile = [
        one for one in write_hostile_files(tmp_path / "h") if one.path.is_file() and one.expected_reason
    ]
    asked = 0
    for one in hostile:
        if one.path.suffix in NOT_PICTURES or one.path.stat().st_size > 50_000_000:
            continue
        answer = server.upload(("hostile" + one.path.suffix, one.path.read_bytes()))
        assert answer.status_code in (413, 422), one.path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["failures"][0]["reason"] == one.expected_reason, one.path
        asked += 1
    assert asked > 20
    assert server.get("/ready").status_code == 200


def test_a_bomb_is_refused_by_its_header(server: Running) -> None:
    image = BytesIO()
    Image.new("1", (12_000, 12_000)).save(image, "PNG")  # 20 kB that would be 432 MB of RGB
    answer = server.upload(("bomb.png", image.getvalue()))
    assert answer.status_code == 413
    assert answer.json()["reason"] == "too_many_pixels"


def test_a_case_outlives_its_upload_in_memory_alone(
    settings: ServerSettings, picture: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with running(settings) as server:
        id = server.upload(("a.png", picture * 1)).json()["cases"][0]["id"]
        assert server.get(f"/cases/{id}").status_code == 200
        assert server.client.delete(f"/api/v1/cases/{id}").status_code == 204
        gone = server.get(f"/cases/{id}")
        assert (gone.status_code, gone.json()["type"]) == (404, "urn:morelli:problem:unknown-case")
        assert server.state.cases.bytes == 0
    assert list(tmp_path.iterdir()) == []


def test_uploads_are_kept_only_where_operator_and_client_want_it(
    settings: ServerSettings, server: Running, picture: bytes, tmp_path: Path
) -> None:
    refused = server.upload(("a.png", picture), keep=True)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:morelli:problem:keeping-not-allowed")
    with running(replace(settings, keep=tmp_path / "kept")) as allowed:
        assert allowed.upload(("a.png", picture)).status_code == 200
        assert not (tmp_path / "kept").exists()
        case = allowed.upload(("../../evil.png", picture), keep=True).json()["cases"][0]
    kept = list((tmp_path / "kept").iterdir())
    assert [path.name for path in kept] == [case["id"]]
    assert kept[0].read_bytes() == picture


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\boot.ini", "a\r\nSet-Cookie: x=1", "x" * 3000, "\u202egnp.exe"]
)
def test_a_files_name_is_shown_in_one_safe_line(server: Running, picture: bytes, name: str) -> None:
    shown = server.upload((name, picture)).json()["cases"][0]["name"]
    assert shown.isprintable() and "/" not in shown and "\\.." not in shown and 0 < len(shown) <= 200


def test_one_request_may_not_hold_too_many_files(server: Running, picture: bytes) -> None:
    before = server.state.cases.bytes
    answer = server.upload(*((f"{index}.png", picture[:200]) for index in range(10_000)))
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:morelli:problem:too-many-files")
    assert server.state.cases.bytes == before
    assert server.state.budget._held == 0


def test_bytes_are_limited_per_file_per_request_and_in_all(with_limits, picture: bytes) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    large = rng.bytes(400_000)
    with running(with_limits(file_bytes=300_000, request_bytes=1_000_000, uploads_bytes=500_000)) as server:
        one = server.upload(("large.png", large))
        assert (one.status_code, one.json()["type"]) == (413, "urn:morelli:problem:too-many-bytes")
        all = server.upload(*((f"{index}.png", large[:290_000]) for index in range(5)))
        assert (all.status_code, all.json()["type"]) == (413, "urn:morelli:problem:too-many-bytes")
        together = server.upload(*((f"{index}.png", large[:290_000]) for index in range(3)))
        assert together.status_code == 503 and int(together.headers["retry-after"]) > 0
        assert server.upload(("a.png", picture)).status_code == 200


def test_a_body_without_a_length_is_limited_too(with_limits) -> None:  # type: ignore[no-untyped-def]
    with running(with_limits(request_bytes=200_000)) as server:

        def endless():  # type: ignore[no-untyped-def]
            yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
            for _ in range(1000):
                yield bytes(10_000)

        answer = server.post(
            "/detect", content=endless(), headers={"content-type": "multipart/form-data; boundary=x"}
        )
        assert answer.status_code == 413


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "multipart/form-data; boundary=x", 400),
        (b"--x\r\n", "multipart/form-data; boundary=x", 400),
        (b"garbage", "multipart/form-data; boundary=x", 400),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 422),
        (b"{}", "application/json", 415),
        (b"", "multipart/form-data", 415),
        (
            b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            422,
        ),
        (b"--x\r\nA: " + b"b" * 10_000 + b"\r\n\r\nx\r\n--x--\r\n", "multipart/form-data; boundary=x", 400),
    ],
)
def test_broken_bodies_are_problems(server: Running, content: bytes, kind: str, status: int) -> None:
    answer = server.post("/detect", content=content, headers={"content-type": kind})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["next"]


def test_the_small_model_tells_what_it_was_fitted_on(
    server: Running, photos: list[tuple[str, Image.Image]]
) -> None:
    crop = photos[2][1].crop((100, 100, 164, 164))
    real, fake = server.upload(("r.png", png(crop)), ("f.png", png(gridded(crop)))).json()["cases"]
    assert fake["probability"] > real["probability"]
