"""Names of `morelli detect`'s outputs, checked before any work: none may take the place of what is read."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.images import ImageItem

SHEET_MARK = "Morelli contact sheet"
"""What a contact sheet says of itself in its PNG text: by it a later run knows that it may replace it."""
_HEAD = 512


def check_outputs(outputs: dict[str, str | None], sheet: Path | None, sources: Sequence[str]) -> None:
    """Refuse outputs without a name, two of one name, those that cannot be written, and those that are read.

    Args:
        outputs: name by option; None and ``-`` are no files.
        sheet: the contact sheet.
        sources: what is judged.

    Raises:
        UsageError: one of them is of this kind.
    """
    from morelli.artefacts.targets import check_file_target

    if sheet is not None and sheet.is_dir():
        raise UsageError(f"--sheet {sheet} is a folder; name a file such as verdicts.png")
    places: dict[str, str] = {}
    for option, name in {**outputs, "--sheet": None if sheet is None else str(sheet)}.items():
        if name is None or name == "-":
            continue
        if not name.strip():
            raise UsageError(f"{option} was given an empty name; name a file, or leave the option out")
        check_file_target(name)
        place = os.path.realpath(name)
        if (Path(place).is_file() or not os.path.lexists(place)) and places.setdefault(
            place, option
        ) != option:
            raise UsageError(f"{places[place]} and {option} name one file, {name}; give each its own")
        if _is_read(place, sources):
            raise UsageError(
                f"{option} {name} is among what is read, and would be replaced; name another file"
            )


def without_sheet(sheet: Path | None, items: Iterator[ImageItem]) -> Iterator[ImageItem]:
    """The images without the contact sheet that an earlier run of the command wrote among them."""
    if sheet is None or not sheet.is_file():
        return items
    place = os.path.realpath(sheet)
    return (item for item in items if os.path.realpath(item.uri) != place)


def _is_read(place: str, sources: Sequence[str]) -> bool:
    """Whether a file is one of the sources, or a picture in one of their folders that is no contact sheet."""
    if not os.path.isfile(place):  # noqa: PTH113 - names may hold bytes that are no text
        return False
    for source in sources:
        if os.path.realpath(source) == place:
            return True
        if glob.has_magic(source) and not os.path.lexists(source):
            found = map(os.path.realpath, glob.iglob(source, recursive=True))  # noqa: PTH207
            if place in found and not _is_contact_sheet(place):
                return True
        elif Path(place).is_relative_to(os.path.realpath(source)) and _is_picture(place):
            return not _is_contact_sheet(place)
    return False


def _is_picture(place: str) -> bool:
    from morelli.images import sniff

    return sniff(_head(place)) is not None


def _is_contact_sheet(place: str) -> bool:
    return SHEET_MARK.encode() in _head(place)


def _head(place: str) -> bytes:
    try:
        with open(place, "rb") as file:  # noqa: PTH123
            return file.read(_HEAD)
    except OSError:
        return b""
