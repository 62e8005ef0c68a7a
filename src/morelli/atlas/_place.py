"""The folder of an atlas before it is built: new, empty, or left by a build that was interrupted."""

from __future__ import annotations

import re
from pathlib import Path

from morelli.artefacts.targets import check_inside
from morelli.atlas._record import MANIFEST
from morelli.errors import UsageError

STATE = "building.json"
_LEFTOVER = re.compile(r"\..+\.(lock|new|old|part)")


def refuse_taken(out: Path) -> None:
    """Raise where no atlas can be built.

    Raises:
        UsageError: a finished atlas or something else is there, or nothing can be written there.
    """
    if (out / MANIFEST).is_file():
        raise UsageError(f"{out} is a finished atlas; choose another name, or remove it")
    if out.exists() and (not out.is_dir() or _is_foreign(out)):
        raise UsageError(f"{out} exists and is no atlas; choose another name")
    check_inside(out)


def _is_foreign(folder: Path) -> bool:
    """Whether a folder holds something, and not what a build leaves that was ended at any point."""
    names = [path.name for path in folder.iterdir() if not _LEFTOVER.fullmatch(path.name)]
    return bool(names) and not {STATE, "distilled"} & set(names)
