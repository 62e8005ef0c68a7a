"""Routes of *Check*: what the server is, uploads, and everything about one case."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath

from morelli.artefacts import write_file
from morelli.errors import ImageError
from morelli.inspection import STABILITY_PERTURBATIONS, Inspector, StoredCase, stability_answer, whole_picture
from morelli.inspection.answers import Case, Evidence, Neighbors, Stability
from morelli.server import _models as m
from morelli.server._etags import cached, etag_of
from morelli.server._info import server_info
from morelli.server._openapi import BINARY, RELEVANCE_MAP
from morelli.server._problems import ProblemError, documented, problem_of
from morelli.server._state import ServerState, settled, state_of, while_connected
from morelli.server._uploads import Upload, read_uploads

if TYPE_CHECKING:
    from morelli.detectors import Verdict

router = APIRouter(prefix="/api/v1")
CaseId = Annotated[str, InPath(pattern=r"^[0-9a-f]{64}$", description="Id of a case that `detect` gave.")]
BaseRate = Annotated[
    float | None,
    Query(gt=0, lt=1, description="Share of generated images to assume; the bundle's by default."),
]
Fpr = Annotated[
    float | None, Query(gt=0, lt=1, description="Share of real images that may be called AI-generated.")
]
UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "One picture, or several parts of the same name.",
                        }
                    },
                }
            }
        },
    }
}


@router.get("/health", tags=["server"], responses=documented())
async def health() -> m.Health:
    """Say that the process is alive."""
    return m.Health(status="ok")


@router.get("/ready", tags=["server"], responses=documented(503))
async def ready(request: Request) -> m.Readiness:
    """Say whether images can be judged; 503 while the encoder is loaded."""
    _ = state_of(request).inspector
    return m.Readiness(status="ready")


@router.get("/info", tags=["server"], responses=documented())
async def info(request: Request) -> m.Info:
    """Say what this server has and allows."""
    return await asyncio.to_thread(server_info, state_of(request))


@router.post(
    "/detect", tags=["check"], responses=documented(408, 409, 413, 415, 422, 503), openapi_extra=UPLOAD_BODY
)
async def detect(
    request: Request,
    *,
    base_rate: BaseRate = None,
    fpr: Fpr = None,
    keep: Annotated[bool, Query(description="Store the files, where the operator allows it.")] = False,
) -> m.Detected:
    """Judge uploaded pictures.

    Nothing is stored on disk unless `keep` is set and the operator declared a folder. Pictures that cannot
    be read are listed in `failures`; when none can, the answer is a problem.
    """
    state = state_of(request)
    check_rates(state.inspector, base_rate, fpr)
    if keep and state.settings.keep is None:
        raise ProblemError(
            409,
            "keeping-not-allowed",
            "This server stores no uploads.",
            next="Leave keep out, or let the operator declare a folder for kept uploads.",
        )
    with state.budget.share() as share:
        uploads = await read_uploads(request, state.limits, share)
        with state.admit(len(uploads)):
            judged = settled([_judged(state, one, base_rate, fpr) for one in uploads])
            found = await while_connected(request, judged, state.limits.answer_seconds)
        if keep and state.settings.keep is not None:
            for upload, one in zip(uploads, found, strict=True):
                if isinstance(one, Case):
                    await asyncio.to_thread(_keep, state.settings.keep, one.id, upload)
    failures = [
        m.Failure(name=upload.name, reason=one.reason, message=str(one))
        for upload, one in zip(uploads, found, strict=True)
        if isinstance(one, ImageError)
    ]
    cases = [one for one in found if isinstance(one, Case)]
    if not cases:
        first = next(one for one in found if isinstance(one, ImageError))
        problem = problem_of(first)
        problem.more["failures"] = [one.model_dump() for one in failures]
        raise problem
    return m.Detected(cases=cases, failures=failures)


def check_rates(inspector: Inspector, base_rate: float | None, fpr: float | None) -> None:
    """Refuse a rate that a detector cannot have, before an upload is read or an image is encoded."""
    tuned = inspector.tuned(base_rate, fpr)
    if inspector.second is not None:
        inspector.second.at(tuned.base_rate, fpr)


async def _judged(state: ServerState, upload: Upload, base_rate: float | None, fpr: float | None) -> Case:
    prepared = await state.decoded(state.inspector.prepare, upload.data, upload.name, state.image_limits)
    stored = await state.encoded(prepared)
    return await state.answered(state.inspector.case, stored, base_rate=base_rate, fpr=fpr)


@router.get("/cases/{id}", tags=["check"], responses=documented(404, 409, 422, 503))
async def case(
    request: Request,
    id: CaseId,
    *,
    base_rate: BaseRate = None,
    fpr: Fpr = None,
    stability: Annotated[
        bool, Query(description="Judge the picture under ordinary re-delivery too.")
    ] = False,
) -> Case:
    """Answer about a case again, at another base rate or error rate, and with its stability."""
    state = state_of(request)
    inspector, stored = state.inspector, state.cases.get(id)
    found = None
    if stability:
        check_rates(inspector, base_rate, fpr)
        with state.admit(len(STABILITY_PERTURBATIONS)):
            work = _stability(state, stored, base_rate, fpr)
            found = await while_connected(request, work, state.limits.answer_seconds)
    return await state.answered(inspector.case, stored, base_rate=base_rate, fpr=fpr, stability=found)


@router.delete("/cases/{id}", tags=["check"], status_code=204, responses=documented(404, 422))
async def forget(request: Request, id: CaseId) -> Response:
    """Forget a case and what was derived from it, at once."""
    state = state_of(request)
    state.cases.get(id)
    state.cases.forget(id)
    return Response(status_code=204)


@router.get(
    "/cases/{id}/image",
    tags=["check"],
    response_class=Response,
    responses={200: {"content": {"image/jpeg": BINARY}}, **documented(404, 422)},
)
async def case_image(
    request: Request,
    id: CaseId,
    *,
    view: Annotated[
        Literal["judged", "whole"],
        Query(description="What the encoder saw (its crop), or the whole picture."),
    ] = "judged",
    size: Annotated[int, Query(ge=32, le=2048, description="Longest side of the whole picture.")] = 1024,
) -> Response:
    """Give the picture as JPEG."""
    state = state_of(request)
    stored = state.cases.get(id)
    etag = etag_of(id, view, size)
    if view == "judged":
        return cached(request, stored.judged, "image/jpeg", etag)
    content = await state.decoded(whole_picture, stored.data, state.image_limits, size)
    return cached(request, content, "image/jpeg", etag)


@router.get(
    "/cases/{id}/relevance",
    tags=["check"],
    response_class=Response,
    responses={
        200: RELEVANCE_MAP,
        **documented(404, 409, 422, 503),
    },
)
async def relevance(request: Request, id: CaseId, *, dimension: m.CaseDimension = "decision") -> Response:
    """Give a map of the patches: little-endian float32, row by row.

    `decision` is what each patch adds to the logit that decided, beside what it adds in a typical real image:
    positive towards generated, and summing to the parts of the picture in `reading`. The other maps are of
    the other reader, and not negative.
    """
    state = state_of(request)
    stored = state.cases.get(id)
    map: npt.NDArray[Any]
    if dimension == "decision":
        map = (await state.answered(state.inspector.reading, stored)).map
    else:
        map = (await state.answered(state.inspector.dimension_relevance, stored, dimension))[0]
    headers = {"X-Shape": f"{map.shape[0]},{map.shape[1]}"}
    content = np.ascontiguousarray(map, dtype="<f4").tobytes()
    return cached(request, content, "application/octet-stream", etag_of(id, dimension), headers)


@router.get(
    "/cases/{id}/relevance.png",
    tags=["check"],
    response_class=Response,
    responses={200: {"content": {"image/png": BINARY}}, **documented(404, 409, 422, 503)},
)
async def relevance_picture(
    request: Request,
    id: CaseId,
    *,
    dimension: m.CaseDimension = "decision",
    size: Annotated[int, Query(ge=16, le=2048, description="Side in pixels.")] = 448,
    overlay: Annotated[bool, Query(description="Laid over the picture instead of transparent.")] = False,
) -> Response:
    """Give a map as PNG, orange where patches speak for generated, blue where for real."""
    state = state_of(request)
    stored = state.cases.get(id)
    content = await state.answered(_relevance_png, state.inspector, stored, dimension, size, overlay)
    return cached(request, content, "image/png", etag_of(id, dimension, size, overlay))


@router.get("/cases/{id}/neighbors", tags=["check"], responses=documented(404, 409, 422, 503))
async def neighbors(
    request: Request, id: CaseId, *, k: Annotated[int, Query(ge=1, le=100)] = 10
) -> Neighbors:
    """List the nearest generated and real members of the detector's bank."""
    state = state_of(request)
    return await state.answered(state.inspector.neighbors, state.cases.get(id), k)


