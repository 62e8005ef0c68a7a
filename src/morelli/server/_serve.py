"""Running the application with uvicorn: one process, or several that share the socket."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from morelli.errors import UsageError
from morelli.server._settings import ServerSettings, uvicorn_options

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from fastapi import FastAPI

SETTINGS_VARIABLE = "MORELLI_SERVER_SETTINGS"
PEERS_VARIABLE = "MORELLI_SERVER_PEERS"


def new_token() -> str:
    """A random token of 192 bits."""
    return secrets.token_urlsafe(24)


def address_of(settings: ServerSettings, port: int | None = None) -> str:
    """The address to open in a browser, with the token where one is needed.

    >>> address_of(ServerSettings(port=8017))
    'http://127.0.0.1:8017/'
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    shown = f"[{host}]" if ":" in host else host
    query = f"/?token={settings.token}" if settings.token else "/"
    return f"http://{shown}:{port or settings.port}{query}"


def serve(settings: ServerSettings, *, on_message: Callable[[str], None] = print) -> None:
    """Serve until interrupted; then requests that run are answered, jobs cancelled, and pictures forgotten.

    `on_message` gets what a person wants to know: at the start the address first (it holds the token where
    there is one), then when images can be judged, and when the server stops.

    Raises:
        UsageError: the address cannot be had, mostly because another program has it.
        ArtifactError: an atlas is none.
    """
    # A person may press Ctrl-C before uvicorn listens to it; it raises the same again once it has shut down.
    with contextlib.closing(bound(settings)) as listening, contextlib.suppress(KeyboardInterrupt):
        if settings.workers > 1:
            _serve_by_several(settings, listening, on_message)
        else:
            _serve_alone(settings, listening, on_message)


def _serve_alone(
    settings: ServerSettings, listening: socket.socket, on_message: Callable[[str], None]
) -> None:
    import uvicorn

    from morelli.server._app import create_app

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            on_message("Stopping at once." if self.should_exit else "Stopping; Ctrl-C again does not wait.")
            super().handle_exit(sig, frame)

    server = Server(uvicorn.Config(create_app(settings), **uvicorn_options(settings)))
    with _log_passed_on(on_message):
        _greet(settings, listening, on_message)
        server.run(sockets=[listening])


def _serve_by_several(
    settings: ServerSettings, listening: socket.socket, on_message: Callable[[str], None]
) -> None:
    import uvicorn

    if os.name != "posix":
        raise UsageError("Several workers find each other by Unix sockets, which are not here: --workers 1.")
    from uvicorn.supervisors import Multiprocess

    # Only this user can enter the folder, in which workers find each other.
    with tempfile.TemporaryDirectory(prefix="morelli-") as peers:
        # Workers are new processes: they read the settings from their environment.
        os.environ |= {SETTINGS_VARIABLE: settings.to_json(), PEERS_VARIABLE: peers}
        config = uvicorn.Config(
            "morelli.server._serve:worker_app",
            factory=True,
            workers=settings.workers,
            **uvicorn_options(settings),
        )
        _greet(settings, listening, on_message)
        Multiprocess(config, sockets=[listening]).run()


def _greet(settings: ServerSettings, listening: socket.socket, on_message: Callable[[str], None]) -> None:
    from morelli.server._greeting import greeting

    for line in greeting(settings, address_of(settings, listening.getsockname()[1])):
        on_message(line)


@contextlib.contextmanager
def _log_passed_on(on_message: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile the server's own log goes to the person at the terminal."""

    class MessageHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            on_message(self.format(record))

    log, handler = logging.getLogger("morelli.server"), MessageHandler()
    before, passed = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        log.propagate = passed


def worker_app() -> FastAPI:
    """The application of one worker process, settings from the environment."""
    from pathlib import Path

    from morelli.server._app import create_app

    _end_with_parent()
    settings = ServerSettings.from_json(os.environ[SETTINGS_VARIABLE])
    return create_app(settings, peers=Path(os.environ[PEERS_VARIABLE]))


def _end_with_parent() -> None:
    """Shut this worker down once the process that started it has ended.

    uvicorn stops its workers when it is told to stop; killed, it leaves them holding port and memory.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="wait for parent", daemon=True).start()


def bound(settings: ServerSettings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        UsageError: the address cannot be had.
    """
    import socket

    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Only of a socket that says it is TCP's does asyncio switch off Nagle's algorithm, which holds back the
    # body of a small answer until the client confirms its head: some 40 ms, on loopback too.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(2048)
        listening.set_inheritable(True)
    except OSError as error:
        listening.close()
        raise UsageError(
            f"The address {settings.host}, port {settings.port}, cannot be had: {error.strerror or error}. "
            "Is a server running there already? Another port: --port 0 takes a free one."
        ) from error
    return listening
