"""Patterns of file names: each folder is looked into once, however many links lead to it."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePath

_ANY_DEPTH = "**"


def iter_glob(pattern: str) -> list[str]:
    """The paths that match `pattern` (``**`` for any depth), sorted by name.

    As in a shell, names that begin with a dot match only where the pattern says so. Links are followed, but
    a folder is looked into once: a link to a folder above it would lead to the same pictures again and again,
    and two such links to more paths than can be listed.
    """
    parts = PurePath(pattern).parts
    if _ANY_DEPTH not in parts:
        return sorted(glob.glob(pattern), key=os.fsencode)  # noqa: PTH207 - see `_files.read_file`
    at = parts.index(_ANY_DEPTH)
    start = str(PurePath(*parts[:at]))
    roots = glob.glob(start) if glob.has_magic(start) else [start]  # noqa: PTH207
    found: set[str] = set()
    seen: set[tuple[int, int]] = set()
    for root in sorted(roots, key=lambda path: (os.path.islink(path), os.fsencode(path))):  # noqa: PTH114
        found.update(str(PurePath(root, *below)) for below in _below(root, seen) if _fits(below, parts[at:]))
    return sorted(found, key=os.fsencode)


def fixed_part(pattern: str) -> str:
    """The folder of a glob before its first part with a wildcard; "." where there is none.

    >>> fixed_part("data/sets/*/train/*.jpg"), fixed_part("*.jpg")
    ('data/sets', '.')
    """
    parts = PurePath(pattern).parts
    wild = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return str(PurePath(*parts[:wild]))


def _below(root: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, ...]]:
    """Everything below a folder, by its names from there; what links lead to comes last, `seen` not again."""
    folders: list[tuple[str, ...]] = [()]
    links: list[tuple[str, ...]] = []
    while folders or links:
        here = folders.pop() if folders else links.pop(0)
        place = os.path.join(root, *here)  # noqa: PTH118 - see `_files`
        try:
            status = os.stat(place)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(place) as scan:
                entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
        except OSError:
            continue
        for entry in entries:
            yield (*here, entry.name)
            if _is_folder(entry):
                (links if entry.is_symlink() else folders).append((*here, entry.name))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _fits(names: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not names
    first, rest = pattern[0], pattern[1:]
    if first == _ANY_DEPTH:
        if not rest:
            return not any(name.startswith(".") for name in names)
        for skipped in range(len(names) + 1):
            if _fits(names[skipped:], rest):
                return True
            if skipped < len(names) and names[skipped].startswith("."):
                return False
        return False
    if not names or (names[0].startswith(".") and not first.startswith(".")):
        return False
    return fnmatchcase(names[0], first) and _fits(names[1:], rest)
