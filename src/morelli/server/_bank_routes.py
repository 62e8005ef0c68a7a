"""Routes of the detector's known images: where their pictures are, and those that may be shown."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from morelli.inspection import whole_picture
from morelli.server import _models as m
from morelli.server._etags import cached, etag_of
from morelli.server._openapi import BINARY
from morelli.server._paths import inside
from morelli.server._problems import ProblemError, documented
from morelli.server._state import ServerState, state_of

router = APIRouter(prefix="/api/v1/bank", tags=["check"])
_REASONS: dict[m.PictureState, str] = {
    "unknown": "The detector's bank has no such image.",
    "no-path": "The detector's bank keeps no path of this image.",
    "in-archive": "The picture lies in an archive, which is not opened for showing.",
    "outside-roots": "The picture is not in the folders that this server may read, or not there any more.",
    "there": "The picture has changed since it was put into the bank, or is too large to be read.",
}

_NEXT: dict[m.PictureState, str] = {
    "outside-roots": "Start the server with the folder of the bank's images.",
    "there": "Put back the file that the bank was made of.",
}


@router.get("/pictures", responses=documented(422, 503))
def pictures(
    request: Request,
    *,
    ids: Annotated[
        str,
        Query(pattern=r"^[0-9a-f]{64}(,[0-9a-f]{64})*$", max_length=4096, description="SHA-256, by commas."),
    ],
) -> list[m.BankPicture]:
    """Say of known images whether their pictures can be shown, and why not."""
    state = state_of(request)
    uris = _uris(state)
    return [m.BankPicture(id=id, state=_place(id, uris, state.settings.readable)[0]) for id in ids.split(",")]


@router.get(
    "/picture",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": BINARY}}, **documented(404, 413, 422, 503)},
)
async def picture(
    request: Request,
    *,
    id: Annotated[str, Query(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the image.")],
    size: Annotated[int, Query(ge=32, le=512, description="Longest side.")] = 160,
) -> Response:
    """Give a known image, small, as JPEG; only of the very file that was put into the bank."""
    state = state_of(request)
    place, path = await state.answered(_place, id, _uris(state), state.settings.readable)
    data = None if path is None else await state.answered(_read, path, state.image_limits.max_bytes)
    if data is None or hashlib.sha256(data).hexdigest() != id:
        raise ProblemError(
            404,
            "no-picture",
            _REASONS[place],
            next=_NEXT.get(place, "Its distance and label are all there is."),
        )
    content = await state.decoded(whole_picture, data, state.image_limits, size)
    return cached(request, content, "image/jpeg", etag_of(id, size))


def _uris(state: ServerState) -> dict[str, str | None]:
    """The paths that the bank keeps, by SHA-256."""
    bank = state.inspector.bank
    return {} if bank is None else dict(zip(bank.ids, bank.uris, strict=True))


def _place(id: str, uris: dict[str, str | None], roots: Sequence[Path]) -> tuple[m.PictureState, Path | None]:
    """Whether the picture of a bank's image can be shown, and its file; a bundle is anybody's, so its paths
    lead nowhere but into the declared folders."""
    if id not in uris:
        return "unknown", None
    uri = uris[id]
    if uri is None:
        return "no-path", None
    if "::" in uri:
        return "in-archive", None
    given = [Path(uri)] if os.path.isabs(uri) else [root / uri for root in roots]  # noqa: PTH117 - no Path of a NUL
    for path in given:
        if inside(path, roots) and path.resolve().is_file():
            return "there", path.resolve()
    return "outside-roots", None


def _read(path: Path, most: int) -> bytes | None:
    """A file's bytes; None where it is gone or too large."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError:
        return None
    return data if len(data) <= most else None
