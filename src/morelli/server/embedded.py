"""The routes of one atlas, answered in this process: for pages without a server, as in a notebook."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.errors import MorelliError
from morelli.server._settings import ServerSettings, artefact_name

if TYPE_CHECKING:
    from fastapi import FastAPI

    from morelli.atlas import Atlas
    from morelli.server._atlases import Atlases

log = logging.getLogger("morelli.server")
NO_ENCODER = "A notebook's atlas has no encoder beside it: judge images with morelli.load()."


@dataclass(frozen=True)
class Answer:
    """What the interface answered: status, headers by their names in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes


class EmbeddedAtlas:
    """The HTTP interface of one atlas without HTTP: the same routes, the same answers, no socket.

    Args:
        path: folder of the atlas.
        roots: folders with original images that answers may show.

    Attributes:
        name: what addresses call the atlas.

    Example:
        >>> from morelli.server.embedded import EmbeddedAtlas
        >>> atlas = EmbeddedAtlas("faces.atlas")
        >>> atlas.answer("GET", f"api/v1/atlases/{atlas.name}").status
        200
    """

    def __init__(self, path: str | Path, roots: Sequence[str | Path] = ()) -> None:
        folder = Path(path)
        self.name = artefact_name(folder)
        self._app = _app(ServerSettings(atlases=(folder,), roots=tuple(Path(root) for root in roots)))
        self._atlases: Atlases = self._app.state.morelli.atlases
        # A notebook's kernel runs an event loop of its own, in which no other can be waited for.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="morelli-embedded")

    @property
    def atlas(self) -> Atlas:
        """The atlas of the next answer: opened again when it was built again.

        Raises:
            ArtifactError: it is damaged, or not there any more.
        """
        return self._atlases.get(self.name).atlas

    def answer(self, method: str, address: str, body: str | None = None) -> Answer:
        """The answer to one request.

        Args:
            method: ``GET``, ``POST``, ….
            address: path and query, as in ``api/v1/atlases/faces/rows?limit=5``.
            body: JSON text.
        """
        return self._thread.submit(asyncio.run, _request(self._app, method, address, body)).result()


def _app(settings: ServerSettings) -> FastAPI:
    from fastapi import Depends, FastAPI

    from morelli.server import _atlas_edit_routes, _atlas_image_routes, _atlas_routes, _atlas_work_routes
    from morelli.server._problems import install
    from morelli.server._state import ServerState
    from morelli.server._well_formed import well_formed

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    install(app)
    for part in (_atlas_routes, _atlas_image_routes, _atlas_edit_routes, _atlas_work_routes):
        app.include_router(part.router, dependencies=[Depends(well_formed)])
    # Never started: no encoder is loaded, and what needs one says so.
    state = ServerState(settings)
    state.problem = MorelliError(NO_ENCODER)
    app.state.morelli = state
    return app


async def _request(app: FastAPI, method: str, address: str, body: str | None) -> Answer:
    """One request by the application's own protocol (ASGI 3.0)."""
    from urllib.parse import unquote

    path, _, query = address.partition("?")
    path_text = f"/{path.lstrip('/')}"
    headers = [(b"host", b"notebook")]
    if body is not None:
        headers.append((b"content-type", b"application/json"))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method.upper(),
        "scheme": "http",
        "path": unquote(path_text),
        "raw_path": path_text.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": None,
        "server": None,
    }
    messages = iter([{"type": "http.request", "body": (body or "").encode(), "more_body": False}])
    status, found, parts = 500, {}, []

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            pairs = message["headers"]
            found.update({name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs})
        else:
            parts.append(message.get("body", b""))

    try:
        await app(scope, receive, send)
    except Exception:  # raised again for a server's log, after the page was answered that it happened
        log.debug("the request failed", exc_info=True)
    return Answer(status, found, b"".join(parts))
