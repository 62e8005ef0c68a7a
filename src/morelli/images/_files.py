"""Images in the file system: one file, a folder with all below it, a glob."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePath

from morelli.artefacts.outputs import is_output_file, is_output_folder
from morelli.errors import ImageError
from morelli.images._item import ImageItem, printable, problem_item
from morelli.images._leavings import is_left_file, is_left_folder, may_be_apple_double
from morelli.images._limits import Limits
from morelli.images._sniff import HEAD_BYTES, OTHER_IMAGE_SUFFIXES, SUFFIXES, sniff


def read_file(path: str, limits: Limits) -> bytes:
    """The bytes of a regular file of at most `limits.max_bytes`; never waits on a pipe or a device."""
    try:
        # O_NONBLOCK: opening a FIFO nobody writes to would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise os_problem(error, path) from error
    try:
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ImageError("not_a_file", f"{printable(path)} is {_kind(status.st_mode)}, not a file")
            if status.st_size > limits.max_bytes:
                raise too_many_bytes(printable(path), status.st_size, limits)
            data = file.read(limits.max_bytes + 1)  # the file may have grown since
    except OSError as error:
        raise os_problem(error, path) from error
    if len(data) > limits.max_bytes:
        raise too_many_bytes(printable(path), len(data), limits)
    return data


def read_head(path: str) -> bytes:
    """The first bytes of a regular file, enough to sniff; empty where it cannot be read."""
    try:
        return read_part(path, HEAD_BYTES)
    except OSError:
        return b""


def read_part(path: str, size: int) -> bytes:
    """The first `size` bytes of a regular file, empty for anything else; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        return file.read(size) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""


