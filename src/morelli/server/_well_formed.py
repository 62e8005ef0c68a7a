"""What no request may hold, whatever its route: text that is no Unicode, parameters that nobody reads."""

from __future__ import annotations

import json
import re
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant

from morelli.server._problems import ProblemError

# Half of a surrogate pair as an escape: JSON allows it, UTF-8 has no bytes for it.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


async def well_formed(request: Request) -> None:
    """Refuse a JSON body with text that is no Unicode, and unknown query parameters; for every route.

    Raises:
        ProblemError: 422.
    """
    _refuse_unknown_parameters(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return
    body = await request.body()
    if _SURROGATE.search(body):
        try:
            refuse_halves(json.loads(body))
        except (ValueError, RecursionError):
            return  # no JSON at all, which the route itself says


def _refuse_unknown_parameters(request: Request) -> None:
    """A misspelt rate that is passed over would give figures at another one."""
    known = sorted(_parameters(request.scope["route"].dependant))
    unknown = sorted(set(request.query_params) - set(known))
    if unknown:
        raise ProblemError(
            422,
            "invalid-request",
            f"There is no query parameter {', '.join(map(repr, unknown))} here.",
            next=f"Known are {', '.join(known)}." if known else "This address takes none.",
        )


def _parameters(dependant: Dependant) -> set[str]:
    """The names of a route's query parameters, those of what it depends on included."""
    own = {field.alias for field in dependant.query_params}
    return own.union(*(_parameters(one) for one in dependant.dependencies))


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
