"""A whole folder replaced by another in one step."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from morelli.artefacts._exchange import exchange
from morelli.artefacts._leftovers import real_path, remove, temporary
from morelli.artefacts._lock import WAIT, OnMessage, locked
from morelli.artefacts._sync import copy_mode, make_folders, sync_folder, sync_tree
from morelli.errors import UsageError


@contextmanager
def replacing_folder(
    path: str | Path,
    *,
    what: str,
    ours: Callable[[Path], bool],
    replaced: Callable[[Path], Collection[str]] | None = None,
    wait: float = WAIT,
    on_message: OnMessage | None = None,
) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `path` when the block ends without an error.

    Readers meet the former folder or the new one, whole, and so does whoever comes after a kill or a power
    failure: files and folders are synced first, then the two folders are exchanged in one step
    (`renameat2` on Linux, `renamex_np` on macOS). Where the system cannot, the former one is set aside, and
    the next reader or writer puts it back if the process ended in between. The lock of `path` is held
    throughout.

    Args:
        path: the folder; missing ones above it are made, and a link is followed.
        what: what the folder is called in messages: "bundle".
        ours: whether a folder may be replaced. New and empty ones may always.
        replaced: names within the former folder that the new one takes the place of, written again or not.
            Everything else goes over into the new folder: it is the user's. None: nothing goes over.
        wait, on_message: see `locked`.

    Raises:
        UsageError: something else stands at `path`.
        ArtifactError: another program writes there.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as scratch:
        ...     report = Path(scratch) / "report"
        ...     for text in ("first", "second"):
        ...         with replacing_folder(report, what="report", ours=lambda _: True) as fresh:
        ...             _ = (fresh / "page.html").write_text(text)
        ...     (report / "page.html").read_text()
        'second'
    """
    path = real_path(path)
    make_folders(path.parent)
    with locked(path, wait=wait, on_message=on_message):
        refuse_other(path, what=what, ours=ours)
        there = os.path.lexists(path)
        fresh = temporary(path, "new")
        fresh.mkdir()
        try:
            if there:
                copy_mode(path, fresh)
            yield fresh
            _open_to_readers(fresh)
            if there and replaced is not None:
                _carry_over(path, fresh, set(replaced(path)))
            sync_tree(fresh, files=True)
            _put_in_place(fresh, path)
        finally:
            remove(fresh)  # after an exchange this is the former folder


def refuse_other(path: Path, *, what: str, ours: Callable[[Path], bool]) -> None:
    """Raise UsageError where something stands at `path` that may not be replaced."""
    if os.path.lexists(path) and not (path.is_dir() and (not any(path.iterdir()) or ours(path))):
        raise UsageError(f"{path} exists and is no {what}; name another folder, or remove it")


def _open_to_readers(folder: Path) -> None:
    """Give every new file at least the folder's own rights: some libraries write files for one user only.

    Without this a cache or a bundle that one user makes is of no use to others who may open its folder.
    """
    granted = stat.S_IMODE(folder.stat().st_mode) & 0o666
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            found = path.lstat()
            # A file with further links is somebody's who keeps it elsewhere.
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_mode & granted != granted:
                path.chmod(stat.S_IMODE(found.st_mode) | granted)


def _put_in_place(fresh: Path, path: Path) -> None:
    """Give the folder `fresh` the name `path`; the former folder then has the name of `fresh`."""
    if not os.path.lexists(path):
        os.rename(fresh, path)  # noqa: PTH104
    elif not exchange(fresh, path):
        aside = temporary(path, "old")
        os.rename(path, aside)  # noqa: PTH104
        try:
            os.rename(fresh, path)  # noqa: PTH104
        except BaseException:
            os.rename(aside, path)  # noqa: PTH104
            raise
        sync_folder(path.parent)
        # From here on it is removed wherever it is found, and never put back.
        os.rename(aside, fresh)  # noqa: PTH104
    sync_folder(path.parent)


def _carry_over(former: Path, fresh: Path, but: Collection[str]) -> None:
    """Files, links and folders of `former` that `fresh` lacks; files by a second name where possible."""
    with os.scandir(former) as entries:
        for entry in entries:
            target = fresh / entry.name
            if entry.name in but or os.path.lexists(target):
                continue
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                target.mkdir()
                copy_mode(Path(entry.path), target)
                _carry_over(Path(entry.path), target, ())
            elif stat.S_ISLNK(mode):
                target.symlink_to(os.readlink(entry.path))  # noqa: PTH115
            elif stat.S_ISREG(mode):
                try:
                    os.link(entry.path, target, follow_symlinks=False)
                except OSError:
                    shutil.copy2(entry.path, target)
