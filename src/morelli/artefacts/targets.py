"""Whether results can be written to a place: asked before the work that makes them, not after it.

Nothing is written here. A disk that is full, or a folder that somebody else fills meanwhile, shows later.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from morelli.artefacts._file import written_directly
from morelli.artefacts._folder import Format, is_kind
from morelli.artefacts._leftovers import real_path
from morelli.artefacts._replace import refuse_other
from morelli.errors import UsageError

_SLASHES = ("/", os.sep)


def check_file_target(path: str | Path) -> None:
    """Raise UsageError where `write_file` could not write: a folder is there, or its folder is read-only.

    A text that ends in a slash names a folder, also where none is there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     check_file_target(Path(folder) / "new" / "a.csv")
        ...     check_file_target(folder)
        Traceback (most recent call last):
        morelli.errors.UsageError: ...
    """
    with_name = Path(path)
    if str(path).endswith(_SLASHES):
        raise UsageError(f"{path} is the name of a folder; name a file in it")
    if written_directly(with_name):
        return
    _check_place(with_name)
    if with_name.is_dir():
        raise UsageError(f"{path} is a folder; name a file")


def check_folder_target(path: str | Path, form: Format) -> None:
    """Raise UsageError where `write_folder` could not write: something else is there, or it is read-only."""
    check_replaceable(path, what=form.what, ours=lambda folder: is_kind(folder, form))


def check_replaceable(path: str | Path, *, what: str, ours: Callable[[Path], bool]) -> None:
    """Raise UsageError where `replacing_folder` could not write; for its arguments see there."""
    check_folder_place(path)
    refuse_other(real_path(path), what=what, ours=ours)


def check_folder_place(path: str | Path) -> None:
    """Raise UsageError where a folder can be neither made nor replaced as a whole, whatever is in it."""
    _check_place(Path(path))
    if os.path.ismount(path):
        raise UsageError(f"{path} is a mounted disk, which cannot be replaced; name a folder inside it")


def check_inside(folder: str | Path) -> None:
    """Raise UsageError where no files can be made inside a folder, which is there or will be made."""
    place = real_path(folder)
    if place.exists() and not place.is_dir():
        raise UsageError(f"{folder} is a file; name a folder")
    _check_place(Path(folder) / "new" if place.is_dir() else Path(folder))


def _check_place(path: Path) -> None:
    """Refuse a path whose folder, or the nearest one above that is there, takes no new names."""
    try:
        real = real_path(path)
        os.lstat(real)
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) not in (errno.ENOENT, errno.ENOTDIR):
            words = getattr(error, "strerror", None) or error
            raise UsageError(f"{path} cannot be written: {words}; name another place") from error
    place = real.parent
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise UsageError(f"{path} cannot be written: {place} is a file, not a folder; name another place")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"{path} cannot be written: {place} takes no new files from you; name another place")
