"""A hub of data sets on this machine: the requests that the real client makes to list and to read ranges."""

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

COMMIT = "2" * 40


@dataclass
class DataHub:
    """Repositories by name; `served` counts the bytes of files that went out."""

    repos: dict[str, Path]
    requests: list[str] = field(default_factory=list)
    served: int = 0
    url: str = ""

    def tree(self, folder: Path, below: str, *, recursive: bool) -> list[dict[str, object]]:
        found = []
        for path in sorted((folder / below).rglob("*") if recursive else (folder / below).iterdir()):
            name = path.relative_to(folder).as_posix()
            oid = hashlib.sha1(name.encode()).hexdigest()
            if path.is_dir():
                found.append({"type": "directory", "oid": oid, "size": 0, "path": name})
            else:
                found.append({"type": "file", "oid": oid, "size": path.stat().st_size, "path": name})
        return found


@contextmanager
def serve(hub: DataHub) -> Iterator[DataHub]:
    """Answer on a free port of this machine while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            hub.requests.append(format % args)

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def json(self, value: object) -> None:
            self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/revision/\w+)?", path):
                if match[1] in hub.repos:
                    self.json({"id": match[1], "sha": COMMIT, "siblings": [], "tags": [], "private": False})
                    return
            elif match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/tree/\w+(?:/(.*))?", path):
                folder, below = hub.repos[match[1]], match[2] or ""
                if (folder / below).is_dir():
                    self.json(hub.tree(folder, below, recursive="recursive=true" in query.lower()))
                    return
            elif match := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/\w+/(.+)", path):
                self.ranged((hub.repos[match[1]] / match[2]).read_bytes())
                return
            self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})

        def ranged(self, data: bytes) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            part = data[int(asked[1]) : int(asked[2]) + 1] if asked else data
            hub.served += len(part)
            headers = {"Accept-Ranges": "bytes", "ETag": '"x"', "X-Repo-Commit": COMMIT}
            if asked:
                headers["Content-Range"] = f"bytes {asked[1]}-{int(asked[1]) + len(part) - 1}/{len(data)}"
            self.answer(206 if asked else 200, part, headers)

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
