"""Routes of reports: of one case, and the evaluation reports that the server was given."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath
from pydantic import TypeAdapter

from morelli.artefacts import read_json
from morelli.errors import ArtifactError
from morelli.inspection import Inspector, StoredCase
from morelli.inspection.answers import Case
from morelli.server import _atlas_models as a
from morelli.server import _models as m
from morelli.server._check_routes import BaseRate, CaseId, Fpr
from morelli.server._etags import cached, etag_of
from morelli.server._problems import ProblemError, documented
from morelli.server._settings import artefact_name
from morelli.server._state import state_of

router = APIRouter(prefix="/api/v1")
PAGE, DATA = "report.html", "report.json"
# Written by `morelli evaluate` on this machine, but it holds names from collections: no script of it runs.
PAGE_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; sandbox"
)
CASE = TypeAdapter(Case)
HTML = {"schema": {"type": "string"}}


@router.get(
    "/cases/{id}/report",
    tags=["check"],
    response_model=Case,
    responses={200: {"content": {"text/html": HTML}}, **documented(404, 409, 422, 503)},
)
async def case_report(
    request: Request,
    id: CaseId,
    *,
    format: Annotated[
        Literal["html", "json"], Query(description="A page that opens offline, or the case.")
    ] = "html",
    base_rate: BaseRate = None,
    fpr: Fpr = None,
    download: Annotated[bool, Query(description="Let the browser save it.")] = False,
) -> Any:
    """Give a report of one case: the sentence to quote, the evidence, and every version and hash."""
    state = state_of(request)
    stored = state.cases.get(id)
    answer = await state.answered(state.inspector.case, stored, base_rate=base_rate, fpr=fpr)
    content: bytes | str
    if format == "json":
        content, kind = CASE.dump_json(answer, indent=1), "application/json"
    else:
        content = await state.answered(_page, state.inspector, stored, answer)
        kind = "text/html; charset=utf-8"
    headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-store"}
    if download:
        headers["Content-Disposition"] = f'attachment; filename="morelli-{id[:12]}.{format}"'
    return Response(content, media_type=kind, headers=headers)


def _page(inspector: Inspector, stored: StoredCase, answer: Case) -> str:
    from morelli.reports import case_page

    if not answer.readable:
        return case_page(answer, stored.judged)
    evidence, map = inspector.reading_evidence(stored), inspector.reading(stored).map
    return case_page(answer, stored.judged, evidence, map)


@router.get("/reports", tags=["evaluate"], responses=documented())
async def reports(request: Request) -> list[m.Report]:
    """List the evaluation reports of this server."""
    return await asyncio.to_thread(lambda: [_report(path) for path in state_of(request).settings.reports])


@router.get(
    "/reports/{name}",
    tags=["evaluate"],
    response_class=Response,
    responses={
        200: {"model": a.WrittenReport, "content": {"text/html": HTML}},
        **documented(404, 422),
    },
)
async def report(
    request: Request,
    name: Annotated[str, InPath(max_length=200)],
    *,
    format: Annotated[Literal["html", "json"], Query()] = "html",
) -> Response:
    """Give an evaluation report, as its page or its data."""
    paths = {artefact_name(path): path for path in state_of(request).settings.reports}
    if name not in paths:
        raise ProblemError(
            404, "unknown-report", f"There is no report {name!r}.", next="GET /api/v1/reports lists them."
        )
    file = paths[name] / (PAGE if format == "html" else DATA)
    try:
        content = await asyncio.to_thread(file.read_bytes)
    except OSError:
        raise ProblemError(
            404,
            "unknown-report",
            f"The report {name!r} has no {file.name}.",
            next="Write it again: morelli evaluate.",
        ) from None
    kind = "text/html; charset=utf-8" if format == "html" else "application/json"
    return cached(request, content, kind, etag_of(content), {"Content-Security-Policy": PAGE_POLICY})


def _report(path: Path) -> m.Report:
    title = ""
    try:
        data = read_json(path / DATA, what="report")
        title = str(data.get("name") or data.get("title") or "")
    except (ArtifactError, AttributeError):
        pass  # listed all the same: asking for it says what is wrong
    name = artefact_name(path)
    return m.Report(name=name, title=title or name)
