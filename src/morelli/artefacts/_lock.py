"""The lock of an artefact: one writer at a time, from reading to writing."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from morelli.artefacts._leftovers import lock_file, real_path, recover
from morelli.errors import ArtifactError

OnMessage = Callable[[str], None]
"""Called with one line for the user."""

Release = Callable[[], None]

WAIT = 300.0
"""Seconds that another writer is waited for."""
_QUIET = 0.5  # seconds of waiting that are not worth a line
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
_own = threading.local()


@contextmanager
def locked(path: str | Path, *, wait: float = WAIT, on_message: OnMessage | None = None) -> Iterator[Path]:
    """Hold the artefact at `path` against other writers, in this process and in others.

    Whoever changes an artefact by reading and writing it holds the lock over both; every writer of this
    room takes it as well, which within the block costs nothing. The system releases it when a process
    ends, however it ends. What a writer that was ended left behind is put right first: see
    `morelli.artefacts.write_folder`.

    Args:
        path: file or folder, there or not; a link is followed.
        wait: seconds that another writer is waited for; 0 does not wait.
        on_message: called with a line when another writer is waited for and when something was put right;
            by default they go to the log `morelli.artefacts`.

    Yields: the path behind all links.

    Raises:
        ArtifactError: another writer still held it after `wait`, or its folder cannot be written to.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     counter = Path(folder) / "count.txt"
        ...     for _ in range(3):
        ...         with locked(counter):
        ...             before = int(counter.read_text()) if counter.exists() else 0
        ...             _ = counter.write_text(str(before + 1))
        ...     counter.read_text()
        '3'
    """
    path, on_message = real_path(path), on_message or log_message
    held: set[Path] = _own.__dict__.setdefault("held", set())
    if path in held:
        yield path
        return
    with _file_lock(path, wait, on_message):
        held.add(path)
        try:
            recover(path, on_message)
            yield path
        finally:
            held.discard(path)


def log_message(message: str) -> None:
    """Write it where no caller takes messages: in the log `morelli.artefacts`."""
    logging.getLogger("morelli.artefacts").warning("%s", message)


@contextmanager
def _file_lock(path: Path, wait: float, on_message: OnMessage) -> Iterator[None]:
    started, announced = time.monotonic(), False
    take = _take_with_filelock if os.name == "nt" else _take
    while (release := _taken(path, take, on_message)) is None:
        waited = time.monotonic() - started
        if waited >= wait:
            raise ArtifactError(
                f"another program is writing {path}; nothing was changed. Try again when it has ended"
            )
        if waited >= _QUIET and not announced:
            announced = True
            on_message(f"waiting for another program that is writing {path}")
        time.sleep(min(0.05, wait))
    try:
        yield
    finally:
        release()


def _taken(path: Path, take: Callable[[Path], Release | None], on_message: OnMessage) -> Release | None:
    try:
        return take(lock_file(path))
    except OSError as error:
        if error.errno in _NO_LOCKS:
            on_message(f"the file system of {path} has no locks: let no other program write there meanwhile")
            return lambda: None
        raise ArtifactError(
            f"{path} cannot be written: its folder {path.parent} takes no new file ({error.strerror})"
        ) from error


def _take(file: Path) -> Release | None:
    """The lock's release, or None while another holds it.

    The file goes away with its lock, since a lock file beside every artefact would be litter (`filelock`
    leaves it). So the file that was locked may have been removed meanwhile: then the lock is worth nothing.
    """
    import fcntl

    extra = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | extra, 0o666)
    except PermissionError:
        if not file.exists():
            raise
        descriptor = os.open(file, os.O_RDONLY | extra)  # another user's
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        current = os.path.samestat(os.fstat(descriptor), file.lstat())
    except (BlockingIOError, FileNotFoundError):
        current = False
    except BaseException:
        os.close(descriptor)
        raise
    if not current:
        os.close(descriptor)
        return None

    def release() -> None:
        with contextlib.suppress(OSError):  # another user's, in a folder where only owners remove
            file.unlink()
        os.close(descriptor)

    return release


def _take_with_filelock(file: Path) -> Release | None:
    from filelock import FileLock, Timeout

    lock = FileLock(file, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock.release
