"""Routes of work on a collection: its columns with counts."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from morelli.server import _atlas_models as a
from morelli.server._atlas_answers import (
    ERRORS,
    NOT_MODIFIED,
    PREFIX,
    Name,
    SelectionOf,
    json_text,
    opened_atlas,
)
from morelli.server._etags import cached, matches

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
