"""A server in its own process under what strangers send: it lives, its memory stays, nothing leaks out."""

from __future__ import annotations

import socket
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from morelli.server import ServerSettings
from tests.images.hostile import write_hostile_files
from tests.server.conftest import png
from tests.server.process import Process, served
from tests.server.running import API, Running

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc")
MIB = 1024 * 1024
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def strained(settings: ServerSettings) -> Iterator[Process]:
    """A server that holds few cases and loses patience soon, so that what it keeps by right is little."""
    limits = replace(settings.limits, case_bytes=4 * MIB, idle_seconds=1.0, body_seconds=4.0)
    with served(replace(settings, limits=limits)) as one:
        yield one


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bombs() -> dict[str, bytes]:
    """Small files that would unpack to very much."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    start = b"\x89PNG\r\n\x1a\n"
    zeros = zlib.compress(bytes(300 * MIB), 9)
    text = chunk(b"zTXt", b"Comment\0\0" + zeros)
    huge = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    end = chunk(b"IEND", b"")
    found = {
        "pixels.png": start + header + chunk(b"IDAT", zeros) + end,
        "comment.png": start + header + text + chunk(b"IDAT", zlib.compress(bytes(64 * 193))) + end,
        "profile.png": start + header + chunk(b"iCCP", b"p\0\0" + zeros) + end,
        "header.png": start + huge + chunk(b"IDAT", zeros) + end,
    }
    frames = [Image.new("P", (600, 600), k) for k in range(200)]
    for name, kind in (("frames.gif", "GIF"), ("frames.webp", "WEBP")):
        stored = BytesIO()
        frames[0].save(stored, kind, save_all=True, append_images=frames[1:])
        found[name] = stored.getvalue()
    stored = BytesIO()
    Image.new("1", (14_000, 14_000)).save(stored, "TIFF", compression="group4")
    found["fax.tif"] = stored.getvalue()
    return found


def wrong_types(folder: Path) -> dict[str, bytes]:
    """Everything else of the images room that is no picture to judge."""
    return {
        one.path.name.encode("utf-8", "replace").decode(): one.path.read_bytes()
        for one in write_hostile_files(folder)
        if one.path.is_file() and one.expected_reason and one.path.stat().st_size < 4 * MIB
    }


def send(client: httpx.Client, files: dict[str, bytes]) -> list[int]:
    """Each by itself; every answer is a verdict or a problem in words."""
    statuses = []
    for name, data in files.items():
        answer = client.post("/detect", files={"file": (name, data)})
        assert answer.status_code in (200, 413, 415, 422), (name, answer.text)
        assert answer.status_code == 200 or answer.headers["content-type"] == PROBLEM
        statuses.append(answer.status_code)
    return statuses


def test_bombs_and_wrong_types_neither_crash_nor_grow_it(strained: Process, tmp_path: Path) -> None:
    files = {**bombs(), **wrong_types(tmp_path / "hostile")}
    assert len(files) > 40
    with strained.client() as client:
        first = send(client, files)
        before, opened = strained.memory(), strained.files()
        assert send(client, files) == first
        assert strained.memory() - before < 96 * MIB
        assert strained.files() <= opened + 4
        assert client.get("/ready").status_code == 200
    assert first.count(422) > 25
    # The largest pixels that are allowed take 360 MB as RGB; no bomb may take more than that.
    assert strained.peak() - before < 700 * MIB


@pytest.mark.slow
def test_ten_thousand_small_files_are_counted_and_forgotten(strained: Process, picture: bytes) -> None:
    tiny = png(Image.new("RGB", (8, 8), (200, 30, 30)))
    with strained.client() as client:
        # All in one request: refused at the limit, whatever follows is not kept.
        answer = client.post("/detect", files=[("file", (f"{k}.png", tiny)) for k in range(10_000)])
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (413, "too-many-files")

        def batch(start: int) -> int:
            # One in eight is a picture, each another file; the others are none.
            files = [
                ("file", (f"{k}.png", tiny + str(k).encode() if k % 8 == 0 else b"text %d" % k))
                for k in range(start, start + 64)
            ]
            answer = client.post("/detect", files=files)
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["cases"]) == 8 and len(answer.json()["failures"]) == 56
            return start

        with ThreadPoolExecutor(2) as pool:  # as many images as may wait
            list(pool.map(batch, range(0, 2048, 64)))
            before = strained.memory()
            list(pool.map(batch, range(2048, 12_032, 64)))
        assert strained.memory() - before < 64 * MIB
        assert client.post("/detect", files={"file": ("a.png", picture)}).status_code == 200


def test_slow_and_cut_connections_hold_nothing(strained: Process, picture: bytes) -> None:
    port = strained.port
    head = (
        f"POST {API}/detect HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 2000000\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    ).encode()
    with strained.client() as client:

        def strain() -> None:
            for k in range(300):  # cut in the middle of a file, gently and by a reset
                cut = socket.create_connection(("127.0.0.1", port), timeout=10)
                cut.sendall(head + bytes(200_000))
                if k % 2:
                    cut.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                cut.close()
            slow = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(150)]
            for one in slow:
                one.sendall(head + bytes(1000))
            # A person is served while they hang there …
            assert client.post("/detect", files={"file": ("a.png", picture)}).status_code == 200
            # … and each of them is told that it was too slow.
            answers = [one.recv(4096) for one in slow]
            for one in slow:
                one.close()
            assert all(b" 408 " in answer.split(b"\r\n")[0] for answer in answers)
            assert client.get("/ready").status_code == 200

        opened = strained.files()
        strain()
        # What an allocator keeps of the first time is not held: a second time takes no more.
        before = strained.memory()
        strain()
        for _ in range(100):
            if strained.files() <= opened + 4:
                break
            client.get("/health")
        assert strained.files() <= opened + 4
        assert strained.memory() - before < 64 * MIB


TRAVERSALS = [
    "/../../../../etc/passwd",
    "/..%2f..%2f..%2fetc/passwd",
    "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/%252e%252e/etc/passwd",
    "/assets/..%5c..%5c..%5cetc/passwd",
    "/assets/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "//etc/passwd",
    "/./.././../etc/passwd",
    "/etc/passwd%00.js",
    f"{API}/atlases/..%2f..%2fetc",
    f"{API}/atlases/%2e%2e",
    f"{API}/reports/..%2f..%2fetc%2fpasswd",
    f"{API}/reports/%2e%2e",
    f"{API}/cases/..%2f..%2fetc%2fpasswd/image",
    f"{API}/jobs/../../../etc/passwd",
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_address_leads_out(whole: Running, path: str) -> None:
    """As bytes on the wire: a client library would tidy the path up first."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{whole.port}\r\nConnection: close\r\n\r\n"
    answer = whole.raw(request.encode())
    status = int(answer.split(b" ")[1])
    assert status in (200, 400, 404, 422)
    assert b"root:" not in answer
    if status == 200:  # an address of the app's own: its page, and nothing else
        assert b"<html" in answer or b"<!doctype html" in answer.lower()


