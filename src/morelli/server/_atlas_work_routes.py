"""Routes of work on a collection: its columns with counts, tags, near-duplicates, and search."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from morelli.server import _atlas_models as a
from morelli.server import _models as m
from morelli.server._atlas_answers import (
    ERRORS,
    NOT_MODIFIED,
    PREFIX,
    Name,
    SelectionOf,
    json_answer,
    json_text,
    opened_atlas,
)
from morelli.server._atlas_search import search_direction
from morelli.server._atlases import Opened
from morelli.server._etags import cached, matches
from morelli.server._problems import documented
from morelli.server._state import state_of

router = APIRouter(prefix=PREFIX)


@router.get(
    "/{atlas}/columns",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"model": list[a.ColumnView]}, **NOT_MODIFIED, **ERRORS},
)
def columns(request: Request, atlas: Name, *, selection: SelectionOf = None) -> Response:
    """Count all columns, among all images and in a selection: names, and histograms of numbers and dates."""
    opened = opened_atlas(request, atlas)
    chosen = opened.selection(selection)
    etag = opened.tag("columns", selection=chosen, edited=True)
    if matches(request, etag):
        return cached(request, b"", "application/json", etag)
    found = opened.atlas.columns(chosen)
    return cached(request, json_text(list[a.ColumnView], found), "application/json", etag)


@router.get(
    "/{atlas}/tags",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"model": list[a.Tag]}, **ERRORS},
)
def tags(request: Request, atlas: Name, *, selection: SelectionOf = None) -> Response:
    """List the tags in alphabetical order, and how many images and selected images have each."""
    opened = opened_atlas(request, atlas)
    return json_answer(list[a.Tag], _tags(opened, opened.selection(selection)))


@router.post(
    "/{atlas}/tags",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"model": list[a.Tag]}, **documented(404, 412, 413, 422)},
)
def change_tags(request: Request, atlas: Name, body: m.TagChange) -> Response:
    """Give the images of a selection some tags and take others from them, in one step; list all tags."""
    opened = opened_atlas(request, atlas)
    chosen = opened.select(body.selection)
    opened.atlas.tag_images(chosen, body.add, body.remove, count=body.count)
    return json_answer(list[a.Tag], _tags(opened, opened.select(body.selection)))


def _tags(opened: Opened, selection: Any) -> list[dict[str, Any]]:
    found = opened.atlas.tags.view(None if selection is None else selection.mask)
    return [] if found is None else list(found["names"])


@router.get(
    "/{atlas}/copies",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"model": a.CopyGroups}, **NOT_MODIFIED, **ERRORS},
)
def copies(
    request: Request,
    atlas: Name,
    *,
    selection: SelectionOf = None,
    offset: Annotated[int, Query(ge=0, le=2**40)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    """Group near-duplicates: those in both classes first, then those of several generators, then by size."""
    opened = opened_atlas(request, atlas)
    chosen = opened.selection(selection)
    etag = opened.tag("copies", offset, limit, selection=chosen)
    if matches(request, etag):
        return cached(request, b"", "application/json", etag)
    mask = None if chosen is None else chosen.mask
    found = opened.atlas.copies.view(mask, offset=offset, limit=limit)
    return cached(request, json_text(a.CopyGroups, found), "application/json", etag)


@router.post(
    "/{atlas}/search",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"model": a.Found}, **documented(404, 409, 413, 422)},
)
def search(request: Request, atlas: Name, body: m.SearchQuery) -> Response:
    """Find the images nearest to an image, a picture that was sent, a text, or a selection."""
    opened = opened_atlas(request, atlas)
    wanted, by, note = search_direction(state_of(request), opened.atlas, body)
    id = opened.atlas.require_embeddings().search(wanted)
    rows, similarities = opened.atlas.nearest(id, top=body.top)
    found = {"id": id, "by": by, "note": note, "rows": rows, "similarities": similarities}
    return json_answer(a.Found, found)
