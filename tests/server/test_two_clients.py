"""Several clients and several servers over one atlas, and a server that is killed at work."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from morelli.server import ServerSettings
from tests.server.process import Process, served
from tests.server.running import Running, running

ATLAS = "/atlases/own"


@pytest.fixture(scope="module")
def own_dir(atlas_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two-clients") / "own.atlas"
    # Without what tests before this one said of the shared atlas.
    shutil.copytree(
        atlas_dir, folder, ignore=shutil.ignore_patterns("edits.json", "feedback.csv", "tags.json")
    )
    return folder


@pytest.fixture(scope="module")
def both(settings: ServerSettings, own_dir: Path) -> Iterator[tuple[Running, Running]]:
    asked = replace(settings, atlases=(own_dir,))
    with running(asked) as one, running(asked) as other:
        yield one, other


def patch(server: Running, path: str, body: dict) -> tuple[int, dict]:  # type: ignore[type-arg]
    answer = server.client.patch(f"/api/v1{ATLAS}{path}", json=body)
    return answer.status_code, answer.json()


def tag_until_killed(server: Process, writer: str) -> list[str]:
    """Give tags until the server is gone; those whose request was answered."""
    given: list[str] = []
    with server.client() as client, contextlib.suppress(httpx.TransportError):
        while True:
            name = f"{writer}{len(given)}"
            asked = {"selection": {"prototype": 0}, "add": [name]}
            assert client.post(f"{ATLAS}/tags", json=asked).status_code == 200
            given.append(name)
            if len(given) == 200:
                return given
    return given


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_of_two_clients_that_rename_one_thing_the_second_is_told(both: tuple[Running, Running]) -> None:
    one, other = both
    for path in ("/dimensions/0", "/prototypes/0"):
        assert patch(one, path, {"name": "sky", "was": {"name": ""}}) == (200, {"name": "sky"})
        status, problem = patch(other, path, {"name": "grid", "was": {"name": ""}})
        assert (status, problem["type"]) == (412, "urn:morelli:problem:changed-meanwhile")
        assert "'sky'" in problem["detail"]
        assert one.get(f"{ATLAS}{path.rpartition('/')[0]}").json()[0]["name"] == "sky"
        assert patch(other, path, {"name": "grid", "was": {"name": "sky"}})[1]["name"] == "grid"
        assert patch(other, path, {"name": "stripes"})[1]["name"] == "stripes", (
            "without `was` the last counts"
        )


def test_what_one_server_merges_the_other_selects(both: tuple[Running, Running]) -> None:
    one, other = both
    asked = {"prototype": 0}
    before = one.post(f"{ATLAS}/selections", json=asked).json()["count"]
    shown = one.get(f"{ATLAS}/prototypes").json()
    for further in shown[1:]:
        assert patch(other, f"/prototypes/{further['id']}", {"merged_into": 0})[0] == 200
    after = other.post(f"{ATLAS}/selections", json=asked).json()["count"]
    assert after > before
    assert one.post(f"{ATLAS}/selections", json=asked).json()["count"] == after
    for further in shown[1:]:
        assert patch(one, f"/prototypes/{further['id']}", {"merged_into": None})[0] == 200
    assert other.post(f"{ATLAS}/selections", json=asked).json()["count"] == before


def test_no_edit_of_two_servers_is_lost(both: tuple[Running, Running]) -> None:
    def note(k: int) -> int:
        return patch(both[k % 2], f"/dimensions/{k % 4}", {("name", "note")[k // 4]: f"said {k}"})[0]

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(note, range(8))) == {200}
    found = both[0].get(f"{ATLAS}/dimensions").json()
    assert [(one["name"], one["note"]) for one in found[:4]] == [
        (f"said {k}", f"said {k + 4}") for k in range(4)
    ]


def test_tags_that_two_servers_give_at_once_are_all_kept(both: tuple[Running, Running]) -> None:
    def give(k: int) -> int:
        asked = {"selection": {"prototype": 0}, "add": [f"tag {k}"], "remove": [f"tag {k - 8}"]}
        return both[k % 2].post(f"{ATLAS}/tags", json=asked).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(give, range(8))) == {200}
        assert set(pool.map(give, range(8, 16))) == {200}
    for server in both:
        found = server.get(f"{ATLAS}/tags").json()
        assert sorted(one["name"] for one in found) == sorted(f"tag {k}" for k in range(8, 16))
        assert len({one["n"] for one in found}) == 1
        column = next(one for one in server.get(f"{ATLAS}/columns").json() if one["name"] == "tag")
        assert column["distinct"] == 8, "the column's entity tag follows the other server's changes"


def test_a_server_killed_in_a_job_leaves_nothing_and_starts_again(
    settings: ServerSettings, own_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    asked = replace(settings, atlases=(own_dir,))
    with served(asked) as killed, killed.client() as client:
        assert client.patch(f"{ATLAS}/dimensions/1", json={"note": "kept"}).status_code == 200
        assert client.post("/jobs", json={"path": "real"}).status_code == 202
        with ThreadPoolExecutor(2) as pool:
            answered = [pool.submit(tag_until_killed, killed, writer) for writer in "ab"]
            wait_until((own_dir / "tags.json").exists)
            killed.running.kill()
            killed.running.wait()
            promised = {name for one in answered for name in one.result()}
    left = [path for path in own_dir.rglob(".*") if "partial" in path.name or "tmp" in path.name]
    assert not left
    assert not list(tmp_path.rglob("*.png"))
    with running(asked) as again:
        assert again.get("/jobs").json() == []
        assert again.get(f"{ATLAS}/dimensions").json()[1]["note"] == "kept"
        kept = {one["name"] for one in again.get(f"{ATLAS}/tags").json()}
        assert promised <= kept, "a tag whose request was answered is on disk"
        change = {"selection": {"prototype": 0}, "add": ["after"]}
        assert again.post(f"{ATLAS}/tags", json=change).status_code == 200
        assert again.post("/jobs", json={"path": "real"}).status_code == 202
    assert not list(own_dir.glob(".*.morelli-*")), "what the killed write left is removed by the next one"
