"""Class names that a data set declares beside its tables, in README.md or dataset_infos.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from morelli.errors import UsageError
from morelli.images._item import printable

_LARGEST = 4 << 20
_LEVELS = 3
_CONFIG = re.compile(r"\s*-?\s*config_name:\s*(.+)")
_COLUMN = re.compile(r"\s*-\s+name:\s*(.+)")
_NAMES = re.compile(r"\s*names:\s*")
_NAME = re.compile(r"""\s*['"]?(\d+)['"]?\s*:\s*(.+)""")
_Declared = tuple[str, str, tuple[str, ...]]
"""Configuration, column, names of its classes."""


def names_of(value: Any) -> tuple[str, ...] | None:
    """Class names from a list, or from numbers and names; None for anything else.

    >>> names_of({"1": "real", "0": "fake"})
    ('fake', 'real')
    """
    if isinstance(value, dict):
        by_number = {str(key): name for key, name in value.items()}
        value = [by_number.get(str(number)) for number in range(len(value))]
        if None in value:
            return None
    return tuple(map(str, value)) if isinstance(value, list) and value else None


def declared_classes(table: Path) -> dict[str, tuple[str, ...]]:
    """Class names by column, as the nearest description above `table` has them; empty where there is none.

    Raises:
        UsageError: two configurations of the data set name the classes of one column differently, and no
            folder of the table says which is meant.
    """
    for folder in list(table.absolute().parents)[:_LEVELS]:
        found = [*_of_readme(folder / "README.md"), *_of_infos(folder / "dataset_infos.json")]
        if found:
            return _agreed(found, table)
    return {}


def _agreed(found: list[_Declared], table: Path) -> dict[str, tuple[str, ...]]:
    named = [one for one in found if one[0] in table.parts]
    classes: dict[str, tuple[str, ...]] = {}
    for _, column, names in named or found:
        if classes.setdefault(column, names) != names:
            raise UsageError(
                f"the description of {printable(table.name)} names the classes of {column!r} as "
                f"{', '.join(classes[column])} and as {', '.join(names)}; keep the one that is meant"
            )
    return classes


def _of_readme(path: Path) -> Iterator[_Declared]:
    """The block ``dataset_info`` of a README, as the hub writes it."""
    lines = _read(path).splitlines()
    if not lines or lines[0].strip() != "---":
        return
    config = column = ""
    names: dict[str, str] = {}
    reading = False
    for line in [*lines[1:], "---"]:
        match = _NAME.fullmatch(line) if reading else None
        if match is not None:
            names[match[1]] = match[2].strip().strip("'\"")
            continue
        if names:
            if (whole := names_of(names)) is not None:
                yield config, column, whole
            names = {}
        reading = _NAMES.fullmatch(line) is not None
        if match := _CONFIG.fullmatch(line):
            config = match[1].strip().strip("'\"")
        elif match := _COLUMN.fullmatch(line):
            column = match[1].strip().strip("'\"")
        elif line.strip() == "---":
            return


def _of_infos(path: Path) -> Iterator[_Declared]:
    try:
        infos = json.loads(_read(path) or "{}")
        for config, info in infos.items():
            for column, feature in (info.get("features") or {}).items():
                names = names_of(feature.get("names")) if isinstance(feature, dict) else None
                if names is not None:
                    yield str(config), str(column), names
    except (ValueError, AttributeError, RecursionError):
        return


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST).decode("utf-8", "replace") if path.is_file() else ""
    except OSError:
        return ""
