"""Server: the rooms over HTTP. No method lives here.

`create_app` makes the application, `serve` runs it. It listens on this machine only unless told otherwise,
keeps no upload, and reads no path outside the folders that were declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from morelli.server._settings import RequestLimits, ServerSettings

if TYPE_CHECKING:
    from morelli.server._app import create_app
    from morelli.server._serve import address_of, new_token, serve

__all__ = ["RequestLimits", "ServerSettings", "address_of", "create_app", "new_token", "serve"]


def __getattr__(name: str) -> Any:
    # FastAPI is loaded when an application is made, not when a command reads the settings' defaults.
    if name == "create_app":
        from morelli.server._app import create_app

        return create_app
    if name in ("address_of", "new_token", "serve"):
        from morelli.server import _serve

        return getattr(_serve, name)
    raise AttributeError(name)
