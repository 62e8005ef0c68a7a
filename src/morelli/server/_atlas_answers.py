"""What the routes of atlases share: names of parameters, and answers in JSON."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Path as InPath
from fastapi import Query, Request, Response

from morelli.server._atlases import Opened
from morelli.server._problems import documented
from morelli.server._state import state_of

PREFIX = "/api/v1/atlases"
ARROW = "application/vnd.apache.arrow.stream"
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "The client has this version already."}}
JSON_OBJECT: dict[str, Any] = {
    "application/json": {"schema": {"type": "object", "additionalProperties": True}}
}
JSON_LIST: dict[str, Any] = {
    "application/json": {
        "schema": {"type": "array", "items": {"type": "object", "additionalProperties": True}}
    }
}
ERRORS = documented(404, 422)

Name = Annotated[str, InPath(max_length=200, description="Name of an atlas.")]
Row = Annotated[int, InPath(ge=0, le=2**40, description="Row number of an image.")]
SelectionOf = Annotated[
    str | None,
    Query(alias="selection", max_length=16_000, description="Key of a selection, or its document as JSON."),
]
Off = Annotated[
    str,
    Query(
        pattern=r"^([0-9]{1,4}(,[0-9]{1,4})*)?$",
        max_length=1024,
        description="Dimensions switched off, as 1,5.",
    ),
]


def opened_atlas(request: Request, name: str) -> Opened:
    """The atlas that an address names; raises a 404 problem."""
    return state_of(request).atlases.get(name)


def json_text(found: Any) -> bytes:
    """Plain values as JSON."""
    return json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def json_answer(found: Any) -> Response:
    """Plain values as an answer that nobody caches."""
    return Response(json_text(found), media_type="application/json", headers={"Cache-Control": "no-store"})
