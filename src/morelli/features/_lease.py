"""A shared lock that open tables hold, so that a writer does not remove the version that they read."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME = "readers"


class Lease:
    """A reader's hold on a table, from its making until it is closed or collected; the system ends it with
    the process.

    Where the file system has no locks, or the table may only be read and no writer ever made the lock's
    file, nothing is held: then a reader may meet a table that changed below it, and says so.

    Args:
        folder: the table's side folder.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = _open(folder / _NAME)
        if self._descriptor is not None:
            weakref.finalize(self, _close, self._descriptor)
            _lock(self._descriptor, shared=True)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else reads the table; while the block runs, nobody begins to."""
        if self._descriptor is None:
            yield True
            return
        held = _lock(self._descriptor, shared=False)
        try:
            yield held
        finally:
            _lock(self._descriptor, shared=True)


def _open(path: Path) -> int | None:
    flags = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    for access in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        with suppress(OSError):
            return os.open(path, access | flags, 0o666)
    return None


def _close(descriptor: int) -> None:
    with suppress(OSError):
        os.close(descriptor)


def _lock(descriptor: int, *, shared: bool) -> bool:
    """Take the lock, shared (after waiting for a writer that cleans) or alone; False if others hold it."""
    try:
        import fcntl
    except ImportError:  # Windows removes no file that is open
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
