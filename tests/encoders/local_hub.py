"""A hub on this machine: the two requests that the real client makes, over HTTP, from a folder."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LARGE = (".safetensors", ".bin")


@dataclass
class LocalHub:
    """Repositories by name; what is served can be changed while it runs."""

    repos: dict[str, Path]
    commit: str = "1" * 40
    gated: bool = False
    stated: dict[str, str] = field(default_factory=dict)
    """File name to a SHA-256 that is stated instead of the true one."""
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def sha256(self, path: Path) -> str:
        return self.stated.get(path.name) or hashlib.sha256(path.read_bytes()).hexdigest()

    def listing(self, folder: Path) -> dict[str, object]:
        siblings = []
        for path in sorted(folder.iterdir()):
            entry: dict[str, object] = {
                "rfilename": path.name,
                "size": path.stat().st_size,
                "blobId": "0" * 40,
            }
            if path.suffix in LARGE:
                entry["lfs"] = {"sha256": self.sha256(path), "size": path.stat().st_size, "pointerSize": 130}
            siblings.append(entry)
        return {
            "id": "x/y",
            "modelId": "x/y",
            "sha": self.commit,
            "siblings": siblings,
            "tags": [],
            "private": False,
        }


@contextmanager
def serve(hub: LocalHub) -> Iterator[LocalHub]:
    """Answer on a free port of this machine while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            hub.requests.append(format % args)

        def answer(self, status: int, body: bytes, headers: dict[str, str], *, head: bool) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if not head:
                self.wfile.write(body)

        def respond(self, *, head: bool) -> None:
            if hub.gated:
                self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"}, head=head)
                return
            path = self.path.split("?")[0]
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(\w+))?", path):
                folder = hub.repos.get(match[1])
                body = json.dumps(hub.listing(folder)).encode() if folder else b"{}"
                missing = {} if folder else {"X-Error-Code": "RepoNotFound"}
                headers = {"Content-Type": "application/json", **missing}
                self.answer(200 if folder else 404, body, headers, head=head)
                return
            match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/(\w+)/([\w.-]+)", path)
            file = hub.repos[match[1]] / match[3] if match and match[1] in hub.repos else None
            if file is None or not file.is_file():
                self.answer(404, b"", {"X-Error-Code": "EntryNotFound"}, head=head)
                return
            body = file.read_bytes()
            etag = hub.sha256(file) if file.suffix in LARGE else hashlib.sha1(body).hexdigest()
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": hub.commit, "Accept-Ranges": "bytes"}
            if file.suffix in LARGE:
                headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(body))}
            self.answer(200, body, headers, head=head)

        def do_GET(self) -> None:
            self.respond(head=False)

        def do_HEAD(self) -> None:
            self.respond(head=True)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
