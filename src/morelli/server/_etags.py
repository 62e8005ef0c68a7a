"""Caching: strong entity tags, and 304 where the client has the same bytes already."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response


def etag_of(*parts: object) -> str:
    """An entity tag over values that determine an answer's bytes."""
    return '"' + hashlib.sha256(repr(parts).encode()).hexdigest()[:32] + '"'


def matches(request: Request, etag: str) -> bool:
    """True where the client says that it has this version (RFC 9110, 13.1.2, weak comparison)."""
    given = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return etag in given or "*" in given


def cached(
    request: Request, content: bytes, media_type: str, etag: str, headers: Mapping[str, str] | None = None
) -> Response:
    """`content` with its tag, or 304. The client asks each time: what an address stands for may change."""
    more = {"ETag": etag, "Cache-Control": "private, no-cache", **(headers or {})}
    if matches(request, etag):
        return Response(status_code=304, headers=more)
    return Response(content, media_type=media_type, headers=more)
