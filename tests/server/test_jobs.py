"""Batches: inside the roots and nowhere else, in order, with progress, and gone when cancelled."""

from __future__ import annotations

import csv
import io
import json
import shutil
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from morelli.inspection.answers import COLUMNS
from morelli.server import ServerSettings
from tests.server.running import Running, running


def finished(server: Running, id: str) -> dict:  # type: ignore[type-arg]
    for _ in range(6000):
        job = server.get(f"/jobs/{id}").json()
        if job["state"] not in ("waiting", "running"):
            return job  # type: ignore[no-any-return]
        time.sleep(0.02)
    raise AssertionError("the job did not end")


def test_a_folder_is_judged_in_order(server: Running, collection: Path) -> None:
    started = server.post("/jobs", json={"path": "real", "label_from_folders": True})
    assert started.status_code == 202
    job = finished(server, started.json()["id"])
    files = sorted((collection / "real").rglob("*.png"))
    assert (job["state"], job["done"], job["total"], job["failed"]) == ("done", len(files), len(files), 0)
    assert sum(job["counts"].values()) == len(files)
    page = server.get(f"/jobs/{job['id']}/results", params={"offset": 3, "limit": 4}).json()
    assert page["total"] == len(files)
    assert [Path(row["uri"]).name for row in page["rows"]] == [path.name for path in files[3:7]]
    single = server.upload(("a.png", files[3].read_bytes())).json()["cases"][0]
    assert page["rows"][0]["probability"] == pytest.approx(single["probability"], abs=1e-4)
    assert {row["label"] for row in page["rows"]} == {"real"}
    rows = list(csv.DictReader(io.StringIO(server.get(f"/jobs/{job['id']}/results?format=csv").text)))
    lines = server.get(f"/jobs/{job['id']}/results?format=jsonl").text.splitlines()
    assert len(rows) == len(lines) == len(files)
    assert rows[3]["sha256"] == json.loads(lines[3])["sha256"] == single["id"]
    assert set(rows[3]) <= set(COLUMNS)
    low, high = json.loads(lines[3])["interval"]
    assert [float(rows[3][f"probability_{end}"]) for end in ("low", "high")] == [low, high]


def test_a_job_reads_named_columns_and_published_layouts(server: Running, collection: Path) -> None:
    picture = next((collection / "real").rglob("*.png")).relative_to(collection)
    table = collection / "named.csv"
    table.write_text(f"where,truth\n{picture},synthetic\n")
    place = collection / "wukong" / "val" / "ai"
    place.mkdir(parents=True)
    (place / "a.png").write_bytes((collection / picture).read_bytes())
    try:
        for asked in (
            {"path": "named.csv", "image_column": "where", "label_column": "truth"},
            {"path": "wukong", "layout": "genimage"},
        ):
            job = finished(server, server.post("/jobs", json=asked).json()["id"])
            assert (job["state"], job["done"]) == ("done", 1), job
            (row,) = server.get(f"/jobs/{job['id']}/results").json()["rows"]
            assert row["label"] == "fake"
        wrong = {"path": "named.csv", "image_column": "picture"}
        job = finished(server, server.post("/jobs", json=wrong).json()["id"])
        assert job["state"] == "failed"
        assert "'picture'" in job["message"]
        assert server.post("/jobs", json={"path": "wukong", "layout": "imagenet"}).status_code == 422
    finally:
        table.unlink()
        shutil.rmtree(collection / "wukong")


def test_a_job_judges_at_the_rates_that_were_asked_for(server: Running, collection: Path) -> None:
    rates = {"base_rate": 0.3, "fpr": 0.01}
    words = []
    for asked in (rates, {}):
        job = finished(server, server.post("/jobs", json={"path": "fake", **asked}).json()["id"])
        words.append([row["verdict"] for row in server.get(f"/jobs/{job['id']}/results").json()["rows"]])
    files = sorted((collection / "fake").rglob("*.png"))
    apart = [place for place, (strict, usual) in enumerate(zip(*words, strict=True)) if strict != usual]
    assert apart
    first = files[apart[0]]
    (case,) = server.upload((first.name, first.read_bytes()), **rates).json()["cases"]
    assert case["verdict"] == words[0][apart[0]]
    assert server.post("/jobs", json={"path": "fake", "fpr": 1}).status_code == 422


def test_a_job_can_be_listed_cancelled_and_forgotten(server: Running) -> None:
    id = server.post("/jobs", json={"path": "fake"}).json()["id"]
    assert id in [job["id"] for job in server.get("/jobs").json()]
    assert server.client.delete(f"/api/v1/jobs/{id}").status_code == 204
    assert server.get(f"/jobs/{id}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../",
        "real/../../..",
        "/etc/passwd",
        "/etc",
        "~",
        "real/\0",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2fetc",
        "real/*.png",
        "nothing-here",
        "http://127.0.0.1/x.png",
        "x" * 4000,
    ],
)
def test_no_path_outside_the_roots(server: Running, path: str) -> None:
    answer = server.post("/jobs", json={"path": path})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:morelli:problem:outside-roots")


def test_links_and_manifests_do_not_lead_outside(
    settings: ServerSettings, collection: Path, tmp_path: Path
) -> None:
    secret = next(collection.rglob("*.png"))
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.png").symlink_to(secret)
    (root / "folder").symlink_to(collection)
    (root / "own.png").write_bytes(secret.read_bytes())
    (root / "list.csv").write_text(f"path\n{secret}\n../{secret.name}\nown.png\n")
    with zipfile.ZipFile(root / "set.zip", "w") as archive:
        archive.write(secret, "inside.png")
    with running(replace(settings, roots=(root,))) as server:
        for link in ("link.png", "folder", str(root / "link.png")):
            assert server.post("/jobs", json={"path": link}).status_code == 403
        whole = finished(server, server.post("/jobs", json={"path": "."}).json()["id"])
        rows = server.get(f"/jobs/{whole['id']}/results").json()["rows"]
        judged = [Path(row["uri"]).name for row in rows if row["failure"] is None]
        assert judged == ["own.png"]
        assert {row["failure"] for row in rows} == {None, "outside_roots"}
        assert not [row for row in rows if row["failure"] and str(collection) in json.dumps(row)]
        listed = finished(server, server.post("/jobs", json={"path": "list.csv"}).json()["id"])
        rows = server.get(f"/jobs/{listed['id']}/results").json()["rows"]
        assert [row["failure"] for row in rows].count(None) == 1
        zipped = finished(server, server.post("/jobs", json={"path": "set.zip"}).json()["id"])
        assert (zipped["done"], zipped["failed"]) == (1, 0)


def test_without_roots_no_path_is_read(settings: ServerSettings) -> None:
    with running(replace(settings, roots=())) as server:
        answer = server.post("/jobs", json={"path": "/etc/passwd"})
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:morelli:problem:no-roots")


def test_jobs_are_bounded_in_number_and_size(settings: ServerSettings, with_limits) -> None:  # type: ignore[no-untyped-def]
    with running(with_limits(jobs=1, job_images=3)) as server:
        first = server.post("/jobs", json={"path": "."}).json()["id"]
        statuses = {server.post("/jobs", json={"path": "."}).status_code for _ in range(3)}
        assert statuses <= {202, 503}
        job = finished(server, first)
        assert job["done"] == 3 and "most of one job" in job["message"]
