"""Named pipes: opened once somebody reads from them, and not waited for without end."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import IO

from morelli.artefacts._lock import OnMessage
from morelli.errors import UsageError

_QUIET = 2.0  # seconds of waiting that are not worth a line
_STEP = 0.02


def open_pipe(path: Path, *, wait: float, on_message: OnMessage) -> IO[bytes]:
    """The pipe at `path`, open for writing.

    Raises:
        UsageError: nobody opened it for reading within `wait` seconds.
    """
    begun, announced = time.monotonic(), False
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        else:
            os.set_blocking(descriptor, True)
            return open(descriptor, "wb")  # noqa: PTH123
        waited = time.monotonic() - begun
        if waited > wait:
            raise UsageError(
                f"{path} is a pipe, and nothing read from it for {wait:g} s; start the program that reads it"
            )
        if waited > _QUIET and not announced:
            on_message(f"{path} is a pipe: waiting for a program that reads it")
            announced = True
        time.sleep(_STEP)
