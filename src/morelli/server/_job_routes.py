"""Routes of batches and of feedback."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath

from morelli.artefacts.text import csv_table
from morelli.inspection.answers import COLUMNS, SECOND_COLUMNS, Second
from morelli.server import _models as m
from morelli.server._atlas_answers import known_row
from morelli.server._check_routes import check_rates
from morelli.server._feedback import store_feedback
from morelli.server._paths import allowed_path
from morelli.server._problems import ProblemError, documented
from morelli.server._state import state_of

router = APIRouter(prefix="/api/v1")
JobId = Annotated[str, InPath(pattern=r"^[0-9a-f]{16}$", description="Id of a job.")]


@router.post("/jobs", tags=["jobs"], status_code=202, responses=documented(409, 413, 422, 503))
async def start_job(request: Request, body: m.JobRequest) -> m.Job:
    """Judge a folder, archive, manifest or image inside the declared roots, in the background."""
    state = state_of(request)
    check_rates(state.inspector, body.base_rate, body.fpr)
    path = await asyncio.to_thread(allowed_path, body.path, state.settings.roots)
    reading: dict[str, Any] = {
        "label_from": "folders" if body.label_from_folders else None,
        "layout": body.layout,
        "image_column": body.image_column,
        "label_column": body.label_column,
    }
    rates = (body.base_rate, body.fpr)
    return state.jobs.start(path, body.path, rates=rates, reading=reading)


@router.get("/jobs", tags=["jobs"], responses=documented())
async def jobs(request: Request) -> list[m.Job]:
    """List the jobs, the newest first."""
    return state_of(request).jobs.all()


@router.get("/jobs/{id}", tags=["jobs"], responses=documented(404, 422))
async def job(request: Request, id: JobId) -> m.Job:
    """Say how far a job is."""
    return state_of(request).jobs.get(id).answer()


@router.get(
    "/jobs/{id}/results",
    tags=["jobs"],
    response_model=m.JobResults,
    responses={
        200: {
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "application/x-ndjson": {"schema": {"type": "string"}},
            }
        },
        **documented(404, 422),
    },
)
async def job_results(
    request: Request,
    id: JobId,
    *,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    format: Annotated[
        Literal["json", "csv", "jsonl"], Query(description="csv and jsonl give every row so far.")
    ] = "json",
) -> Any:
    """Give the results so far, also while the job runs."""
    rows = state_of(request).jobs.get(id).rows
    if format == "csv":
        return await asyncio.to_thread(_csv, list(rows))
    if format == "jsonl":
        text = await asyncio.to_thread(lambda: "".join(row.model_dump_json() + "\n" for row in list(rows)))
        return Response(text, media_type="application/x-ndjson")
    return m.JobResults(total=len(rows), offset=offset, rows=rows[offset : offset + limit])


@router.delete("/jobs/{id}", tags=["jobs"], status_code=204, responses=documented(404, 422))
async def remove_job(request: Request, id: JobId) -> Response:
    """Cancel a job and forget its results."""
    state_of(request).jobs.remove(id)
    return Response(status_code=204)


@router.post("/feedback", tags=["check"], responses=documented(404, 409, 413, 422))
async def feedback(request: Request, body: m.FeedbackRequest) -> m.FeedbackAnswer:
    """Say what an image really is: into its atlas, or into the operator's feedback file or table."""
    state = state_of(request)
    if body.case is not None and (body.atlas is not None or body.row is not None):
        raise ProblemError(
            422,
            "invalid-request",
            "The feedback is about a case and about an image of an atlas.",
            next="Give either case, or atlas and row.",
        )
    if body.atlas is not None and body.row is not None:
        opened = await asyncio.to_thread(state.atlases.get, body.atlas)
        row = known_row(opened, body.row)
        before, kept = await asyncio.to_thread(opened.atlas.feedback, row, body.label, body.note)
        return m.FeedbackAnswer(
            stored="atlas", place="feedback.csv", replaced=before, kept=kept, difference=None
        )
    if body.case is None:
        raise ProblemError(
            422, "invalid-request", "The feedback is about nothing.", next="Give case, or atlas and row."
        )
    if state.settings.feedback is None:
        raise ProblemError(
            409,
            "no-feedback-file",
            "This server stores no feedback about uploads.",
            next="Start it with a place for it: morelli serve --feedback corrections.lance.",
        )
    stored = state.cases.get(body.case)
    return await state.answered(store_feedback, state.settings.feedback, state.inspector, stored, body)


_SPREAD = {"probability_low", "probability_high", "error", "error_message"}
_KNOWN = [name for name in COLUMNS if name in _SPREAD | m.JobRow.model_fields.keys()]
"""Columns of a table of verdicts that a job knows: its rows' fields, and those that other fields become."""


def _csv(rows: list[m.JobRow]) -> Response:
    """All rows as CSV; text that a spreadsheet would take for a formula is made plain text."""
    beside = any(row.second is not None for row in rows)
    table = [_cells(row) + (_second(row.second) if beside else []) for row in rows]
    columns = (*_KNOWN, *(SECOND_COLUMNS if beside else ()))
    return Response(csv_table(columns, table), media_type="text/csv; charset=utf-8")


def _cells(row: m.JobRow) -> list[Any]:
    low, high = row.interval or (None, None)
    values = row.model_dump() | {
        "probability_low": low,
        "probability_high": high,
        "reasons": "; ".join(row.reasons),
        "error": row.failure,
        "error_message": row.message,
    }
    return [values[name] for name in _KNOWN]


def _second(second: Second | None) -> list[Any]:
    if second is None:
        return [None] * len(SECOND_COLUMNS)
    return [second.verdict, second.probability, *second.interval, second.agreement]
