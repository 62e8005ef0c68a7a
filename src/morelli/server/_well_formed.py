"""JSON that no file and no answer could hold again is refused before anything is done with it."""

from __future__ import annotations

import json
import re
from typing import Any

from fastapi import Request

from morelli.server._problems import ProblemError

# Half of a surrogate pair as an escape: JSON allows it, UTF-8 has no bytes for it.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


async def well_formed(request: Request) -> None:
    """Refuse a JSON body with text that is no Unicode; for every route.

    Raises:
        ProblemError: 422.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return
    body = await request.body()
    if _SURROGATE.search(body):
        try:
            refuse_halves(json.loads(body))
        except (ValueError, RecursionError):
            return  # no JSON at all, which the route itself says


def refuse_halves(found: Any) -> None:
    """Refuse text with half of a surrogate pair anywhere in a JSON value.

    Raises:
        ProblemError: 422.
    """
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ProblemError(
            422, "invalid-request", "A text holds half of a surrogate pair, which is no character."
        ) from None
