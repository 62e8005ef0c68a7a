"""uvicorn's HTTP protocol with two additions: a deadline for headers, and answers that arrive before a close.

A server that closes a connection while the client is still sending makes the system reset it, and the
client can lose the answer that was written a moment before (RFC 9112, section 9.6). So an early answer is
followed by the end of our own data, then by reading and discarding for a moment.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 15.0
"""How long a connection may take from its opening, or from the last answer, to the end of headers."""
LINGER_SECONDS = 2.0
"""How long what a client still sends is read and discarded after an early answer."""


class LingeringTransport:
    """A transport whose `close` lets an early answer arrive; everything else is the wrapped transport's."""

    def __init__(self, transport: asyncio.Transport, protocol: IdleClosingProtocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self.lingering = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """True also while the rest of a request is discarded."""
        return self.lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close at once, or after the client has stopped sending, where its request was not read whole."""
        if self.is_closing():
            return
        unread = self._protocol.conn.their_state in (h11.SEND_BODY, h11.ERROR)
        if not unread or not self._transport.can_write_eof():
            self._transport.close()
            return
        self.lingering = True
        self._transport.write_eof()
        self._transport.resume_reading()
        self._protocol.loop.call_later(LINGER_SECONDS, self._transport.close)


class IdleClosingProtocol(H11Protocol):
    """Closes connections that keep a place without asking anything (Slowloris)."""

    _waiting: asyncio.TimerHandle | None = None
    _lingering: LingeringTransport | None = None
    header_seconds = HEADER_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first request."""
        self._lingering = LingeringTransport(transport, self)
        super().connection_made(self._lingering)  # type: ignore[arg-type]
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on while headers are incomplete, and no longer once a request is there."""
        if self._lingering is not None and self._lingering.lingering:
            return
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        # Not begun again by every byte: the deadline is for the headers as a whole.
        if self._waiting is None:
            self._waiting = self.loop.call_later(self.header_seconds, self._give_up)

    def _stop(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()
