"""Files of others, opened with care: regular ones, of the size that was promised, within their folder."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from morelli.errors import ArtifactError

LARGEST = 4 << 30
"""Bytes of one file of an artefact unless its format says otherwise."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_CHUNK = 1 << 20


def inner_path(folder: Path, name: str, *, what: str = "artefact", named_by: Path | None = None) -> Path:
    """The file `name` (`a.json` or `tables/a.csv`) of an artefact's folder.

    Raises:
        ArtifactError: the name leads out of the folder, is hidden, or passes a link.

    Example:
        >>> inner_path(Path("bundle"), "tables/a.csv").as_posix()
        'bundle/tables/a.csv'
        >>> inner_path(Path("bundle"), "../a.csv", what="bundle")
        Traceback (most recent call last):
        morelli.errors.ArtifactError: bundle names a file outside the bundle: '../a.csv'
    """
    parts = name.split("/")
    strange = any(c in name for c in "\\:") or not name.isprintable()
    if strange or any(not part or part.startswith(".") for part in parts):
        raise ArtifactError(f"{named_by or folder} names a file outside the {what}: {name!r}")
    place = folder
    for part in parts[:-1]:
        place = place / part
        if os.path.lexists(place):
            _require(place, stat.S_IFDIR, what)
    return place / parts[-1]


def read_file(
    file: str | Path, *, size: int | None = None, largest: int = LARGEST, what: str = "artefact"
) -> bytes:
    """The bytes of a regular file.

    Links are not followed; a pipe or device is not opened, so that none can make the reader wait or fill
    its memory.

    Args:
        size: how many bytes it must have, checked before it is read.
        largest: how many it may have.
        what: what the file belongs to, for messages.

    Raises:
        ArtifactError: it is missing, unreadable, something else than a regular file, or of another size.
    """
    file = Path(file)
    descriptor, found = _opened(file, size, largest, what)
    with os.fdopen(descriptor, "rb") as stream:
        try:
            data = stream.read(found + 1)
        except OSError as error:
            raise _unreadable(file, error, what) from error
    if len(data) != found:
        raise ArtifactError(f"{file} was changed while it was read; try again")
    return data


def hash_file(file: Path, *, size: int | None = None, largest: int = LARGEST, what: str = "artefact") -> str:
    """SHA-256 (hex) of a regular file, read piece by piece with the same care as `read_file`."""
    descriptor, _ = _opened(file, size, largest, what)
    digest = hashlib.sha256()
    with os.fdopen(descriptor, "rb") as stream:
        try:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
        except OSError as error:
            raise _unreadable(file, error, what) from error
    return digest.hexdigest()


def _opened(file: Path, size: int | None, largest: int, what: str) -> tuple[int, int]:
    """A descriptor and the size of a regular file."""
    _require(file, stat.S_IFREG, what)
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(file, flags)
    except OSError as error:
        raise _unreadable(file, error, what) from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):  # exchanged since it was looked at
            raise ArtifactError(f"{file} is no regular file")
        if size is not None and facts.st_size != size:
            raise ArtifactError(
                f"{file} was changed or damaged (it has {facts.st_size:,} bytes instead of {size:,}); "
                "get it again"
            )
        if facts.st_size > largest:
            raise ArtifactError(
                f"{file} has {facts.st_size:,} bytes; a file of this {what} has at most {largest:,}"
            )
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, facts.st_size


def _require(path: Path, kind: int, what: str) -> None:
    try:
        found = stat.S_IFMT(path.lstat().st_mode)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error, what) from error
    if found != kind:
        wanted = "folder" if kind == stat.S_IFDIR else "regular file"
        raise ArtifactError(
            f"{path} is {_KINDS.get(found, 'a file')} where the {what} needs a {wanted}; put a {wanted} there"
        )


def _unreadable(file: Path, error: OSError | ValueError, what: str) -> ArtifactError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return ArtifactError(f"{file} is missing or unreadable ({reason}); the {what} is incomplete")