def test_an_atlas_gives_originals_only_out_of_the_roots(
    settings: ServerSettings, atlas_dir: Path, collection: Path, tmp_path: Path
) -> None:
    from tests.server.running import running

    with running(replace(settings, atlases=(atlas_dir,)), ready=False) as one:
        known = one.get("/atlases/small/images/3").json()
        assert known["available"] is True
        given = one.get("/atlases/small/images/3/file")
        assert given.status_code == 200 and given.content == Path(known["uri"]).read_bytes()
    for roots in ((), (tmp_path,), (collection / "fake",)):
        with running(replace(settings, atlases=(atlas_dir,), roots=roots), ready=False) as one:
            rows = one.get("/atlases/small/rows", params={"limit": 120}).json()["rows"]
            row = next(one["row"] for one in rows if one["label"] == "real")
            refused = one.get(f"/atlases/small/images/{row}/file")
            assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (403, "outside-roots")
            assert one.get(f"/atlases/small/images/{row}").json()["available"] is False


HALF = '{"and": [{"text": "\\ud800"}]}'


def test_text_that_is_no_unicode_is_refused_before_anything_is_kept(whole: Running, picture: bytes) -> None:
    case = whole.upload(("a.png", picture)).json()["cases"][0]["id"]
    json_ = {"content-type": "application/json"}
    asked = [
        ("POST", "/atlases/small/selections", HALF),
        ("PUT", "/atlases/small/saved-selections/bad", HALF),
        ("PATCH", "/atlases/small/dimensions/0", '{"name": "\\udfff"}'),
        ("PATCH", "/atlases/small/prototypes/0", '{"note": "a\\ud83d"}'),
        ("POST", "/feedback", f'{{"case": "{case}", "label": "real", "note": "\\udc00"}}'),
        ("POST", "/feedback", '{"atlas": "small", "row": 1, "label": "real", "note": "\\udc00"}'),
        ("POST", "/jobs", '{"path": "real/\\ud800"}'),
        ("POST", f"/cases/{case}/whatif", '{"edits": [{"name": "jpeg", "value": "\\ud800"}]}'),
    ]
    for method, path, body in asked:
        answer = whole.client.request(method, API + path, content=body, headers=json_)
        assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM), path
    # The framework reads these as JSON too.
    for kind in ("application/x+json", "Application/Problem+JSON; charset=utf-8"):
        answer = whole.client.put(
            API + "/atlases/small/saved-selections/bad", content=HALF, headers={"content-type": kind}
        )
        assert answer.status_code == 422
    assert whole.get("/atlases/small/rows", params={"selection": HALF}).status_code == 422
    assert "bad" not in whole.get("/atlases/small/saved-selections").json()
    whole_pair = whole.post("/atlases/small/selections", content='{"text": "\\ud83d\\ude00"}', headers=json_)
    assert whole_pair.status_code == 200 and whole_pair.json()["count"] == 0


