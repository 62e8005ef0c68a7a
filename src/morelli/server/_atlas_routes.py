"""Routes of *Explore* and *Evaluate*: tiles, selections, dimensions, prototypes, rows and figures.

Handlers are plain functions: the work is array work in threads, in `morelli.atlas`.
"""

from __future__ import annotations

import io
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Body, Query, Request, Response
from fastapi import Path as InPath

from morelli.server import _atlas_models as a
from morelli.server import _models as m
from morelli.server._atlas_answers import (
    ARROW,
    ERRORS,
    NOT_MODIFIED,
    PREFIX,
    Name,
    Off,
    SelectionOf,
    json_answer,
    json_text,
    known_prototype,
    opened_atlas,
)
from morelli.server._atlases import off_numbers
from morelli.server._etags import cached, matches
from morelli.server._openapi import BINARY
from morelli.server._problems import documented
from morelli.server._state import state_of

router = APIRouter(prefix=PREFIX)


@router.get(
    "", tags=["atlas"], responses={200: {"model": a.Atlases}, **documented()}, response_class=Response
)
def atlases(request: Request) -> Response:
    """List the atlases with what each is; one that cannot be opened says why."""
    store = state_of(request).atlases
    found: list[dict[str, Any]] = []
    for name in store.names:
        try:
            found.append({**store.get(name).atlas.info(), "name": name})
        except Exception as error:
            found.append({"name": name, "problem": str(error)})
    return json_answer(a.Atlases, {"atlases": found})


@router.get(
    "/{atlas}", tags=["atlas"], responses={200: {"model": a.AtlasInfo}, **ERRORS}, response_class=Response
)
def atlas_info(request: Request, atlas: Name) -> Response:
    """Say what an atlas is: counts, dimensions with names, columns to filter by, levels, provenance."""
    return json_answer(a.AtlasInfo, {**opened_atlas(request, atlas).atlas.info(), "name": atlas})


@router.get(
    "/{atlas}/tiles/{level}",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"content": {ARROW: BINARY}}, **NOT_MODIFIED, **ERRORS},
)
def tile(
    request: Request,
    atlas: Name,
    level: Annotated[int, InPath(ge=0, le=32)],
    *,
    tx: Annotated[int | None, Query(ge=0, le=2**31)] = None,
    ty: Annotated[int | None, Query(ge=0, le=2**31)] = None,
    selection: SelectionOf = None,
    off: Off = "",
    column: Annotated[
        list[Annotated[str, Query(max_length=200)]] | None,
        Query(max_length=4, description="Columns that the cells are coloured by."),
    ] = None,
) -> Response:
    """Give the cells of a level, or of one of its tiles, as an Arrow IPC stream."""
    opened = opened_atlas(request, atlas)
    chosen, numbers = opened.selection(selection), opened.atlas.check_off(off_numbers(off))
    columns = column or []
    etag = opened.tag("tile", level, tx, ty, numbers, columns, selection=chosen, edited="tag" in columns)
    if matches(request, etag):
        return cached(request, b"", ARROW, etag)
    found = opened.atlas.tile(level, tx, ty, selection=chosen, off=numbers, columns=columns)
    return cached(request, _arrow(found), ARROW, etag)


@router.get(
    "/{atlas}/points",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"content": {ARROW: BINARY}}, **NOT_MODIFIED, **ERRORS},
)
def points(request: Request, atlas: Name) -> Response:
    """Give every image's place on the map, as an Arrow IPC stream."""
    opened = opened_atlas(request, atlas)
    etag = opened.tag("points")
    if matches(request, etag):
        return cached(request, b"", ARROW, etag)
    return cached(request, _arrow(opened.atlas.points()), ARROW, etag)


