"""What the routes of atlases share: names of parameters, and answers in JSON."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any

from fastapi import Path as InPath
from fastapi import Query, Request, Response
from pydantic import TypeAdapter

from morelli.server._atlases import Opened
from morelli.server._problems import ProblemError, documented
from morelli.server._state import state_of

PREFIX = "/api/v1/atlases"
ARROW = "application/vnd.apache.arrow.stream"
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "The client has this version already."}}
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


def known_row(opened: Opened, row: int) -> int:
    """The row, where the atlas has it; raises a 404 problem."""
    if row >= len(opened.atlas):
        raise ProblemError(
            404,
            "unknown-row",
            f"There is no image {row}; rows are 0 to {len(opened.atlas) - 1}.",
            next="Ask for one.",
        )
    return row


def known_prototype(opened: Opened, number: int) -> int:
    """The number of a prototype, where the atlas has it; raises a 404 problem."""
    found = opened.atlas.prototypes_found
    if found is None or number >= len(found):
        raise ProblemError(
            404, "unknown-prototype", f"There is no pattern {number} in this atlas.", next="Ask for one."
        )
    return number


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def json_text(shape: Any, found: Any) -> bytes:
    """Plain values as JSON, after a check that they have the shape that the description promises."""
    _adapter(shape).validate_python(found)
    return json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def json_answer(shape: Any, found: Any) -> Response:
    """Plain values of a shape as an answer that nobody caches."""
    text = json_text(shape, found)
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})
