"""The description of the interface: what FastAPI makes, with our one shape of errors."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from morelli.server._problems import MEDIA_TYPE, ProblemDocument

BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
RELEVANCE_MAP: dict[str, Any] = {
    "content": {"application/octet-stream": BINARY},
    "headers": {"X-Shape": {"schema": {"type": "string"}, "description": "Rows and columns, as 14,14."}},
}
"""An answer of float32 numbers, patch by patch."""


def describe(app: FastAPI) -> None:
    """Let `app.openapi()` describe errors as problem documents, which they are."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                routes=app.routes,
                openapi_version="3.1.0",
            )
            _finish(made)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _finish(made: dict[str, Any]) -> None:
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = ProblemDocument.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _with_plain_pairs(made)
    made["components"]["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "Only where the server asks for a token.",
        }
    }
    made["security"] = [{}, {"token": []}]
    for path in made["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if status != "default" and int(status) >= 400:
                    # FastAPI adds its own JSON shape beside ours, which no answer has.
                    answer["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _with_plain_pairs(part: Any) -> None:
    """Describe tuples of one type as arrays of a fixed length, which readers of older drafts know too."""
    if isinstance(part, list):
        for one in part:
            _with_plain_pairs(one)
    elif isinstance(part, dict):
        for one in part.values():
            _with_plain_pairs(one)
        pair = part.get("prefixItems")
        if isinstance(pair, list) and pair and all(one == pair[0] for one in pair):
            del part["prefixItems"]
            part["items"] = pair[0]
