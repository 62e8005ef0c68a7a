"""Routes of collections: folders that an atlas can be built from, and the build."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from morelli.server import _build_models as b
from morelli.server._paths import allowed_path, inside
from morelli.server._problems import ProblemError, documented
from morelli.server._state import state_of

router = APIRouter(prefix="/api/v1/collections", tags=["collections"])
MOST_ENTRIES = 20_000
MOST_FOLDERS = 1_000
_NO_IMAGES = (".atlas", ".lance")


@router.get("", responses=documented(403, 409, 422))
def collections(
    request: Request,
    *,
    path: Annotated[
        str, Query(max_length=4096, description="Folder, relative to the collections' folder.")
    ] = "",
) -> b.Collections:
    """List the folders in a folder of collections, the finished atlases, and builds."""
    state = state_of(request)
    root = state.builds.root
    folder = _folder(path, root)
    folders, files, more = _listed(folder, root)
    given = {one.resolve() for one in state.settings.atlases}
    return b.Collections(
        root=_text(root.name or str(root)),
        path="" if folder == root else folder.relative_to(root).as_posix(),
        folders=folders,
        files=files,
        more=more,
        atlases=[
            name
            for name in state.atlases.names
            if (root / f"{name}.atlas").is_dir() and (root / f"{name}.atlas").resolve() not in given
        ],
        build=state.builds.current(),
        unfinished=state.builds.unfinished(),
    )


@router.get("/build", responses=documented(409))
def build(request: Request) -> b.BuildAnswer:
    """Say how far the build is."""
    state = state_of(request)
    _ = state.builds.root
    return b.BuildAnswer(build=state.builds.current())


@router.post("/build", status_code=202, responses=documented(403, 409, 413, 422, 503))
def start_build(request: Request, body: b.BuildRequest) -> b.BuildProgress:
    """Build an atlas from a folder, in the background; one at a time."""
    state = state_of(request)
    root = state.builds.root
    folder = _folder(body.path, root)
    inspector = state.inspector
    if body.name in state.atlases.names:
        raise ProblemError(
            409,
            "name-taken",
            f"There is an atlas called {body.name}, and nothing is written over.",
            next="Choose another name.",
        )
    if body.dimensions == "shipped" and inspector.distilled is None:
        raise ProblemError(
            409,
            "no-distilled-map",
            "This server has no distilled map of its detector's encoder.",
            next="Have the dimensions fitted to the images, or start the server with a map.",
        )
    return state.builds.start(folder, body)


@router.post("/build/resume", status_code=202, responses=documented(403, 404, 409, 413, 422, 503))
def resume_build(request: Request, body: b.NamedBuild) -> b.BuildProgress:
    """Go on with a build that was interrupted, cancelled or failed."""
    state = state_of(request)
    _ = state.builds.root
    _ = state.inspector
    return state.builds.resume(body.name)


@router.post("/build/cancel", responses=documented(404, 409))
def cancel_build(request: Request) -> b.BuildProgress:
    """End the build that runs; what it has made stays, to go on with or to discard."""
    state = state_of(request)
    _ = state.builds.root
    return state.builds.cancel()


@router.post("/build/discard", status_code=204, responses=documented(404, 409, 413, 422))
def discard_build(request: Request, body: b.NamedBuild) -> Response:
    """Remove what an unfinished build has made; a finished atlas is never removed."""
    state = state_of(request)
    _ = state.builds.root
    state.builds.discard(body.name)
    return Response(status_code=204)


def _folder(path: str, root: Path) -> Path:
    """The folder below the root that a request names.

    Raises:
        ProblemError: 403, it is none, or lies outside.
    """
    found = allowed_path(path or ".", [root])
    if _text(found.relative_to(root).as_posix()) != found.relative_to(root).as_posix():
        raise ProblemError(
            403,
            "outside-roots",
            "The folder's name is not UTF-8, so the app cannot name it.",
            next="Rename the folder.",
        )
    if not found.is_dir():
        raise ProblemError(403, "outside-roots", "The path is no folder.", next="Name a folder of images.")
    return found


def _listed(folder: Path, root: Path) -> tuple[list[b.Folder], int, bool]:
    """The folders in a folder, without hidden ones, artefacts, and links that lead outside; files; more?"""
    folders, files, met = [], 0, 0
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, MOST_ENTRIES):
                met += 1
                if entry.name.startswith(".") or entry.name.endswith(_NO_IMAGES):
                    continue
                path = folder / entry.name
                if entry.is_symlink() and not inside(path, [root]):
                    continue
                if path.is_dir():
                    folders.append(entry.name)
                else:
                    files += 1
    except OSError as error:
        raise ProblemError(
            403,
            "outside-roots",
            "The folder cannot be listed: the server may not read it, or it is not there any more.",
            next="Let the server read it, or choose another folder.",
        ) from error
    here = folder.relative_to(root)
    shown = sorted(folders)[:MOST_FOLDERS]
    listed = [b.Folder(name=_text(name), path=_text((here / name).as_posix())) for name in shown]
    return listed, files, met == MOST_ENTRIES or len(folders) > len(shown)


def _text(name: str) -> str:
    """A file name as text; bytes that are no UTF-8 become question marks, and then cannot be opened."""
    return name.encode("utf-8", "replace").decode("utf-8")
