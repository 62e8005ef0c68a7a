"""Request forwarding between workers: what one process does not know, it asks the others.

Cases, jobs and selection keys live in the memory of the process that made them, while the next request of the
same client may reach another one. Each process therefore also listens on a Unix socket in a private folder; a
request that ends in "unknown here" is put to the others as it is, and the first that knows answers.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from morelli.server._problems import MEDIA_TYPE, PREFIX

UNKNOWN = frozenset(
    PREFIX + kind for kind in ("unknown-archive", "unknown-case", "unknown-job", "unknown-selection")
)
JOBS = "/api/v1/jobs"
SECONDS = 130.0
_HOP = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"expect", b"upgrade"}
)


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def is_unknown(self) -> bool:
        """True for a problem that says that this process does not know the thing."""
        kind = dict(self.headers).get(b"content-type", b"").decode("latin-1")
        return self.status == 404 and kind == MEDIA_TYPE and json.loads(self.body).get("type") in UNKNOWN

    async def send(self, send: Send) -> None:
        """Pass it on."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


def is_forwarded(scope: Scope) -> bool:
    """True for a request that another worker passed on, whose access middleware let it in."""
    return bool(scope.get("state", {}).get("peer"))


class RequestForwarding:
    """ASGI middleware of a worker that has others beside it."""

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self._app, self._folder = app, folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_forwarded(scope) or not _may_be_elsewhere(scope):
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            return
        if scope["path"] == JOBS and scope["method"] == "GET":
            await self._all_jobs(scope, body, receive, send)
            return
        held = _Held(send)
        await self._app(scope, _again(body, receive), held.send)
        reply = held.reply
        if reply is None:
            return  # it was known here, and is sent already
        if reply.is_unknown:
            for peer in self._others():
                other = await _ask(peer, scope, body)
                if other is not None and not other.is_unknown:
                    reply = other
                    break
        await reply.send(send)

    async def _all_jobs(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        held = _Held(send, everything=True)
        await self._app(scope, _again(body, receive), held.send)
        assert held.reply is not None
        jobs: list[Any] = json.loads(held.reply.body)
        for reply in await asyncio.gather(*(_ask(peer, scope, body) for peer in self._others())):
            if reply is not None and reply.status == 200:
                jobs += json.loads(reply.body)
        headers = [(name, value) for name, value in held.reply.headers if name != b"content-length"]
        await Reply(held.reply.status, headers, json.dumps(jobs).encode()).send(send)

    def _others(self) -> Iterable[Path]:
        own = f"{os.getpid()}.sock"
        return sorted(path for path in self._folder.glob("*.sock") if path.name != own)


@asynccontextmanager
async def forwarded_requests(app: ASGIApp, folder: Path, options: dict[str, Any]) -> AsyncIterator[None]:
    """Answer other workers on a Unix socket in `folder`, named after this process."""
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.server import ServerState

    config = uvicorn.Config(app, **{**options, "lifespan": "off", "http": H11Protocol})
    config.load()
    shared = ServerState()
    path = folder / f"{os.getpid()}.sock"
    path.unlink(missing_ok=True)
    server = await asyncio.get_running_loop().create_unix_server(
        lambda: H11Protocol(config, shared, {"peer": True}), str(path)
    )
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


def _may_be_elsewhere(scope: Scope) -> bool:
    path, query = scope["path"], scope["query_string"]
    named = path.startswith(("/api/v1/cases/", JOBS, "/api/v1/feedback"))
    return named or (
        path.startswith("/api/v1/atlases/") and ("/selections/" in path or b"selection=" in query)
    )


class _Held:
    """The app's answer: passed on as it comes, but for a 404, which is held back as `reply`."""

    def __init__(self, send: Send, *, everything: bool = False) -> None:
        self._send, self._everything = send, everything
        self._start: Message | None = None
        self._body = bytearray()
        self.reply: Reply | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and (self._everything or message["status"] == 404):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                self.reply = Reply(self._start["status"], list(self._start["headers"]), bytes(self._body))


async def _read(receive: Receive) -> bytes | None:
    """The whole body, whose size is limited before it comes here; None when the client left."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """`receive` that gives `body` once more, and then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _ask(peer: Path, scope: Scope, body: bytes) -> Reply | None:
    """Put a request to another worker; None when it does not answer (it is starting or stopping)."""
    try:
        return await asyncio.wait_for(_exchange(peer, scope, body), SECONDS)
    except (OSError, h11.ProtocolError, TimeoutError, EOFError):
        return None


async def _exchange(peer: Path, scope: Scope, body: bytes) -> Reply:
    reader, writer = await asyncio.open_unix_connection(str(peer))
    try:
        connection = h11.Connection(h11.CLIENT)
        query = scope["query_string"]
        target = scope["raw_path"] + (b"?" + query if query else b"")
        kept = [(name, value) for name, value in scope["headers"] if name not in _HOP]
        headers = [*kept, (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        out = connection.send(h11.Request(method=scope["method"], target=target, headers=headers)) or b""
        out += connection.send(h11.Data(data=body)) or b"" if body else b""
        out += connection.send(h11.EndOfMessage()) or b""
        writer.write(out)
        await writer.drain()
        return await _reply(connection, reader)
    finally:
        writer.close()


async def _reply(connection: h11.Connection, reader: asyncio.StreamReader) -> Reply:
    status, headers, body = 0, list[tuple[bytes, bytes]](), bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = [(n, v) for n, v in event.headers if n not in _HOP - {b"content-length"}]
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return Reply(status, headers, bytes(body))
        elif isinstance(event, h11.ConnectionClosed):
            raise EOFError
