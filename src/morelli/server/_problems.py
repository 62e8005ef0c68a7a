"""Errors as `application/problem+json` (RFC 9457), each with the caller's next step."""

from __future__ import annotations

import http
import logging
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import compile_path

from morelli.errors import (
    ArtifactError,
    BuildMismatchError,
    ChangedMeanwhileError,
    ImageError,
    MissingPartError,
    MorelliError,
    SourceError,
    UnknownDimensionError,
    UsageError,
    WeightsError,
)

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:morelli:problem:"
log = logging.getLogger("morelli.server")

_TOO_LARGE = frozenset({"too_many_bytes", "too_many_pixels"})
_STATUS: dict[type[MorelliError], int] = {
    ChangedMeanwhileError: 412,
    UsageError: 422,
    ImageError: 422,
    SourceError: 422,
    BuildMismatchError: 409,
    ArtifactError: 500,
    WeightsError: 503,
}


_PART_NEXT = {
    "no-reading": "Start it with the shipped bundle, or one fitted with --detector probe over a CLIP.",
    "no-distilled-map": "Start it with a distilled map of the same build, or with the shipped bundle.",
    "no-bank": "Fit a bundle with a bank: morelli fit.",
}
"""What an operator does about a part that a question needs."""


class ProblemDocument(BaseModel):
    """What an error answer holds."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str = Field(
        description="A stable name that programs can match on.", examples=[PREFIX + "unknown-case"]
    )
    title: str = Field(description="The kind of problem in a few words.")
    status: int = Field(description="The HTTP status again.")
    detail: str = Field(description="What was wrong this time.")
    next: str = Field(description="What to do about it.")


class ProblemError(Exception):
    """An error answer. `kind` is the end of its type, `next` the caller's next step."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        next: str = "",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.next = status, kind, detail, next
        self.headers = dict(headers or {})
        self.more = more

    def document(self) -> dict[str, Any]:
        """The JSON of the answer."""
        return {
            "type": PREFIX + self.kind,
            "title": self.kind.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "next": self.next or _NEXT.get(self.status, "See the description of the interface at /api/docs."),
            **self.more,
        }

    def response(self) -> JSONResponse:
        """The answer itself."""
        return JSONResponse(self.document(), self.status, self.headers, media_type=MEDIA_TYPE)


_NEXT = {
    400: "Check the request against the description of the interface at /api/docs.",
    404: "Check the address; /api/docs lists every one.",
    405: "Use one of the methods that the Allow header names.",
    413: "Send less at once, or ask the operator for higher limits.",
    422: "Correct the named value and send the request again.",
    500: "Try again; if it happens again, look into the server's log.",
    503: "Try again after the time in the Retry-After header.",
}


def problem_of(error: MorelliError) -> ProblemError:
    """The answer for one of Morelli's own errors, whose text is the user's next step already."""
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    if isinstance(error, ImageError):
        too_large = error.reason in _TOO_LARGE
        return ProblemError(
            413 if too_large else 422,
            error.reason.replace("_", "-"),
            str(error),
            next="Send a smaller picture."
            if too_large
            else "Send another file, or open and save this one again.",
            reason=error.reason,
        )
    if isinstance(error, MissingPartError):
        return ProblemError(409, error.code, error.what, next=_PART_NEXT.get(error.code, error.next))
    if isinstance(error, ChangedMeanwhileError):
        return ProblemError(status, "changed-meanwhile", str(error), next="Load it again and look at it.")
    if isinstance(error, UnknownDimensionError):
        return ProblemError(422, "unknown-dimension", str(error))
    kind = re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__.removesuffix("Error")).lower() or "error"
    return ProblemError(status, kind, str(error), next="What is wrong, and what to do, is in the detail.")


def busy(seconds: float, detail: str) -> ProblemError:
    """503: come back later."""
    wait = max(1, min(60, round(seconds)))
    return ProblemError(503, "busy", detail, headers={"Retry-After": str(wait)}, retry_after=wait)


def install(app: FastAPI) -> None:
    """Every error of the app, expected or not, becomes a problem document."""

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> JSONResponse:
        return error.response()

    @app.exception_handler(MorelliError)
    async def _own(request: Request, error: MorelliError) -> JSONResponse:
        return problem_of(error).response()

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        wrong = [
            {"where": [str(part) for part in one["loc"]], "message": str(one["msg"])}
            for one in error.errors()
        ]
        named = "; ".join(f"{'.'.join(one['where'])}: {one['message']}" for one in wrong[:5])
        return ProblemError(422, "invalid-request", named, errors=wrong[:50]).response()

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        phrase = http.HTTPStatus(error.status_code).phrase
        kind = phrase.lower().replace(" ", "-")
        detail = str(error.detail or phrase)
        if error.status_code == 404:
            detail = f"There is nothing at {request.url.path}."
        headers = error.headers or {}
        if error.status_code == 405:
            detail = f"{request.method} is not possible at {request.url.path}."
            headers = {"Allow": ", ".join(methods_at(request) or ["GET"])}
        return ProblemError(error.status_code, kind, detail, headers=headers).response()

    @app.exception_handler(ClientDisconnect)
    async def _gone(request: Request, error: ClientDisconnect) -> JSONResponse:
        # Nobody reads this answer; without it the server's log would get a traceback for an aborted upload.
        return ProblemError(400, "client-gone", "The request ended before its body did.").response()

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        # The text of an unexpected error may hold paths and contents: it goes to the log, not to the client.
        log.error("unexpected error at %s %s", request.method, request.url.path, exc_info=error)
        # The error goes on to the web server, which closes the connection: nobody is to ask on it again.
        return ProblemError(
            500,
            "internal-error",
            "Something unexpected happened in the server.",
            headers={"Connection": "close"},
        ).response()


def methods_at(request: Request) -> list[str]:
    """What can be done at an address of the interface, by its description; nothing at other addresses."""
    found = set()
    for path, operations in request.app.openapi()["paths"].items():
        if compile_path(path)[0].match(request.url.path):
            found |= {method.upper() for method in operations}
    return sorted(found)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for the error answers of a route."""
    words = {
        400: "The request could not be read.",
        401: "The token is missing or wrong.",
        403: "The request is refused for where it comes from.",
        404: "There is no such thing.",
        405: "The method does not exist here.",
        408: "The client took too long to send.",
        409: "The server was not started with what this needs, or something is in the way.",
        412: "Somebody else changed it meanwhile; nothing was changed.",
        413: "Too many bytes, pixels or files.",
        415: "The body has the wrong type.",
        421: "The Host header names another server.",
        422: "A value is wrong, or an image cannot be read.",
        500: "Something unexpected happened.",
        503: "Too many requests wait, or the encoder is not loaded yet.",
    }
    reference = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": words[status], "content": {MEDIA_TYPE: {"schema": reference}}}
        for status in sorted({*statuses, 400, 401, 403, 405, 421, 500})
    }
