"""The application: middleware outermost first, routes, static files, and the frame of its life."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread
from fastapi import Depends, FastAPI

from morelli.server import (
    _archive_routes,
    _atlas_edit_routes,
    _atlas_image_routes,
    _atlas_routes,
    _atlas_work_routes,
    _bank_routes,
    _check_routes,
    _collection_routes,
    _job_routes,
    _report_routes,
)
from morelli.server._access import AccessMiddleware
from morelli.server._body_guard import BodyGuard
from morelli.server._forwarding import RequestForwarding, forwarded_requests
from morelli.server._head import HeadMiddleware
from morelli.server._openapi import describe
from morelli.server._problems import install
from morelli.server._settings import ServerSettings, uvicorn_options
from morelli.server._state import ServerState
from morelli.server._static import mount_static
from morelli.server._well_formed import well_formed

SUMMARY = "Detect AI-generated images, see why, and explore collections. Everything stays on this machine."


def create_app(settings: ServerSettings | None = None, *, peers: Path | None = None) -> FastAPI:
    """The HTTP application. Nothing is loaded before it is started; then the encoder loads in the background.

    `peers` is a private folder in which the workers of one server find each other.

    Example:
        >>> app = create_app(ServerSettings())
        >>> sorted(app.openapi()["paths"])[:2]
        ['/api/v1/archives', '/api/v1/archives/{id}']
    """
    settings = settings or ServerSettings()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        state = ServerState(settings)
        app.state.morelli = state
        state.start()
        try:
            if peers is None:
                yield
            else:
                async with forwarded_requests(app, peers, uvicorn_options(settings)):
                    yield
        finally:
            await anyio.to_thread.run_sync(state.stop)

    from morelli._version import __version__

    app = FastAPI(
        title="Morelli",
        version=__version__,
        summary=SUMMARY,
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        redirect_slashes=False,
    )
    install(app)
    atlas = (_atlas_routes, _atlas_image_routes, _atlas_edit_routes, _atlas_work_routes)
    for part in (
        _check_routes,
        _archive_routes,
        _job_routes,
        _report_routes,
        _bank_routes,
        _collection_routes,
        *atlas,
    ):
        app.include_router(part.router, dependencies=[Depends(well_formed)])
    mount_static(app)
    describe(app)
    if peers is not None:
        app.add_middleware(RequestForwarding, folder=peers)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(BodyGuard, limits=settings.limits)
    app.add_middleware(AccessMiddleware, settings=settings)  # added last, so outermost
    return app
