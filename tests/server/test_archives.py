"""Uploaded archives: listed at once, judged member by member like uploads, and gone when they are closed."""

from __future__ import annotations

import io
import tarfile
import tempfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from morelli.errors import ImageError
from morelli.images import ImageItem, Limits
from morelli.server import ServerSettings
from morelli.server._archives import OpenArchive
from morelli.server._problems import ProblemError
from tests.server.conftest import png
from tests.server.running import Running, running, until


@pytest.fixture(scope="module")
def crops(photos: list[tuple[str, Image.Image]]) -> dict[str, bytes]:
    """Three pictures of their own, one of them broken."""
    image = photos[0][1]
    found = {f"holiday/{k}.png": png(image.crop((k, k, k + 80, k + 80))) for k in (0, 20)}
    return found | {"holiday/cut.png": found["holiday/0.png"][:300]}


def zipped(files: dict[str, bytes]) -> bytes:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stored.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stored.getvalue()


def opened(server: Running, name: str, data: bytes) -> dict:  # type: ignore[type-arg]
    answer = server.post("/archives", files=[("file", (name, data))])
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no other process's archives lie, so that what is left behind is the server's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def left_behind() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("morelli-archive-*"))


@pytest.mark.parametrize(("name", "pack"), [("set.zip", zipped), ("set.tar.gz", tarred)])
def test_a_member_is_judged_like_an_upload(server: Running, crops: dict[str, bytes], name: str, pack) -> None:  # type: ignore[no-untyped-def]
    before = left_behind()
    found = opened(server, name, pack(crops))
    assert found["name"] == name
    assert [one["name"] for one in found["members"]] == list(crops)
    assert server.get(f"/archives/{found['id']}").json() == found
    for index, data in enumerate(list(crops.values())[:2]):
        case = server.post(f"/archives/{found['id']}/members/{index}").json()
        direct = server.upload((f"{index}.png", data)).json()["cases"][0]
        assert case["id"] == direct["id"] and case["probability"] == pytest.approx(
            direct["probability"], abs=1e-6
        )
        assert server.get(f"/cases/{case['id']}/image").status_code == 200
    broken = server.post(f"/archives/{found['id']}/members/2")
    assert broken.status_code == 422 and broken.json()["type"].endswith(":truncated")
    assert "morelli-archive" not in broken.text
    assert server.post(f"/archives/{found['id']}/members/3").json()["type"].endswith(":unknown-member")
    assert server.client.delete(f"/api/v1/archives/{found['id']}").status_code == 204
    assert left_behind() == before
    gone = server.post(f"/archives/{found['id']}/members/0")
    assert gone.status_code == 404 and gone.json()["next"] == "Upload the archive again."
    assert server.get(f"/cases/{case['id']}").status_code == 200, "cases outlive their archive"


def test_what_cannot_be_used_is_listed_with_its_problem(server: Running, crops: dict[str, bytes]) -> None:
    found = opened(server, "odd.zip", zipped({"../up.png": crops["holiday/0.png"], "in.zip": b"PK"} | crops))
    problems = {one["name"]: one["problem"] for one in found["members"] if one["problem"]}
    assert set(problems) == {"../up.png", "in.zip"} and "leaves the archive" in problems["../up.png"]
    damaged = opened(server, "damaged.zip", b"PK\x03\x04 and no directory")
    (only,) = damaged["members"]
    assert "no zip directory" in only["problem"] and "morelli-archive" not in only["problem"]
    for one in (found, damaged):
        server.client.delete(f"/api/v1/archives/{one['id']}")
    for name, data, kind in (("a.png", crops["holiday/0.png"], "no-archive"), ("a.7z", b"7z", "no-archive")):
        answer = server.post("/archives", files=[("file", (name, data))])
        assert answer.status_code == 415 and answer.json()["type"].endswith(kind) and answer.json()["next"]


def test_archives_leave_no_file_behind(settings: ServerSettings, crops: dict[str, bytes]) -> None:
    before = left_behind()
    with running(settings) as server:
        ids = [opened(server, f"{k}.zip", zipped(crops))["id"] for k in range(6)]
        assert len(left_behind() - before) == 4, "the longest unused ones make room"
        assert [server.get(f"/archives/{id}").status_code for id in ids] == [404, 404, 200, 200, 200, 200]
    assert left_behind() == before
    limits = replace(settings.limits, case_seconds=0.0)
    with running(replace(settings, limits=limits)) as server:
        id = opened(server, "a.zip", zipped(crops))["id"]
        assert server.get(f"/archives/{id}").status_code == 404
        assert left_behind() == before


@pytest.mark.parametrize("closing", ["DELETE", "newer archives"])
def test_members_that_wait_while_their_archive_is_closed(
    settings: ServerSettings, crops: dict[str, bytes], closing: str
) -> None:
    """Who waits for a thread that decodes is told that the archive is gone, as who asks afterwards is."""
    before = left_behind()
    data = crops["holiday/0.png"]
    with running(settings) as server, ThreadPoolExecutor(12) as clients:
        id = opened(server, "set.zip", zipped({f"{k}.png": data for k in range(12)}))["id"]
        threads, free = server.state._decode, threading.Event()
        held = [threads.submit(free.wait, 60) for _ in range(threads._max_workers)]
        asked = [clients.submit(server.post, f"/archives/{id}/members/{k}") for k in range(12)]
        until(lambda: server.state.admitted == 12)
        if closing == "DELETE":
            assert server.client.delete(f"/api/v1/archives/{id}").status_code == 204
        else:
            for k in range(4):
                server.state.archives.open(f"{k}.zip", zipped(crops), Limits())
        free.set()
        answers = [one.result(timeout=60) for one in asked]
        assert all(one.result() for one in held)
    assert [one.status_code for one in answers] == [404] * 12
    assert {one.json()["type"] for one in answers} == {"urn:morelli:problem:unknown-archive"}
    assert left_behind() == before


def test_a_member_whose_archive_is_closed_while_it_is_read(tmp_path: Path) -> None:
    def read() -> bytes:
        found.close()
        raise ImageError("missing", "the file is not there any more")

    found = OpenArchive("0" * 16, "set.zip", tmp_path / "gone", [ImageItem("set.zip::a.png", read)])
    with pytest.raises(ProblemError) as caught:
        found.read(0)
    assert (caught.value.status, caught.value.kind) == (404, "unknown-archive")


def test_members_that_are_not_listed_are_said_to_be_missing() -> None:
    from morelli.server._archives import MOST_MEMBERS, ArchiveStore

    shelf = ArchiveStore(60)
    data = png(Image.new("RGB", (4, 4)))
    for count, more in ((MOST_MEMBERS, False), (MOST_MEMBERS + 5, True)):
        names = [f"{k}.png" for k in range(count)]
        found = shelf.open("set.zip", zipped(dict.fromkeys(names, data)), Limits())
        last = found.items[-1]
        assert len(found.items) == MOST_MEMBERS + more
        assert (last.problem is not None and last.problem.reason == "too_many_members") == more
    shelf.clear()