def no_regular_file(path: str) -> ImageError | None:
    """The error for a pipe, a socket or a device, which must not be waited for; None for anything else."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - see `_identity`
    except (OSError, ValueError):
        return None  # reading says why
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return ImageError("not_a_file", f"{printable(path)} is {_kind(mode)}, not a file")


def too_many_bytes(name: str, size: int, limits: Limits) -> ImageError:
    """The error for something larger than `limits.max_bytes`."""
    return ImageError(
        "too_many_bytes",
        f"{name}: {size:,} bytes are more than the limit of {limits.max_bytes:,} (max_bytes)",
    )


def os_problem(error: OSError | ValueError, path: str) -> ImageError:
    """An operating system's refusal in this project's words."""
    name = printable(path)
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENOTDIR):
        return ImageError("missing", f"{name} does not exist")
    if number == errno.ELOOP:
        return ImageError("cyclic_link", f"{name} is a symbolic link that leads back to itself")
    if number in (errno.EACCES, errno.EPERM):
        return ImageError("unreadable", f"{name} may not be read; check its permissions")
    if number in (errno.ENXIO, errno.EOPNOTSUPP):
        return ImageError("not_a_file", f"{name} is a socket or a device, not a file")
    if number == errno.EISDIR:
        return ImageError("not_a_file", f"{name} is a folder, not a file")
    return ImageError("unreadable", f"{name} cannot be read: {getattr(error, 'strerror', None) or error}")


def file_item(path: str, uri: str, limits: Limits) -> ImageItem:
    """The item of one file; nothing is read yet."""
    return ImageItem(printable(uri), partial(read_file, path, limits))


def is_image_name(name: str) -> bool:
    """True where the suffix promises an image, one that is read or one that will be refused by name."""
    suffix = PurePath(name).suffix.lower()
    return suffix in SUFFIXES or suffix in OTHER_IMAGE_SUFFIXES


def iter_folder(
    folder: str,
    limits: Limits,
    recursive: bool,
    claim: Callable[[str], bool],
    leading: tuple[str, ...] = (),
    *,
    on_other: Callable[[str, str], None] = lambda _kind, _path: None,
) -> Iterator[tuple[ImageItem, tuple[str, ...]]]:
    """The images of a folder in the order of their names, each with the folders that lead to it.

    These begin with `leading` and the folder's own name; what lies further up means nothing.
    Links are followed. A link to a folder above it is reported as ``cyclic_link``; a folder that
    links reach twice is listed once. Pipes, sockets and devices with an image's name are reported
    and never opened. Without an image's suffix a file is taken when its first bytes are an image's.
    What systems keep for themselves (``Thumbs.db``, ``._a.jpg``, ``@eaDir``, …) is passed over.
    `on_other` is given everything that is no image: its kind, "left" for what systems keep, "output" for
    what this program wrote, "" for other files, and its path.
    """
    # An explicit stack: a hostile tree may be deeper than Python's.
    root = _identity(folder)
    seen = {root} if root else set()
    top = (*leading, PurePath(folder).name or "")
    pending: list[tuple[str, tuple[str, ...], frozenset[tuple[int, int]], bool]] = []
    pending.append((folder, top, frozenset(seen), True))
    listed = 0
    while pending:
        path, parts, above, is_folder = pending.pop()
        if not is_folder:
            if claim(path):
                listed += 1
                yield file_item(path, path, limits), parts
            continue
        try:
            with os.scandir(path) as scan:
                entries = sorted(scan, key=lambda e: os.fsencode(e.name), reverse=True)
        except OSError as error:
            problem = os_problem(error, path)
            yield problem_item(printable(path), problem.reason, str(problem)), parts
            continue
        if path != folder and is_output_folder(path, [entry.name for entry in entries]):
            on_other("output", path)
            continue
        found: list[tuple[str, tuple[str, ...], frozenset[tuple[int, int]], bool]] = []
        for entry in entries:
            here = _join(path, entry.name)
            verdict = _look(entry, here, above, seen, recursive)
            if isinstance(verdict, ImageError):
                yield problem_item(printable(here), verdict.reason, str(verdict)), parts
            elif verdict == "folder":
                identity = _identity(here)
                if identity is not None:
                    seen.add(identity)
                    found.append((here, (*parts, entry.name), above | {identity}, True))
            elif verdict == "image":
                found.append((here, parts, above, False))
            else:
                on_other(verdict, here)
        pending.extend(found)
        if listed > limits.max_members:
            most = f"{limits.max_members:,} images (max_members)"
            text = f"{printable(folder)} holds more than {most}; give its parts"
            yield problem_item(printable(folder), "too_many_members", text), parts
            return


def _look(
    entry: os.DirEntry[str],
    path: str,
    above: frozenset[tuple[int, int]],
    seen: set[tuple[int, int]],
    recursive: bool,
) -> str | ImageError:
    """'folder', 'image', 'left', 'output' or '' as `iter_folder` says, or the problem to report."""
    if is_left_file(entry.name):
        return "left"
    # AppleDouble files repeat the picture's name: only their content can make them a picture.
    by_name = is_image_name(entry.name) and not may_be_apple_double(entry.name)
    try:
        status = entry.stat()
    except OSError as error:
        looped = error.errno == errno.ELOOP
        return os_problem(error, path) if by_name or looped else ""
    if stat.S_ISDIR(status.st_mode):
        if is_left_folder(entry.name):
            return "left"
        if not recursive:
            return ""
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            return ImageError("cyclic_link", f"{printable(path)} is a link to a folder that contains it")
        return "" if identity in seen else "folder"
    if not stat.S_ISREG(status.st_mode):
        if not by_name:
            return ""
        return ImageError("not_a_file", f"{printable(path)} is {_kind(status.st_mode)}, not a file")
    if is_output_file(path):
        return "output"
    if by_name or sniff(read_head(path)) is not None:
        return "image"
    return "left" if may_be_apple_double(entry.name) else ""


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - paths stay strings here, so that undecodable names survive
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _join(folder: str, name: str) -> str:
    return name if folder in ("", ".") else str(Path(folder) / name)


def _kind(mode: int) -> str:
    for test, name in (
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISDIR, "a folder"),
    ):
        if test(mode):
            return name
    return "something special"