@router.get("/cases/{id}/reading", tags=["check"], responses=documented(404, 409, 422, 503))
async def reading(request: Request, id: CaseId) -> Evidence:
    """Take the logit apart by where the encoder read it; 409 where that cannot be said."""
    state = state_of(request)
    return await state.answered(state.inspector.reading_evidence, state.cases.get(id))


@router.get("/cases/{id}/concepts", tags=["check"], responses=documented(404, 409, 422, 503))
async def concepts(request: Request, id: CaseId) -> Evidence:
    """Take the logit apart into named concepts; 409 where the server was started without any."""
    state = state_of(request)
    inspector, stored = state.inspector, state.cases.get(id)
    if inspector.space is None:
        raise ProblemError(
            409,
            "no-concepts",
            "This server has no concepts to explain with.",
            next=f"Build a bank: {inspector.concepts_command()}, and start the server with it and a feature "
            "table of real images.",
        )
    return await state.answered(inspector.concept_evidence, stored)


@router.post("/cases/{id}/whatif", tags=["check"], responses=documented(404, 409, 413, 422, 503))
async def whatif(request: Request, id: CaseId, body: m.WhatIf) -> m.WhatIfAnswer:
    """Judge the picture after edits, with dimensions switched off; `after` is a case of its own."""
    state = state_of(request)
    inspector, stored = state.inspector, state.cases.get(id)
    spec = edits_spec(body.edits)
    rates = {"base_rate": body.base_rate, "fpr": body.fpr}
    before = await state.answered(inspector.case, stored, **rates)
    edited = stored
    if spec:
        with state.admit(1):
            work = _edited(state, stored, spec)
            edited = await while_connected(request, work, state.limits.answer_seconds)
    after = await state.answered(inspector.case, edited, off=body.off, **rates)
    return m.WhatIfAnswer(edits=edited.edits, off=sorted(set(body.off)), before=before, after=after)


