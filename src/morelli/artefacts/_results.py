"""A folder of results for people and other programs, with the SHA-256 of each file in `SHA256SUMS`.

The list is what `sha256sum -c SHA256SUMS` reads, so a folder can be checked without Morelli too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from morelli.artefacts._file import write_file
from morelli.artefacts._leftovers import real_path, set_aside
from morelli.artefacts._lock import locked
from morelli.artefacts._reading import hash_file, inner_path, read_file
from morelli.artefacts._replace import replacing_folder
from morelli.artefacts.targets import check_folder_place
from morelli.errors import ArtifactError, UsageError

SUMS = "SHA256SUMS"
_LARGEST_SUMS = 16 << 20
_LARGEST = 64 << 30  # the list states no sizes, and a sparse file may have any
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def results_folder(path: str | Path, *, what: str, known_by: Collection[str]) -> Path:
    """The path, if results may be written there: a new or empty folder, or older results of this kind.

    Ask before a long computation, not after it.

    Args:
        what: what the results are called in messages: "report".
        known_by: files of which one at least is in every such folder.

    Raises:
        UsageError: something else is there, or nothing can be written there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as scratch:
        ...     results_folder(Path(scratch) / "new", what="report", known_by=["report.json"]).name
        'new'
    """
    folder = Path(path)
    one = f"{'an' if what[:1] in 'aeiou' else 'a'} {what}"
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; {one} is a folder, name another one")
    if folder.is_dir() and any(folder.iterdir()) and not _known(folder, known_by):
        raise UsageError(f"{folder} holds something else than {one}; name another folder, or empty it")
    check_folder_place(folder)
    return folder


@contextmanager
def replacing_results(
    path: str | Path, *, what: str, known_by: Collection[str], beside: Collection[str] = ()
) -> Iterator[Path]:
    """A new folder of results to fill, which takes the place of `path` whole or not at all.

    `SHA256SUMS` is written last. Older results of the kind are replaced, all of their files; what else is in
    their folder is the user's and stays. See `replacing_folder`.

    Args:
        what, known_by: see `results_folder`. Files of these names are replaced even where an older folder has
            no `SHA256SUMS`.
        beside: files by which such a folder is known too, and which stay, such as a cache of the computation.

    Raises:
        UsageError: something else stands at `path`.
        ArtifactError: another program writes there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as scratch:
        ...     with replacing_results(Path(scratch) / "r", what="report", known_by=["a.md"]) as fresh:
        ...         _ = (fresh / "a.md").write_text("one")
        ...     check_results(Path(scratch) / "r", what="report")
        ('a.md',)
    """
    results_folder(path, what=what, known_by=(*known_by, *beside))
    with replacing_folder(
        path,
        what=what,
        ours=lambda folder: _known(folder, (*known_by, *beside)),
        replaced=lambda folder: {SUMS, *known_by, *(name.split("/")[0] for name in _listed(folder))},
    ) as fresh:
        yield fresh
        names = sorted(
            file.relative_to(fresh).as_posix()
            for file in fresh.rglob("*")
            if file.is_file() and file != fresh / SUMS
        )
        lines = [f"{hash_file(fresh / name, largest=_LARGEST)}  {name}\n" for name in names]
        write_file(fresh / SUMS, "".join(lines), lock=False)


def check_results(path: str | Path, *, what: str = "report", but: Collection[str] = ()) -> tuple[str, ...]:
    """The names of a results folder's files, if all of them are as they were written.

    A folder that a killed writer had set aside is put back first. One of an earlier Morelli has no
    `SHA256SUMS`; nothing of it can be checked, and there are no names.

    Args:
        what: what the results are called in messages.
        but: files that the caller checks otherwise, or can do without.

    Raises:
        ArtifactError: a file is missing, changed, or something else than a regular file.
    """
    folder = Path(path)
    if not os.path.lexists(folder) and set_aside(real_path(folder)) is not None:
        with locked(folder):  # which puts it back
            pass
    if not os.path.lexists(folder / SUMS):
        return ()
    sums = {name: digest for name, digest in _sums(folder, what).items() if name not in but}
    for name, digest in sums.items():
        file = inner_path(folder, name, what=what, named_by=folder / SUMS)
        try:
            found = hash_file(file, largest=_LARGEST, what=what)
        except ArtifactError as error:
            raise ArtifactError(f"{error}; {SUMS} lists it") from error
        if found != digest:
            raise ArtifactError(
                f"{file} was changed or damaged (its SHA-256 differs from {SUMS}); write the {what} again"
            )
    return tuple(sums)


def _sums(folder: Path, what: str) -> dict[str, str]:
    text = read_file(folder / SUMS, largest=_LARGEST_SUMS, what=what).decode("utf-8", "replace")
    found = {}
    for line in text.splitlines():
        fits = _LINE.fullmatch(line)
        if fits is None:
            raise ArtifactError(f"{folder / SUMS} is damaged; write the {what} again")
        found[fits[2]] = fits[1]
    if not found or not text.endswith("\n"):
        raise ArtifactError(f"{folder / SUMS} is damaged; write the {what} again")
    return found


def _listed(folder: Path) -> Collection[str]:
    try:
        return _sums(folder, "report")
    except ArtifactError:
        return ()


def _known(folder: Path, known_by: Collection[str]) -> bool:
    return any(os.path.lexists(folder / name) for name in known_by)
