"""Routes of uploaded archives: list the members, judge one, close."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Path as InPath

from morelli.inspection.answers import Case
from morelli.server import _models as m
from morelli.server._archives import OpenArchive
from morelli.server._check_routes import UPLOAD_BODY, BaseRate, Fpr
from morelli.server._problems import ProblemError, documented
from morelli.server._state import ServerState, state_of, while_connected
from morelli.server._uploads import read_uploads, shown_name

router = APIRouter(prefix="/api/v1")
ArchiveId = Annotated[str, InPath(pattern=r"^[0-9a-f]{16}$", description="Id of an open archive.")]


@router.post(
    "/archives",
    tags=["check"],
    status_code=201,
    responses=documented(400, 408, 413, 415, 422, 503),
    openapi_extra=UPLOAD_BODY,
)
async def open_archive(request: Request) -> m.Archive:
    """Take a zip or tar and list what is in it; nothing is judged yet.

    The archive lies in a private temporary file until it is closed or nobody asks for it. Members that
    cannot be used are listed with their problem.
    """
    state = state_of(request)
    _ = state.inspector
    # One file may take the whole request.
    limits = replace(state.limits, file_bytes=state.limits.request_bytes)
    with state.budget.share() as share:
        uploads = await read_uploads(request, limits, share)
        if len(uploads) != 1:
            raise ProblemError(
                422,
                "invalid-request",
                f"{len(uploads)} files are in one request.",
                next="Send one archive at a time; pictures go to /api/v1/detect.",
            )
        (upload,) = uploads
        found = await state.decoded(state.archives.open, upload.name, upload.data, state.image_limits)
    return _answer(found)


@router.get("/archives/{id}", tags=["check"], responses=documented(404, 422))
async def archive(request: Request, id: ArchiveId) -> m.Archive:
    """List the members of an open archive again."""
    return _answer(state_of(request).archives.get(id))


@router.post(
    "/archives/{id}/members/{index}", tags=["check"], responses=documented(404, 408, 409, 413, 422, 503)
)
async def judge_member(
    request: Request,
    id: ArchiveId,
    index: Annotated[int, InPath(ge=0, le=10**6, description="Number of the member in the list.")],
    *,
    base_rate: BaseRate = None,
    fpr: Fpr = None,
) -> Case:
    """Judge one member: a case like that of an upload; a problem where it cannot be read."""
    state = state_of(request)
    found = state.archives.get(id)
    name = shown_name(found.member_name(found.member(index)))
    with state.admit(1):
        work = _judged(state, found, index, name, base_rate=base_rate, fpr=fpr)
        return await while_connected(request, work, state.limits.answer_seconds)


@router.delete("/archives/{id}", tags=["check"], status_code=204, responses=documented(404, 422))
async def close_archive(request: Request, id: ArchiveId) -> Response:
    """Delete an archive's temporary file; its cases stay."""
    state = state_of(request)
    state.archives.get(id)
    await asyncio.to_thread(state.archives.close, id)
    return Response(status_code=204)


async def _judged(
    state: ServerState,
    found: OpenArchive,
    index: int,
    name: str,
    *,
    base_rate: float | None,
    fpr: float | None,
) -> Case:
    data = await state.decoded(found.read, index)
    prepared = await state.decoded(state.inspector.prepare, data, name, state.image_limits)
    stored = await state.encoded(prepared)
    return await state.answered(state.inspector.case, stored, base_rate=base_rate, fpr=fpr)


def _answer(found: OpenArchive) -> m.Archive:
    return m.Archive(
        id=found.id,
        name=found.name,
        members=[
            m.ArchiveMember(
                name=found.member_name(item),
                problem=None if item.problem is None else found.shown(str(item.problem)),
            )
            for item in found.members()
        ],
    )