def test_a_selection_may_be_saved_under_a_name_with_slashes(whole: Running) -> None:
    path = API + "/atlases/small/saved-selections/cats%2Fdogs%202026%2F11"
    assert whole.client.put(path, json={"column": "label", "in": ["fake"]}).status_code == 200
    assert "cats/dogs 2026/11" in whole.get("/atlases/small/saved-selections").json()
    assert whole.client.get(path).json()["count"] > 0
    assert whole.client.delete(path).status_code == 204
    assert whole.client.get(path).status_code == 404


WRITES = [
    ("POST", "/detect"),
    ("POST", "/jobs"),
    ("POST", "/feedback"),
    ("POST", "/collections/build"),
    ("POST", "/collections/build/resume"),
    ("POST", "/collections/build/cancel"),
    ("POST", "/collections/build/discard"),
    ("POST", "/atlases/small/selections"),
    ("POST", "/atlases/small/tags"),
    ("POST", "/atlases/small/rescore"),
    ("PATCH", "/atlases/small/dimensions/0"),
    ("PATCH", "/atlases/small/prototypes/0"),
    ("PUT", "/atlases/small/saved-selections/evil"),
    ("DELETE", "/atlases/small/saved-selections/evil"),
    ("DELETE", "/jobs/0123456789abcdef"),
    ("DELETE", "/cases/" + 64 * "0"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_no_other_sites_page_changes_anything(whole: Running, method: str, path: str) -> None:
    """The body is one that would be taken; a simple form's type needs no question before."""
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": f"http://localhost:{whole.port + 1}"},
        {"origin": f"https://127.0.0.1:{whole.port}.evil.example"},
        {"sec-fetch-site": "cross-site"},
    ):
        given = {"content-type": "text/plain", **headers}
        answer = whole.client.request(method, API + path, content=b'{"and": []}', headers=given)
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "foreign-origin")
    rebound = whole.client.request(method, API + path, headers={"host": f"evil.example:{whole.port}"})
    assert rebound.status_code == 421
    assert "evil" not in whole.get("/atlases/small/saved-selections").json()
