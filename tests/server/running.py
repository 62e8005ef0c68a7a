"""A real server on a free loopback port, for as long as a test needs it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from morelli.server import ServerSettings, create_app
from morelli.server._settings import uvicorn_options

API = "/api/v1"
PLAIN: dict[str, Any] = {"trust_env": False, "verify": False}
"""For clients: no proxy of the environment, and no certificates, which each client would read for 30 ms."""


@dataclass(frozen=True)
class Running:
    """A server that runs: its port, the application, and a client that knows its address."""

    port: int
    app: object
    client: httpx.Client
    server: uvicorn.Server

    def stop(self) -> None:
        """Tell the server to stop, as a signal does."""
        self.server.should_exit = True

    @property
    def state(self):  # type: ignore[no-untyped-def]
        """The server's own state, to see what it holds."""
        return self.app.state.morelli  # type: ignore[attr-defined]

    def get(self, path: str, **options: object) -> httpx.Response:
        return self.client.get(API + path, **options)  # type: ignore[arg-type]

    def post(self, path: str, **options: object) -> httpx.Response:
        return self.client.post(API + path, **options)  # type: ignore[arg-type]

    def upload(self, *files: tuple[str, bytes], **params: object) -> httpx.Response:
        """POST files to detect."""
        return self.post("/detect", files=[("file", one) for one in files], params=params)

    def raw(self, request: bytes, *, wait: float = 10.0) -> bytes:
        """Send bytes as they are, and read until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            connection.sendall(request)
            answer = b""
            while part := connection.recv(65536):
                answer += part
            return answer


def until(true: Callable[[], bool]) -> None:
    """Wait, a minute at most, for something that soon comes true."""
    for _ in range(6000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come true")


@contextmanager
def running(settings: ServerSettings, *, ready: bool = True) -> Iterator[Running]:
    """Run a server in a thread of this process, with the options that `serve` uses."""
    app = create_app(settings)
    options = {**uvicorn_options(settings), "host": "127.0.0.1", "port": 0}
    server = uvicorn.Server(uvicorn.Config(app, **options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, **PLAIN) as client:
        try:
            while ready and client.get(API + "/ready").status_code != 200:
                assert app.state.morelli.problem is None, app.state.morelli.problem
                time.sleep(0.02)
            yield Running(port, app, client, server)
        finally:
            client.close()
            server.should_exit = True
            thread.join(timeout=60)
            assert not thread.is_alive(), "the server did not stop"
