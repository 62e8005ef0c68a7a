"""Addresses: refused unless asked for, streamed under limits, and never a way to local files."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from morelli.errors import ImageError, UsageError
from morelli.images import Limits, iter_source
from tests.images.hostile import encoded

PICTURE = encoded("JPEG")


class Server:
    """A real server on this machine, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                if self.path == "/to-file":
                    self.send_response(302)
                    self.send_header("Location", "file:///etc/passwd")
                    self.end_headers()
                elif self.path == "/to-a":
                    self.send_response(301)
                    self.send_header("Location", "/a.jpg")
                    self.end_headers()
                elif self.path == "/endless":
                    self.send_response(200)
                    self.end_headers()
                    try:
                        while True:
                            self.wfile.write(bytes(1 << 16))
                    except OSError:
                        pass
                elif self.path == "/short":
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(PICTURE) + 10))
                    self.end_headers()
                    self.wfile.write(PICTURE)
                elif self.path == "/a.jpg":
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(PICTURE)))
                    self.end_headers()
                    self.wfile.write(PICTURE)
                else:
                    self.send_error(404)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def reason(address: str, limits: Limits | None = None) -> str:
    (item,) = iter_source(address, remote="given", limits=limits)
    with pytest.raises(ImageError) as caught:
        item.read()
    return caught.value.reason


def test_an_address_is_read_where_it_is_asked_for(server: Server) -> None:
    with pytest.raises(UsageError, match="download it first"):
        list(iter_source(f"{server.url}/a.jpg"))
    (item,) = iter_source([f"{server.url}/a.jpg"] * 2, remote="given")
    assert server.asked == []  # listing contacts nobody
    assert (item.uri, item.read()) == (f"{server.url}/a.jpg", PICTURE)
    (moved,) = iter_source(f"{server.url}/to-a", remote="given")
    assert moved.read() == PICTURE


def test_what_goes_wrong_has_its_reason(server: Server) -> None:
    assert reason(f"{server.url}/none.jpg") == "missing"
    assert reason(f"{server.url}/two words \u00fc%21.jpg?a=1&b=c d") == "missing"
    assert server.asked[-1] == "/two%20words%20%C3%BC%21.jpg?a=1&b=c%20d"  # as browsers ask for it
    assert reason(f"{server.url}/to-file") == "unreadable"
    assert reason(f"{server.url}/endless", Limits(max_bytes=1 << 18)) == "too_many_bytes"
    assert reason(f"{server.url}/a.jpg", Limits(max_bytes=100)) == "too_many_bytes"
    assert reason(f"{server.url}/short") in ("truncated", "unreadable")
    assert reason("http://127.0.0.1:9/a.jpg") == "unreadable"


def test_a_table_makes_nobody_contact_what_it_names(server: Server, tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"path,label\n{server.url}/a.jpg,fake\n")
    for remote in (None, "given"):
        (item,) = iter_source(manifest, remote=remote)  # type: ignore[arg-type]
        assert item.problem is not None and item.problem.reason == "remote_address"
        assert item.label == 1
    assert server.asked == []
    (item,) = iter_source(manifest, remote="all")
    assert (item.label, item.read()) == (1, PICTURE)


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "local:///etc/passwd",
        "ftp://h.example/a.jpg",
        "zip://a.jpg::http://h.example/a.zip",
        "http://h.example/a::file:///etc/passwd",
        "memory://a.jpg",
        "https:///a.jpg",
        "http://h.example/set.zip",
        "s3://bucket/m.csv",
    ],
)
def test_other_schemes_chains_and_containers_are_refused(address: str) -> None:
    with pytest.raises(UsageError):
        list(iter_source(address, remote="all"))


def test_schemes_of_a_table_reach_no_local_file(tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text("path\nzip://a.jpg::http://h.example/a.zip\nlocal:///etc/passwd\nmemory://x\n")
    items = list(iter_source(manifest, remote="all"))
    assert [item.problem.reason for item in items if item.problem] == ["remote_address"] * 3


class Bucket(MemoryFileSystem):
    """Files in memory under addresses of Google's storage."""

    protocol = "gs"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.removeprefix("gs://")))


def test_a_bucket_is_listed_with_its_layout() -> None:
    # A file system of fsspec that is held in memory, in the place of Google's.
    fsspec.register_implementation("gs", Bucket, clobber=True)
    try:
        memory = MemoryFileSystem()
        for name in ("/bucket/set/real/a.jpg", "/bucket/set/fake/sdxl/b.jpg", "/bucket/set/readme.txt"):
            memory.pipe_file(name, PICTURE)
        items = list(iter_source("gs://bucket/set", remote="given", label_from="folders"))
        assert [(item.label, item.generator) for item in items] == [(1, "sdxl"), (0, None)]
        assert {item.read() for item in items} == {PICTURE}
        assert len(list(iter_source("gs://bucket/set/*/a.jpg", remote="given"))) == 1
        (one,) = iter_source("gs://bucket/set/real/a.jpg", remote="given")
        assert one.read() == PICTURE
    finally:
        MemoryFileSystem.store.clear()
        importlib.import_module("fsspec.registry")._registry.pop("gs", None)


def test_a_missing_package_is_named() -> None:
    if "s3" in fsspec.available_protocols():
        try:
            fsspec.get_filesystem_class("s3")
        except ImportError:
            with pytest.raises(UsageError, match=r"s3fs.*morelli\[remote\]"):
                list(iter_source("s3://bucket/a.jpg", remote="given"))
