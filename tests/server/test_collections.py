"""Atlases built from folders: inside the declared folder and nowhere else, one at a time, safe to end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from morelli.artefacts import locked
from morelli.atlas import Atlas
from morelli.errors import UsageError
from morelli.features import FeatureTable
from morelli.server import ServerSettings
from morelli.server._atlases import Atlases
from morelli.server._build_models import BuildRequest
from morelli.server._build_worker import BuildTask
from morelli.server._builds import Builds, _Building
from morelli.server._collection_routes import _folder, _listed
from morelli.server._problems import ProblemError
from tests.server.process import served
from tests.server.running import Running, running

PROBLEM = "urn:morelli:problem:"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, collection: Path) -> Path:
    """A folder of collections: 24 labelled images, links that lead outside, and files that are no images."""
    root = tmp_path_factory.mktemp("collections") / "pictures"
    for label in ("real", "fake"):
        for number, path in enumerate(sorted((collection / label).rglob("*.png"))[:48:4]):
            place = root / "holiday" / label / path.parent.name
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place / f"{number}-{path.name}")
    (root / "holiday" / "notes.txt").write_text("no image")
    (root / "holiday" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (root / "holiday" / "secret.png").symlink_to(next(collection.rglob("*.png")))
    (root / "outside").symlink_to(collection)
    (root / "again").symlink_to(root / "holiday")
    (root / "empty").mkdir()
    (root / ".hidden").mkdir()
    return root


@pytest.fixture(scope="module")
def building(settings: ServerSettings, folder: Path) -> Iterator[Running]:
    with running(replace(settings, collections=folder, roots=())) as server:
        yield server


def ended(server: Running) -> dict[str, Any]:
    for _ in range(6000):
        build: dict[str, Any] = server.get("/collections/build").json()["build"]
        if build["state"] != "running":
            return build
        time.sleep(0.02)
    raise AssertionError("the build did not end")


def reached(server: Running, *steps: str) -> None:
    while server.get("/collections/build").json()["build"]["step"] not in steps:
        time.sleep(0.005)


def kind_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix(PROBLEM)


def ask(server: Running, path: str = "holiday", name: str = "holiday", **more: str) -> Any:
    return server.post("/collections/build", json={"path": path, "name": name, **more})


def test_an_atlas_is_built_from_a_folder_and_opens_without_a_restart(building: Running, folder: Path) -> None:
    listed = building.get("/collections").json()
    assert [one["name"] for one in listed["folders"]] == ["again", "empty", "holiday"]
    assert listed["atlases"] == listed["unfinished"] == []
    inner = building.get("/collections", params={"path": "holiday"}).json()
    assert [one["path"] for one in inner["folders"]] == ["holiday/fake", "holiday/real"]
    assert inner["files"] == 2
    assert kind_of(building.post("/collections/build/cancel")) == (404, "unknown-build")
    started = ask(building)
    assert (started.status_code, started.json()["state"]) == (202, "running")
    assert kind_of(ask(building, name="second")) == (409, "build-running")

    # Cancelled, it is no atlas, and what was extracted stays. A build may be quicker than the request.
    reached(building, "distiller", "maps", "prototypes", "cells")
    while (state := building.post("/collections/build/cancel").json()["state"]) == "done":
        for name in ("holiday.atlas", "holiday.lance"):
            shutil.rmtree(folder / name)
        assert ask(building).status_code == 202
        reached(building, "distiller", "maps", "prototypes", "cells")
    assert state == "cancelled"
    (left,) = building.get("/collections").json()["unfinished"]
    assert (left["name"], left["folder"], left["state"]) == ("holiday", "holiday", "cancelled")
    assert building.get("/atlases/holiday").status_code == 404
    assert building.get("/info").json()["atlases"] == []
    assert len(FeatureTable.open(folder / "holiday.lance")) == 24
    assert kind_of(ask(building)) == (409, "name-taken")

    assert building.post("/collections/build/resume", json={"name": "holiday"}).status_code == 202
    build = ended(building)
    assert (build["state"], build["images"], build["message"]) == ("done", 24, "")
    assert (build["failed"], build["reasons"]) == (2, {"truncated": 1, "outside_roots": 1})

    # It is there at once, as what the command line makes of the folder, with maps and its own files.
    assert building.get("/info").json()["atlases"] == ["holiday"]
    counts = building.get("/atlases/holiday").json()["counts"]
    assert (counts["real"], counts["fake"]) == (12, 12)
    assert building.get("/atlases/holiday/images/0").json()["file"] == "there"
    assert building.get("/atlases/holiday/images/0/file").headers["content-type"] == "image/png"
    assert building.get("/atlases/holiday/images/0/relevance").status_code == 200
    made = Atlas.open(folder / "holiday.atlas")
    assert str(folder / "holiday") in made.record.command
    assert building.get("/collections").json()["atlases"] == ["holiday"]
    assert not list(folder.glob("*.building.json"))

    assert kind_of(ask(building)) == (409, "name-taken")
    discard = building.post("/collections/build/discard", json={"name": "holiday"})
    assert kind_of(discard) == (404, "unknown-build")
    assert building.get("/atlases/holiday").status_code == 200


def test_what_cannot_become_an_atlas_says_why_and_leaves_nothing(building: Running, folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    assert ask(building, path="holiday/real", name="one", dimensions="fitted").status_code == 202
    build = ended(building)
    assert build["state"] == "failed"
    assert "both classes" in build["message"]
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    "path", ["..", "../", "holiday/../..", "/etc", "outside", "holiday/notes.txt", "no\0", "nothing", "~"]
)
def test_no_folder_outside_is_listed_or_read(building: Running, path: str) -> None:
    assert kind_of(ask(building, path=path, name="escape")) == (403, "outside-roots")
    assert kind_of(building.get("/collections", params={"path": path})) == (403, "outside-roots")


@pytest.mark.parametrize(
    "name", ["..", "../x", "a/b", ".hidden", "", "a\\b", "x.", "a\nb", "x" * 101, "字" * 67, "²"]
)
def test_no_name_leads_elsewhere(building: Running, name: str) -> None:
    assert kind_of(ask(building, name=name)) == (422, "invalid-request")
    for what in ("resume", "discard"):
        assert building.post(f"/collections/build/{what}", json={"name": name}).status_code == 422


def test_an_atlas_that_a_link_places_outside_is_not_served(
    settings: ServerSettings, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "holiday.atlas", tmp_path / "elsewhere.atlas")
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked.atlas").symlink_to(tmp_path / "elsewhere.atlas")
    shutil.copytree(tmp_path / "elsewhere.atlas", root / "copied.atlas")
    note = {"folder": "../..", "labels": "folders", "dimensions": "shipped"}
    (root / "forged.building.json").write_text(json.dumps(note))
    (root / "linked.building.json").write_text(json.dumps(note | {"folder": "."}))
    (root / "odd.building.json").write_text("[" * 100_000)
    (tmp_path / "elsewhere.atlas" / "atlas.json").rename(tmp_path / "kept.json")
    with running(replace(settings, collections=root)) as server:
        assert server.get("/info").json()["atlases"] == ["copied"]
        assert server.get("/atlases/linked").status_code == 404
        forged = server.post("/collections/build/resume", json={"name": "forged"})
        assert kind_of(forged) == (403, "outside-roots")
        # Of a link nothing behind it is removed.
        assert server.post("/collections/build/discard", json={"name": "linked"}).status_code == 204
        assert (tmp_path / "elsewhere.atlas" / "images.lance").is_dir()


def test_nothing_is_built_without_a_folder_for_it(server: Running, settings: ServerSettings) -> None:
    assert kind_of(server.get("/collections")) == (409, "no-collections")
    assert kind_of(ask(server)) == (409, "no-collections")
    with pytest.raises(UsageError, match="one worker"):
        replace(settings, collections=settings.roots[0], workers=2)
    with pytest.raises(UsageError, match="no folder"):
        replace(settings, collections=settings.roots[0] / "nothing")


def test_no_module_is_taken_from_the_folder_in_which_the_server_was_started(
    building: Running, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    assert ask(building, path="empty", name="nothing").status_code == 202
    assert "no image in the folder" in ended(building)["message"]


@pytest.mark.parametrize("name", ["cafe\u0301", "हिन्दी", "می\u200cخواهم"])
def test_names_of_all_scripts_can_be_gone_on_with_and_served(
    settings: ServerSettings, tmp_path: Path, name: str
) -> None:
    assert BuildRequest(path="", name=name).name == name
    note = {"folder": ".", "labels": "folders", "dimensions": "shipped"}
    (tmp_path / f"{name}.building.json").write_text(json.dumps(note))
    (tmp_path / f"{name}.atlas").mkdir()
    ours = replace(settings, collections=tmp_path)
    assert [one.name for one in Builds(ours).unfinished()] == [name]
    (tmp_path / f"{name}.atlas" / "atlas.json").write_text("{}")
    assert name in Atlases(ours).names


def test_a_build_of_another_server_is_neither_removed_nor_run_twice(
    settings: ServerSettings, tmp_path: Path
) -> None:
    note = {"folder": ".", "labels": "folders", "dimensions": "shipped"}
    (tmp_path / "theirs.building.json").write_text(json.dumps(note))
    (tmp_path / "theirs.lance").mkdir()
    builds = Builds(replace(settings, collections=tmp_path))
    with ThreadPoolExecutor(1) as other, locked(tmp_path / "theirs.building.json"):
        for act in (builds.discard, builds.resume):
            with pytest.raises(ProblemError, match="Another server is building"):
                other.submit(act, "theirs").result()
        assert (tmp_path / "theirs.lance").is_dir()
    builds.discard("theirs")
    assert list(tmp_path.iterdir()) == []


def test_a_long_reason_of_a_failure_does_not_hide_the_build(settings: ServerSettings, tmp_path: Path) -> None:
    (tmp_path / "long.lance").mkdir()
    builds = Builds(replace(settings, collections=tmp_path))
    task = BuildTask(settings, tmp_path, tmp_path, "long", "folders", "shipped")
    with subprocess.Popen([sys.executable, "-c", ""], text=True) as process:
        process.wait()
        builds._settle(_Building(task, process, "."), {"end": "failed", "message": "x" * 9000})
    (left,) = builds.unfinished()
    assert (left.name, left.state) == ("long", "failed")


def test_a_folder_that_cannot_be_listed_or_named_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="cannot be listed"):
        _listed(tmp_path / "gone", tmp_path)
    odd = tmp_path / os.fsdecode(b"\xff")
    odd.mkdir()
    (tmp_path / "link").symlink_to(odd)
    with pytest.raises(ProblemError, match="not UTF-8"):
        _folder("link", tmp_path)


def test_a_page_of_another_site_can_start_nothing(building: Running) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = building.post(
            "/collections/build", json={"path": "holiday", "name": "theirs"}, headers=headers
        )
        assert kind_of(answer) == (403, "foreign-origin")
    simple = building.post(
        "/collections/build",
        content=b'{"path": "holiday", "name": "theirs"}',
        headers={"Content-Type": "text/plain"},
    )
    assert simple.status_code == 422


def test_a_server_killed_in_a_build_says_so_when_it_starts_again(
    settings: ServerSettings, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    shutil.copytree(folder / "holiday", root / "holiday", symlinks=True)
    with served(replace(settings, collections=root)) as one, one.client() as client:
        client.post("/collections/build", json={"path": "holiday", "name": "lost"})
        while client.get("/collections/build").json()["build"]["step"] in ("starting", "listing", "encoder"):
            time.sleep(0.005)
        one.running.kill()
        one.running.wait()
    with running(replace(settings, collections=root), ready=False) as again:
        assert "The build of lost was interrupted" in caplog.text
        (left,) = again.get("/collections").json()["unfinished"]
        assert (left["name"], left["state"]) == ("lost", "interrupted")
        assert again.get("/info").json()["atlases"] == []
        # Its worker ends with it: from then on nothing is written any more.
        while again.post("/collections/build/discard", json={"name": "lost"}).status_code != 204:
            time.sleep(0.05)
    assert [path.name for path in root.iterdir() if not path.name.startswith(".")] == ["holiday"]


def test_a_server_that_is_stopped_in_a_build_leaves_it_interrupted(
    settings: ServerSettings, folder: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    shutil.copytree(folder / "holiday", root / "holiday", symlinks=True)
    with running(replace(settings, collections=root)) as server:
        ask(server, name="stopped")
        reached(server, "extracting", "distiller", "maps", "prototypes", "cells")
    after = Builds(replace(settings, collections=root))
    assert after.recover() == ["stopped"]
    assert not (root / "stopped.atlas" / "atlas.json").exists()
