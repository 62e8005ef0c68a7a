"""What a writer that was ended in between leaves beside an artefact, and how it is put right.

All temporary names of the artefact `NAME` are `.NAME.morelli-TOKEN.SUFFIX` in the same folder. Suffixes:

- `new`: a folder that was being written, or the former one after an exchange. Removed.
- `part`: a file that was being written. Removed.
- `old`: the former folder while the new one takes its name. Where `NAME` is missing it is put back: it is
  whole, because it is renamed to `new` before any of it is removed.

Only the holder of the artefact's lock may touch them: then whoever made them is gone.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from morelli.artefacts._sync import sync_folder

_LONGEST = 160  # bytes of a name that still leave room for the rest within 255


def real_path(path: str | Path) -> Path:
    """The absolute path behind all links: what is written, locked and replaced is what a link points to."""
    return Path(os.path.realpath(path))


def temporary(path: Path, suffix: str) -> Path:
    """A name beside `path` that nobody has."""
    return path.with_name(f".{_short(path.name)}.morelli-{secrets.token_hex(4)}.{suffix}")


def lock_file(path: Path) -> Path:
    """The file whose lock stands for the artefact at `path`."""
    return path.with_name(f".{_short(path.name)}.lock")


def set_aside(path: Path) -> Path | None:
    """The former folder of `path` that waits to be put back, the latest where there are several."""
    found = [one for one in _leftovers(path, nested=False) if one.suffix == ".old" and _is_folder(one)]
    return max(found, key=lambda one: one.lstat().st_ctime_ns, default=None)


def recover(path: Path, on_message: Callable[[str], None]) -> None:
    """Put back a former folder whose place is empty, and remove what else was left; both are said.

    The caller holds the lock of `path`.
    """
    if not os.path.lexists(path) and (former := set_aside(path)) is not None:
        os.rename(former, path)  # noqa: PTH104
        sync_folder(path.parent)
        on_message(f"{path} was put back as it was: a program that was replacing it was ended in between")
    for one in _leftovers(path):
        remove(one)
        on_message(f"removed {one}, left behind by a program that was ended while it wrote {path.name}")


def remove(path: Path) -> None:
    """Remove a file, link or folder if it is there; what cannot be removed stays for the next writer."""
    if _is_folder(path):
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def _leftovers(path: Path, *, nested: bool = True) -> list[Path]:
    """Temporary names of the artefact; `nested`: also those of its folder `new`, while that was filled."""
    own = rf"\.{re.escape(_short(path.name))}\.morelli-[0-9a-f]{{8}}\.(new|old|part)"
    pattern = re.compile(rf"{own}|\.{own}\.(lock|morelli-[0-9a-f]{{8}}\.(new|old|part))" if nested else own)
    try:
        with os.scandir(path.parent) as entries:
            return sorted(Path(entry.path) for entry in entries if pattern.fullmatch(entry.name))
    except OSError:
        return []


def _short(name: str) -> str:
    data = os.fsencode(name)
    if len(data) <= _LONGEST:
        return name
    return f"{os.fsdecode(data[:64])}-{hashlib.sha256(data).hexdigest()[:16]}"


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False
