"""The request body's limits: bytes, time in all, time without a byte. For every route, before it reads."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from morelli.server._problems import ProblemError
from morelli.server._settings import MIB, RequestLimits

JSON_BYTES = 16 * MIB
"""Largest body that is not an upload: a selection may name a million rows."""


class BodyGuard:
    """ASGI middleware that answers 413 or 408 in the route's place when a body breaks a limit."""

    def __init__(self, app: ASGIApp, limits: RequestLimits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        upload = headers.get(b"content-type", b"").lower().startswith(b"multipart/")
        body = _Body(receive, send, self._limits, self._limits.request_bytes if upload else JSON_BYTES)
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > body.most:
            await body.too_large().response()(scope, receive, send)
            return
        try:
            await self._app(scope, body.receive, body.send)
        except ProblemError as problem:
            # Raised by `receive` and not caught on the way: the app had not answered.
            if body.problem is None or body.started:
                raise
            await problem.response()(scope, receive, send)
            return
        if body.problem is not None and not body.started:
            await body.problem.response()(scope, receive, send)


class _Body:
    """One request's body on its way in; once it broke a limit, the app's own answer is dropped."""

    def __init__(self, receive: Receive, send: Send, limits: RequestLimits, most: int) -> None:
        self._receive, self._send, self._limits = receive, send, limits
        self.most = most
        self.problem: ProblemError | None = None
        self.started = False
        self._read = 0
        self._complete = False
        self._deadline = time.monotonic() + limits.body_seconds

    async def receive(self) -> Message:
        if self.problem is not None:
            return {"type": "http.disconnect"}
        if self._complete:
            return await self._receive()
        patience = min(self._limits.idle_seconds, self._deadline - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(patience, 0.001))
        except TimeoutError:
            self.problem = ProblemError(
                408,
                "too-slow",
                f"The request body did not arrive in time: {self._limits.idle_seconds:g} s without a byte or "
                f"{self._limits.body_seconds:g} s in all.",
                next="Send it again over a quicker connection, or send less at once.",
                headers={"Connection": "close"},
            )
            raise self.problem from None
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._read > self.most:
                self.problem = self.too_large()
                raise self.problem
        else:
            self._complete = True
        return message

    async def send(self, message: Message) -> None:
        if self.problem is not None and not self.started:
            return
        self.started = True
        await self._send(message)

    def too_large(self) -> ProblemError:
        return ProblemError(
            413,
            "too-many-bytes",
            f"The request body is larger than {self.most:,} bytes.",
            next="Send less at once.",
            headers={"Connection": "close"},
        )
