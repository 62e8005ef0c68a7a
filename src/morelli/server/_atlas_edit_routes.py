"""Routes of what people change in an atlas: names, notes, merges, saved selections; and re-scoring."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from fastapi import Path as InPath

from morelli.server import _atlas_models as a
from morelli.server import _models as m
from morelli.server._atlas_answers import (
    ERRORS,
    PREFIX,
    Name,
    json_answer,
    known_prototype,
    opened_atlas,
)
from morelli.server._atlases import Opened
from morelli.server._problems import ProblemError, documented

router = APIRouter(prefix=PREFIX)
SavedName = Annotated[str, InPath(min_length=1, max_length=200)]


@router.patch(
    "/{atlas}/dimensions/{k}",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"model": a.DimensionNotes}, **documented(404, 412, 413, 422)},
)
def edit_dimension(
    request: Request, atlas: Name, k: Annotated[int, InPath(ge=0, le=10_000)], fields: m.DimensionEdit
) -> Response:
    """Name a dimension or note something about it; an empty name takes the edit back."""
    found = opened_atlas(request, atlas).atlas.edit_dimension(k, *_set_and_seen(fields))
    return json_answer(a.DimensionNotes, dict(found))


@router.patch(
    "/{atlas}/prototypes/{id}",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"model": a.PrototypeNotes}, **documented(404, 412, 413, 422)},
)
def edit_prototype(
    request: Request, atlas: Name, id: Annotated[int, InPath(ge=0, le=1_000_000)], fields: m.PrototypeEdit
) -> Response:
    """Name, note, hide or merge a prototype; null for `merged_into` takes a merge back."""
    opened = opened_atlas(request, atlas)
    found = opened.atlas.edit_prototype(known_prototype(opened, id), *_set_and_seen(fields))
    return json_answer(a.PrototypeNotes, dict(found))


@router.post(
    "/{atlas}/rescore",
    tags=["atlas"],
    response_class=Response,
    responses={200: {"model": a.Rescored}, **documented(404, 413, 422)},
)
def rescore(request: Request, atlas: Name, body: m.Rescore) -> Response:
    """Say what switching dimensions off costs: AUC before and after, errors, and whose verdict changes."""
    opened = opened_atlas(request, atlas)
    found = dict(opened.atlas.rescore(body.off))
    changed = opened.select({"and": [found.pop("selection")]})
    return json_answer(a.Rescored, {**found, "selection": changed.to_json()})


@router.get("/{atlas}/saved-selections", tags=["atlas"], responses=ERRORS)
def saved_selections(request: Request, atlas: Name) -> dict[str, dict[str, Any]]:
    """List the saved selections, name to document."""
    found: dict[str, dict[str, Any]] = opened_atlas(request, atlas).atlas.edits.read()["selections"]
    return found


@router.get("/{atlas}/saved-selections/{name:path}", tags=["atlas"], responses=ERRORS)
def saved_selection(request: Request, atlas: Name, name: SavedName) -> m.SelectionAnswer:
    """Evaluate a saved selection."""
    opened = opened_atlas(request, atlas)
    return m.SelectionAnswer.model_validate(opened.select(_saved(opened, name)).to_json())


@router.put("/{atlas}/saved-selections/{name:path}", tags=["atlas"], responses=documented(404, 413, 422))
def save_selection(
    request: Request, atlas: Name, name: SavedName, spec: Annotated[dict[str, Any], Body()]
) -> m.SelectionAnswer:
    """Keep a selection under a name, in the atlas's edits."""
    opened = opened_atlas(request, atlas)
    found = opened.select(spec)
    opened.atlas.edits.save_selection(name, spec)
    return m.SelectionAnswer.model_validate(found.to_json())


@router.delete("/{atlas}/saved-selections/{name:path}", tags=["atlas"], status_code=204, responses=ERRORS)
def delete_selection(request: Request, atlas: Name, name: SavedName) -> Response:
    """Forget a saved selection."""
    opened = opened_atlas(request, atlas)
    _saved(opened, name)
    opened.atlas.edits.delete_selection(name)
    return Response(status_code=204)


def _set_and_seen(fields: m.DimensionEdit | m.PrototypeEdit) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The fields to set, and those that the client saw."""
    given = fields.model_dump(exclude_unset=True)
    was = given.pop("was", None)
    return given, was


def _saved(opened: Opened, name: str) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = opened.atlas.edits.read()["selections"]
    if name not in found:
        raise ProblemError(
            404, "unknown-selection", f"No selection is saved as {name!r}.", next="Save it with PUT first."
        )
    return found[name]
