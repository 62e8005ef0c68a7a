"""The folder of a feature table: whether it is one, what may not be replaced, and the lock of its writers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from morelli.errors import ArtifactError, UsageError
from morelli.features._lance import open_dataset

SIDE_FOLDER = "_morelli"
"""Inside the dataset's folder, where Lance looks at its own subfolders only: the lock and the failures."""


def is_table(path: Path) -> bool:
    """Whether a version was ever committed here; a kill while creating leaves folders without one."""
    return any((path / "_versions").glob("*.manifest"))


def refuse_foreign(path: Path) -> None:
    """Raise `UsageError` where `path` is a file, or a folder with anything that is not a feature table's."""
    own = {SIDE_FOLDER, "data", "_versions", "_transactions"}
    if is_table(path):
        with suppress(ArtifactError):  # damaged, which whoever reads it says
            if b"morelli.format" not in (open_dataset(path).schema.metadata or {}):
                raise UsageError(f"{path} is a Lance dataset of another program; choose another name")
        return
    if path.is_file() or (path.is_dir() and any(entry.name not in own for entry in path.iterdir())):
        raise UsageError(f"{path} exists and is not a feature table; choose another name")


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Hold the writers' lock of the table at `path`; the system releases it when a process is killed."""
    from filelock import FileLock, Timeout

    folder = path / SIDE_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ArtifactError(
            f"another process is writing to {path}; wait for it to end, or write to another table"
        ) from None
    try:
        yield
    finally:
        lock.release()
