"""Server: the rooms over HTTP. No method lives here.

`create_app` makes the application, `serve` runs it. By default it listens on this machine only. It
keeps no upload, and reads no path outside the folders that were declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from morelli._lazy import lazy_names
from morelli.server._settings import ServerSettings

if TYPE_CHECKING:
    from morelli.server._app import create_app
    from morelli.server._serve import new_token, serve

__all__ = ["ServerSettings", "create_app", "new_token", "serve"]

# FastAPI is loaded when an application is made, not when a command reads the settings' defaults.
__getattr__ = lazy_names(
    __name__,
    {"create_app": "_app", "new_token": "_serve", "serve": "_serve"},
)