def edits_spec(edits: Sequence[m.EditStep]) -> str:
    """The perturbation that a list of edits means.

    >>> edits_spec([m.EditStep(name="jpeg", value=60), m.EditStep(name="social", value="x")])
    'jpeg:60+social:x'
    """
    steps = []
    for edit in edits:
        value = f"{edit.value:g}" if isinstance(edit.value, int | float) else (edit.value or "").strip()
        if "+" in value:
            raise ProblemError(
                422, "invalid-request", f"{value!r} is not one value.", next="Give each edit by itself."
            )
        steps.append(f"{edit.name}:{value}" if value else edit.name)
    return "+".join(steps)


async def _edited(state: ServerState, stored: StoredCase, spec: str) -> StoredCase:
    prepared = await state.decoded(state.inspector.prepare_edited, stored, spec, state.image_limits)
    return await state.encoded(prepared)


async def _stability(
    state: ServerState, stored: StoredCase, base_rate: float | None, fpr: float | None
) -> Stability:
    inspector = state.inspector

    async def one(spec: str) -> tuple[str, Verdict]:
        prepared = await state.decoded(inspector.prepare_edited, stored, spec, state.image_limits)
        edited = await state.answered(inspector.stored, prepared, await state.vectors(prepared))
        return spec, await state.answered(inspector.verdict, edited, base_rate, fpr)

    own = await state.answered(inspector.verdict, stored, base_rate, fpr)
    found = await settled([one(spec) for spec in STABILITY_PERTURBATIONS])
    return stability_answer(own, dict(each for each in found if not isinstance(each, ImageError)))


def _relevance_png(
    inspector: Inspector, stored: StoredCase, dimension: str, size: int, overlay: bool
) -> bytes:
    from morelli.reports.plots import relevance_png

    under = stored.judged if overlay else None
    if dimension == "decision":
        return relevance_png(inspector.reading(stored).map, size, under=under)
    map, towards = inspector.dimension_relevance(stored, dimension)
    return relevance_png(map, size, towards_generated=towards, under=under)


def _keep(folder: Path, id: str, upload: Upload) -> None:
    """Store one file under its hash; the client's name never becomes a path."""
    # Without a lock: the name is the content's, so that two writers write the same.
    write_file(folder / id, upload.data, lock=False)
