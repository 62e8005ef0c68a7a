"""Names of `morelli detect`'s outputs, checked before any work: none may take the place of what is read."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from morelli.errors import UsageError

_HEAD = 512
SHEETS: Final = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Format of a contact sheet by the suffix of its name; without a suffix it is a PNG."""
_FORMS: Final = {
    "--csv": ("CSV", (".csv",)),
    "--jsonl": ("JSON Lines", (".jsonl", ".ndjson", ".json")),
    "--parquet": ("Parquet", (".parquet",)),
}
# Programs choose how to read a file by these.
_TELLING: Final = frozenset(
    {".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".lance", ".sqlite"}
    | {".xlsx", ".xls", ".ods", ".html", ".htm", ".pdf", ".zip", ".gz", ".bz2", ".xz", ".zst", *SHEETS}
)


def check_outputs(outputs: dict[str, str | None], sources: Sequence[str]) -> None:
    """Refuse outputs without a name, two of one name, those that cannot be written, and those that are read.

    Args:
        outputs: name by option, --sheet among them; None and ``-`` are no files.
        sources: what is judged.

    Raises:
        UsageError: one of them is of this kind, or its suffix promises another format.
    """
    from morelli.artefacts.targets import check_file_target

    places: dict[str, str] = {}
    for option, name in outputs.items():
        if name == "-" and option == "--sheet":
            raise UsageError("--sheet is a file and not stdout; name one, such as verdicts.png")
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
    for option in places.values():
        _check_suffix(option, str(outputs[option]))


def _check_suffix(option: str, name: str) -> None:
    """Refuse a name by which other programs would take the file for another format."""
    suffix = Path(name).suffix.lower()
    if not suffix or (os.path.lexists(name) and not os.path.isfile(name)):  # noqa: PTH113 - a pipe, a device
        return
    if option == "--sheet":
        if suffix not in SHEETS:
            raise UsageError(f"--sheet {name} ends in neither .png nor .jpg; choose one of them")
        return
    form, own = _FORMS[option]
    if suffix in _TELLING and suffix not in own:
        better = Path(name).with_suffix(own[0])
        raise UsageError(
            f"{option} {name}: {form} is written, and {suffix} means another format; name {better}"
        )


def _is_read(place: str, sources: Sequence[str]) -> bool:
    """Whether a file is one of the sources, or a picture in one of their folders.

    What this program wrote is read only where it is the one source, see `iter_source`.
    """
    from morelli.artefacts.outputs import is_output_file

    if not os.path.isfile(place):  # noqa: PTH113 - names may hold bytes that are no text
        return False
    if is_output_file(place) and (len(sources) > 1 or os.path.realpath(sources[0]) != place):
        return False
    for source in sources:
        if os.path.realpath(source) == place:
            return True
        if glob.has_magic(source) and not os.path.lexists(source):
            if _is_matched(place, source):
                return True
        elif Path(place).is_relative_to(os.path.realpath(source)) and _is_picture(place):
            return True
    return False


def _is_matched(place: str, pattern: str) -> bool:
    """Whether a pattern names a file; with ``**`` folders are not listed, which links may lead round in."""
    if "**" not in pattern:
        return place in map(os.path.realpath, glob.iglob(pattern))  # noqa: PTH207
    parts = Path(os.path.abspath(pattern)).parts  # noqa: PTH100 - resolve follows links
    at = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    base, rest = os.path.realpath(Path(*parts[:at])), "/".join(parts[at:]).replace("**/", "*")
    return fnmatchcase(Path(place).as_posix(), f"{glob.escape(Path(base).as_posix().rstrip('/'))}/{rest}")


def _is_picture(place: str) -> bool:
    from morelli.images import sniff

    try:
        with open(place, "rb") as file:  # noqa: PTH123
            return sniff(file.read(_HEAD)) is not None
    except OSError:
        return False
