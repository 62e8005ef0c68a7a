"""One file written whole or not at all; links are followed, pipes and devices written to."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

from morelli.artefacts._leftovers import real_path, remove, temporary
from morelli.artefacts._lock import WAIT, OnMessage, locked, log_message
from morelli.artefacts._pipe import open_pipe
from morelli.artefacts._sync import copy_mode, create, finish, make_folders, sync_folder
from morelli.errors import UsageError

PIPE_WAIT = 60.0
"""Seconds that a pipe's reader is waited for at the most."""
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", 122), errno.EROFS, errno.EFBIG, errno.EIO)


def write_file(
    path: str | Path,
    data: bytes | str,
    *,
    lock: bool = True,
    wait: float = WAIT,
    on_message: OnMessage | None = None,
) -> None:
    r"""Write one file whole or not at all; text is stored as UTF-8. See `replacing_file`.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_file(Path(folder) / "new" / "a.txt", "one\n")
        ...     (Path(folder) / "new" / "a.txt").read_bytes()
        b'one\n'
    """
    # A file name that is no Unicode comes as lone surrogates, which JSON and people read as escapes.
    content = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    with replacing_file(path, lock=lock, wait=wait, on_message=on_message) as file:
        file.write(content)


@contextmanager
def replacing_file(
    path: str | Path,
    *,
    lock: bool = True,
    growing: str | None = None,
    wait: float = WAIT,
    on_message: OnMessage | None = None,
) -> Iterator[IO[bytes]]:
    """An open binary file whose content takes the place of `path` when the block ends without an error.

    It is written beside its place, synced, and renamed, so that readers and a kill meet the former file or
    the new one. It keeps the former one's permissions. Where `path` is a symbolic link, the file that it
    points to is replaced and the link stays. A pipe, a device or anything below `/dev` and `/proc` is
    written to directly: nothing can be replaced there.

    Args:
        path: the file; missing folders above it are made.
        lock: take the lock of `path` and remove what killed writers of it left; without it the last of two
            writers wins. False for thousands of files in one folder that never change.
        growing: name in the same folder under which the file grows, and stays if the block ends with an
            error: for work of hours whose first part is worth keeping.
        wait, on_message: see `locked`.

    Raises:
        UsageError: `path` is a folder, or a pipe that nothing reads from for a minute.
        ArtifactError: another program writes there.
    """
    if written_directly(Path(path)):
        pipe = Path(path).is_fifo() and os.name == "posix"
        with (
            _naming(Path(path)),
            open_pipe(Path(path), wait=min(wait, PIPE_WAIT), on_message=on_message or log_message)
            if pipe
            else Path(path).open("wb") as stream,
        ):
            yield stream
        return
    path = real_path(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file")
    make_folders(path.parent)
    with locked(path, wait=wait, on_message=on_message) if lock else nullcontext():
        part = temporary(path, "part") if growing is None else path.with_name(growing)
        if growing is not None:
            remove(part)  # of a process that had this one's number
        try:
            with _naming(path), open(create(part), "wb") as file:  # noqa: PTH123
                if path.exists():
                    copy_mode(path, part)
                yield file
                finish(file)
            os.replace(part, path)  # noqa: PTH105
            sync_folder(path.parent)
        finally:
            if growing is None:
                remove(part)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name on what the system says of writing to it: `write` and `fsync` name none."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _FULL:
            error.filename = str(path)
        raise


def written_directly(path: Path) -> bool:
    """Whether a file is written to in place: a pipe, a device, anything below /dev and /proc."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    if stat.S_ISREG(mode):
        # /dev/stdout of `morelli … > file`: a file of another name would not be where the shell writes.
        return os.name == "posix" and path.absolute().parts[1:2] in {("dev",), ("proc",)}
    return not stat.S_ISDIR(mode)
