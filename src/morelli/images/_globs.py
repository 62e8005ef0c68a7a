"""Patterns of file names, in which links that lead in a circle end."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence, Set
from fnmatch import fnmatchcase
from pathlib import PurePath

_ANY_DEPTH = "**"
_Visit = tuple[int, int, frozenset[int]]
"""A folder, by its device and inode, and the parts of the pattern that its entries may match."""


def iter_glob(pattern: str) -> list[str]:
    """The paths that match `pattern` (``**`` for any depth), sorted by name.

    As in a shell, names that begin with a dot match only where the pattern says so. Links are followed, but
    a folder is looked into once for each part of the pattern: a link to a folder above it would lead to the
    same pictures again and again, and two such links to more paths than can be listed.
    """
    parts = PurePath(pattern).parts
    if _ANY_DEPTH not in parts:
        return sorted(glob.glob(pattern), key=os.fsencode)  # noqa: PTH207 - see `_files.read_file`
    at = parts.index(_ANY_DEPTH)
    start = str(PurePath(*parts[:at]))
    roots = glob.glob(start) if glob.has_magic(start) else [start]  # noqa: PTH207
    found: set[str] = set()
    seen: set[_Visit] = set()
    for root in sorted(roots, key=lambda path: (os.path.islink(path), os.fsencode(path))):  # noqa: PTH114
        found.update(str(PurePath(root, *below)) for below in _matches(root, parts[at:], seen))
    return sorted(found, key=os.fsencode)


def fixed_part(pattern: str) -> str:
    """The folder of a glob before its first part with a wildcard; "." where there is none.

    >>> fixed_part("data/sets/*/train/*.jpg"), fixed_part("*.jpg")
    ('data/sets', '.')
    """
    parts = PurePath(pattern).parts
    wild = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return str(PurePath(*parts[:wild]))


def _matches(root: str, pattern: Sequence[str], seen: set[_Visit]) -> Iterator[tuple[str, ...]]:
    """What matches `pattern` below a folder, by its names from there; what links lead to comes last."""
    folders: list[tuple[tuple[str, ...], frozenset[int]]] = [((), _opened(pattern, {0}))]
    links: list[tuple[tuple[str, ...], frozenset[int]]] = []
    while folders or links:
        here, places = folders.pop() if folders else links.pop(0)
        path = os.path.join(root, *here)  # noqa: PTH118 - see `_files`
        try:
            status = os.stat(path)  # noqa: PTH116
            # Under another name, where more of the pattern matches, a folder may hold what is looked for.
            if (visit := (status.st_dev, status.st_ino, places)) in seen:
                continue
            seen.add(visit)
            with os.scandir(path) as scan:
                entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
        except OSError:
            continue
        for entry in entries:
            after = _behind(entry.name, pattern, places)
            if len(pattern) in after:
                yield (*here, entry.name)
            if after - {len(pattern)} and _is_folder(entry):
                (links if entry.is_symlink() else folders).append(((*here, entry.name), after))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _behind(name: str, pattern: Sequence[str], places: frozenset[int]) -> frozenset[int]:
    """The parts of `pattern` that may match next, where those at `places` may match `name`."""
    found: set[int] = set()
    for place in places - {len(pattern)}:
        part = pattern[place]
        if name.startswith(".") and not part.startswith("."):
            continue
        if part == _ANY_DEPTH:
            found.add(place)
        elif fnmatchcase(name, part):
            found.add(place + 1)
    return _opened(pattern, found)


def _opened(pattern: Sequence[str], places: Set[int]) -> frozenset[int]:
    """`places`, and those behind a ``**`` at them, which may match no folder at all."""
    found = set(places)
    for place, part in enumerate(pattern):
        if part == _ANY_DEPTH and place in found:
            found.add(place + 1)
    return frozenset(found)
