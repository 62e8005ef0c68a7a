"""Running the application with uvicorn: one process, or several that share the socket."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from morelli.server._settings import ServerSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

SETTINGS_VARIABLE = "MORELLI_SERVER_SETTINGS"


def new_token() -> str:
    """A random token of 192 bits."""
    return secrets.token_urlsafe(24)


def address_of(settings: ServerSettings, port: int | None = None) -> str:
    """The address to open in a browser, with the token where one is needed."""
    host = settings.host
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    query = f"/?token={settings.token}" if settings.token else "/"
    return f"http://{shown}:{port or settings.port}{query}"


def serve(settings: ServerSettings, *, say: Callable[[str], None] = print) -> None:
    """Serve until interrupted; then requests that run are answered, jobs cancelled, and pictures forgotten.

    `say` is told the address once, which holds the token where there is one.
    """
    import uvicorn

    say(f"Morelli is at {address_of(settings)}")
    options = uvicorn_options(settings)
    if settings.workers <= 1:
        from morelli.server._app import create_app

        uvicorn.run(create_app(settings), **options)
        return
    # Workers are new processes: they read the settings from their environment.
    os.environ[SETTINGS_VARIABLE] = settings.to_json()
    uvicorn.run("morelli.server._serve:worker_app", factory=True, workers=settings.workers, **options)


def worker_app() -> FastAPI:
    """The application of one worker process, settings from the environment."""
    from morelli.server._app import create_app

    return create_app(ServerSettings.from_json(os.environ[SETTINGS_VARIABLE]))


def uvicorn_options(settings: ServerSettings) -> dict[str, Any]:
    """What uvicorn is told besides the application."""
    return {
        "host": settings.host,
        "port": settings.port,
        "log_level": "warning",
        "access_log": False,  # addresses hold tokens and selections
        "server_header": False,
        "proxy_headers": False,  # nobody in front is trusted to name the client
        "timeout_keep_alive": 15,
        "timeout_graceful_shutdown": 30,
        "limit_concurrency": 512,
        "h11_max_incomplete_event_size": 64 * 1024,
        "http": "h11",
        "ws": "none",
    }
