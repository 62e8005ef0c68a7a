"""Server: the rooms over HTTP. No method lives here.

`create_app` makes the application, `serve` runs it. By default it listens on this machine only. It
keeps no upload, and reads no path outside the folders that were declared.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from morelli.server._settings import ServerSettings

if TYPE_CHECKING:
    from morelli.server._app import create_app
    from morelli.server._serve import new_token, serve

__all__ = ["ServerSettings", "create_app", "new_token", "serve"]

_PLACES = {"create_app": "_app", "new_token": "_serve", "serve": "_serve"}


def __getattr__(name: str) -> Any:
    # FastAPI is loaded when an application is made, not when a command reads the settings' defaults.
    if name in _PLACES:
        return getattr(import_module(f"morelli.server.{_PLACES[name]}"), name)
    raise AttributeError(name)
