"""Routes of single images of an atlas."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from starlette.responses import FileResponse

from morelli.server import _atlas_models as a
from morelli.server import _models as m
from morelli.server._atlas_answers import (
    ERRORS,
    NOT_MODIFIED,
    PREFIX,
    Name,
    Row,
    json_answer,
    known_row,
    opened_atlas,
)
from morelli.server._etags import cached, matches
from morelli.server._openapi import BINARY, RELEVANCE_MAP
from morelli.server._paths import inside
from morelli.server._problems import ProblemError, documented
from morelli.server._state import state_of

router = APIRouter(prefix=PREFIX)
MOST_ON_A_SHEET = 512


@router.get(
    "/{atlas}/images/{row}",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"model": a.ImageDetail}, **ERRORS},
)
def image(request: Request, atlas: Name, row: Row) -> Response:
    """Give everything known of one image."""
    opened = opened_atlas(request, atlas)
    found = opened.atlas.image(known_row(opened, row))
    original = opened.atlas.original(row)
    if original is None:
        file = "in-archive" if "::" in str(found["uri"]) else "gone"
    else:
        file = "there" if inside(original, state_of(request).settings.readable) else "outside-roots"
    return json_answer(a.ImageDetail, {**found, "available": file == "there", "file": file})


@router.get(
    "/{atlas}/images/{row}/thumbnail",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"content": {"image/jpeg": BINARY}}, **NOT_MODIFIED, **ERRORS},
)
def thumbnail(request: Request, atlas: Name, row: Row) -> Response:
    """Give what the encoder saw of an image, as JPEG."""
    opened = opened_atlas(request, atlas)
    etag = opened.tag("thumbnail", known_row(opened, row))
    if matches(request, etag):
        return cached(request, b"", "image/jpeg", etag)
    content = opened.atlas.thumbnail(row)
    if content is None:
        raise ProblemError(
            404,
            "no-thumbnail",
            f"The atlas holds no thumbnail of image {row}.",
            next="Build the atlas again where the images can be read.",
        )
    return cached(request, content, "image/jpeg", etag)


@router.get(
    "/{atlas}/thumbnails",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": BINARY}}, **NOT_MODIFIED, **ERRORS},
)
def thumbnail_sheet(
    request: Request,
    atlas: Name,
    *,
    rows: Annotated[
        str,
        Query(
            pattern=r"^[0-9]{1,12}(,[0-9]{1,12})*$", max_length=8192, description="At most 512, as 3,7,12."
        ),
    ],
) -> Response:
    """Give many thumbnails at once: their lengths as little-endian uint32 (0: none), then the JPEG files."""
    opened = opened_atlas(request, atlas)
    wanted = [known_row(opened, int(row)) for row in rows.split(",")]
    if len(wanted) > MOST_ON_A_SHEET:
        raise ProblemError(
            422, "invalid-request", f"A sheet has at most {MOST_ON_A_SHEET} thumbnails.", next="Ask twice."
        )
    etag = opened.tag("thumbnails", wanted)
    if matches(request, etag):
        return cached(request, b"", "application/octet-stream", etag)
    found = [one or b"" for one in opened.atlas.thumbnails(wanted)]
    content = np.array([len(one) for one in found], "<u4").tobytes() + b"".join(found)
    return cached(request, content, "application/octet-stream", etag)


@router.get(
    "/{atlas}/images/{row}/relevance",
    tags=["atlas"],
    response_class=Response,
    responses={
        200: RELEVANCE_MAP,
        **NOT_MODIFIED,
        **ERRORS,
    },
)
def relevance(request: Request, atlas: Name, row: Row, *, dimension: m.Dimension = "logit") -> Response:
    """Give a relevance map: little-endian float32, row by row, ≥ 0."""
    opened = opened_atlas(request, atlas)
    map = opened.atlas.relevance(known_row(opened, row), _number(dimension))
    headers = {"X-Shape": f"{map.shape[0]},{map.shape[1]}"}
    content = np.ascontiguousarray(map, dtype="<f4").tobytes()
    return cached(
        request, content, "application/octet-stream", opened.tag("relevance", row, dimension), headers
    )


@router.get(
    "/{atlas}/images/{row}/relevance.png",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"content": {"image/png": BINARY}}, **NOT_MODIFIED, **ERRORS},
)
def relevance_picture(
    request: Request,
    atlas: Name,
    row: Row,
    *,
    dimension: m.Dimension = "logit",
    size: Annotated[int, Query(ge=16, le=2048)] = 448,
    overlay: Annotated[bool, Query(description="Laid over the thumbnail instead of transparent.")] = False,
) -> Response:
    """Give a relevance map as PNG, orange where the dimension speaks for generated, blue where for real."""
    opened = opened_atlas(request, atlas)
    etag = opened.tag("relevance.png", known_row(opened, row), dimension, size, overlay)
    if matches(request, etag):
        return cached(request, b"", "image/png", etag)
    k = _number(dimension)
    map = opened.atlas.relevance(row, k)
    columns = opened.atlas.collection
    signed = columns.held_logits[row] if k is None else columns.impacts[row, k]
    under = opened.atlas.thumbnail(row) if overlay else None
    from morelli.reports.plots import relevance_png

    content = relevance_png(map.astype(np.float32), size, towards_generated=bool(signed > 0), under=under)
    return cached(request, content, "image/png", etag)


@router.get(
    "/{atlas}/images/{row}/file",
    tags=["atlas"],
    response_class=Response,
    responses={
        200: {"content": {"image/*": BINARY, "application/octet-stream": BINARY}},
        **documented(403, 404, 422),
    },
)
def image_file(request: Request, atlas: Name, row: Row) -> Response:
    """Give an image's own file, where it lies inside the declared roots and is still there."""
    opened = opened_atlas(request, atlas)
    path = opened.atlas.original(known_row(opened, row))
    if path is None:
        raise ProblemError(
            404,
            "no-file",
            f"The file of image {row} is not there any more.",
            next="The thumbnail is in the atlas.",
        )
    roots = state_of(request).settings.readable
    if not inside(path, roots):
        raise ProblemError(
            403,
            "outside-roots",
            f"The file of image {row} is not inside the folders that this server may read.",
            next="Start the server with its folder as a root (--root FOLDER).",
        )
    return FileResponse(
        path.resolve(), media_type=_image_type(path), headers={"Cache-Control": "private, no-cache"}
    )


def _number(dimension: str) -> int | None:
    return None if dimension == "logit" else int(dimension)


# By content and not by name; anything else is not given an image's type, so that no page runs as one.
_MAGIC = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"GIF8": "image/gif", b"BM": "image/bmp"}


def _image_type(path: Any) -> str:
    with path.open("rb") as file:
        head = file.read(16)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return "image/avif" if head[8:12] in (b"avif", b"avis") else "image/heif"
    return next(
        (kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "application/octet-stream"
    )
