"""Bytes that have reached the disk: files written and synced, folders synced after their entries."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

_CHUNK = 1 << 20


def create(path: Path) -> int:
    """A descriptor of a new file at `path`, readable as the umask says; anything there is an error."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    return os.open(path, flags, 0o666)


def write_new(path: Path, data: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    descriptor = create(path)
    try:
        write_all(descriptor, data)
        sync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however little each call takes."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest[:_CHUNK]) :]


def finish(file: IO[bytes]) -> None:
    """Wait until everything written to an open file is on the disk."""
    file.flush()
    sync(file.fileno())


def sync(descriptor: int) -> None:
    """Wait until an open file is on the disk; on macOS past the drive's own cache."""
    full = None
    if os.name == "posix":
        import fcntl

        full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(descriptor)
        return
    try:
        fcntl.fcntl(descriptor, full)
    except OSError:  # a network file system
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's entries are on the disk, which is what makes a new or renamed file findable."""
    if os.name != "posix":
        return  # Windows opens no folders and keeps its own journal of names
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path, *, files: bool) -> None:
    """Sync a folder and all below it, the innermost first; with `files`, every regular file too."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                sync_tree(Path(entry.path), files=files)
            elif files and entry.is_file(follow_symlinks=False):
                descriptor = os.open(entry.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
                try:
                    sync(descriptor)
                finally:
                    os.close(descriptor)
    sync_folder(folder)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, each on the disk before the next."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def copy_mode(source: Path, to: Path) -> None:
    """Give `to` the permissions of `source`; systems and owners that forbid it are let be."""
    try:
        to.chmod(stat.S_IMODE(source.stat().st_mode))
    except OSError:
        return