@router.get(
    "/{atlas}/points/colours",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"content": {ARROW: BINARY}}, **NOT_MODIFIED, **ERRORS},
)
def point_colours(
    request: Request,
    atlas: Name,
    *,
    by: Annotated[
        str, Query(max_length=220, description="score, label, generator, dimension:3, column:source, …")
    ] = "score",
    selection: SelectionOf = None,
    off: Off = "",
) -> Response:
    """Give what the points are coloured by, in their order, and which of them are selected."""
    opened = opened_atlas(request, atlas)
    chosen, numbers = opened.selection(selection), opened.atlas.check_off(off_numbers(off))
    etag = opened.tag("point-colours", by, numbers, selection=chosen, edited=by == "column:tag")
    if matches(request, etag):
        return cached(request, b"", ARROW, etag)
    return cached(request, _arrow(opened.atlas.point_colours(by, chosen, numbers)), ARROW, etag)


@router.post("/{atlas}/selections", tags=["atlas"], responses=documented(404, 413, 422))
def select(
    request: Request,
    atlas: Name,
    spec: Annotated[dict[str, Any], Body(description='A selection document; {"and": []} is everything.')],
) -> m.SelectionAnswer:
    """Evaluate a selection; its key stands for it in other addresses."""
    return m.SelectionAnswer.model_validate(opened_atlas(request, atlas).select(spec).to_json())


@router.get("/{atlas}/selections/{key}", tags=["atlas"], responses=ERRORS)
def selection_again(
    request: Request, atlas: Name, key: Annotated[str, InPath(max_length=64)]
) -> m.SelectionAnswer:
    """Give a selection again: its document and counts."""
    found = opened_atlas(request, atlas).selection(key)
    assert found is not None
    return m.SelectionAnswer.model_validate(found.to_json())


@router.get(
    "/{atlas}/selections/{key}/bitmap",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": BINARY}}, **NOT_MODIFIED, **ERRORS},
)
def bitmap(request: Request, atlas: Name, key: Annotated[str, InPath(max_length=64)]) -> Response:
    """Give a selection as bits, one per image in the order of rows, lowest bit first."""
    opened = opened_atlas(request, atlas)
    found = opened.selection(key)
    assert found is not None
    content = np.packbits(found.mask, bitorder="little").tobytes()
    headers = {"X-Rows": str(len(found.mask))}
    return cached(
        request, content, "application/octet-stream", opened.tag("bitmap", selection=found), headers
    )


@router.get(
    "/{atlas}/dimensions",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"model": list[a.DimensionView]}, **NOT_MODIFIED, **ERRORS},
)
def dimensions(request: Request, atlas: Name, *, selection: SelectionOf = None, off: Off = "") -> Response:
    """Give the dimension view: names, weights, histograms by class and of the selection, both ends."""
    opened = opened_atlas(request, atlas)
    chosen, numbers = opened.selection(selection), opened.atlas.check_off(off_numbers(off))
    etag = opened.tag("dimensions", numbers, selection=chosen, edited=True)
    if matches(request, etag):
        return cached(request, b"", "application/json", etag)
    return cached(
        request,
        json_text(list[a.DimensionView], opened.atlas.dimensions(chosen, numbers)),
        "application/json",
        etag,
    )


@router.get(
    "/{atlas}/prototypes",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"model": list[a.PrototypeView]}, **NOT_MODIFIED, **ERRORS},
)
def prototypes(request: Request, atlas: Name, *, selection: SelectionOf = None) -> Response:
    """Give the pattern view: prototypes, and how many of the selected images carry each."""
    opened = opened_atlas(request, atlas)
    chosen = opened.selection(selection)
    etag = opened.tag("prototypes", selection=chosen, edited=True)
    if matches(request, etag):
        return cached(request, b"", "application/json", etag)
    return cached(
        request, json_text(list[a.PrototypeView], opened.atlas.prototypes(chosen)), "application/json", etag
    )


@router.get(
    "/{atlas}/prototypes/{id}",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"model": a.PatternPage}, **NOT_MODIFIED, **ERRORS},
)
def pattern_page(request: Request, atlas: Name, id: Annotated[int, InPath(ge=0, le=2**31)]) -> Response:
    """Give one prototype with its images, and what their scores would be without it."""
    opened = opened_atlas(request, atlas)
    etag = opened.tag("pattern-page", known_prototype(opened, id), edited=True)
    if matches(request, etag):
        return cached(request, b"", "application/json", etag)
    page = opened.atlas.pattern_page(id)
    return cached(request, json_text(a.PatternPage, page), "application/json", etag)


@router.get(
    "/{atlas}/rows",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"model": a.Rows, "content": {ARROW: BINARY}}, **ERRORS},
)
def rows(
    request: Request,
    atlas: Name,
    *,
    selection: SelectionOf = None,
    sort: Annotated[
        str,
        Query(
            max_length=64,
            description="row, probability, uncertainty, impact:K, similarity:ROW, near:SEARCH, width, …",
        ),
    ] = "row",
    descending: bool = False,
    offset: Annotated[int, Query(ge=0, le=2**40)] = 0,
    limit: Annotated[int, Query(ge=1, le=2000)] = 100,
    off: Off = "",
    format: Literal["json", "arrow"] = "json",
) -> Response:
    """Give a page of the selected images in an order, judged without the dimensions that are off."""
    opened = opened_atlas(request, atlas)
    chosen, numbers = opened.selection(selection), opened.atlas.check_off(off_numbers(off))
    found = opened.atlas.rows(
        chosen, sort=sort, descending=descending, offset=offset, limit=limit, off=numbers
    )
    if format == "arrow":
        import pyarrow as pa

        return Response(_arrow(pa.Table.from_pylist(found)), media_type=ARROW)
    total = len(opened.atlas) if chosen is None else chosen.counts["count"]
    return json_answer(a.Rows, {"total": int(total), "offset": offset, "rows": found})


@router.get(
    "/{atlas}/export",
    tags=["atlas"],
    response_class=Response,
    responses={
        200: {
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "text/plain": {"schema": {"type": "string"}},
                "application/vnd.apache.parquet": BINARY,
            }
        },
        **ERRORS,
    },
)
def export(
    request: Request,
    atlas: Name,
    *,
    selection: SelectionOf = None,
    format: Annotated[
        Literal["csv", "parquet", "ids"], Query(description="ids: SHA-256 sums, one a line.")
    ] = "csv",
) -> Response:
    """Give the selected images as a file that other programs, `morelli extract` among them, read."""
    opened = opened_atlas(request, atlas)
    content = opened.atlas.export(opened.selection(selection), format)
    kind = {
        "csv": "text/csv; charset=utf-8",
        "parquet": "application/vnd.apache.parquet",
        "ids": "text/plain; charset=utf-8",
    }[format]
    suffix = "txt" if format == "ids" else format
    headers = {
        "Content-Disposition": f'attachment; filename="selection.{suffix}"',
        "Cache-Control": "no-store",
    }
    return Response(content, media_type=kind, headers=headers)


@router.get(
    "/{atlas}/evaluation",
    tags=["evaluate"],
    response_class=Response,
    responses={200: {"model": a.Evaluation}, **NOT_MODIFIED, **ERRORS},
)
def evaluation(
    request: Request,
    atlas: Name,
    *,
    selection: SelectionOf = None,
    off: Off = "",
    threshold: Annotated[float, Query(gt=0, lt=1)] = 0.5,
    base_rate: Annotated[float, Query(gt=0, lt=1)] = 0.5,
) -> Response:
    """Give held-out figures of a selection: metrics, confusion, generators, calibration, worst cases."""
    opened = opened_atlas(request, atlas)
    chosen, numbers = opened.selection(selection), opened.atlas.check_off(off_numbers(off))
    etag = opened.tag("evaluation", numbers, threshold, base_rate, selection=chosen)
    if matches(request, etag):
        return cached(request, b"", "application/json", etag)
    found = opened.atlas.evaluation(chosen, numbers, threshold=threshold, base_rate=base_rate)
    return cached(request, json_text(a.Evaluation, found), "application/json", etag)


def _arrow(table: Any) -> bytes:
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()
