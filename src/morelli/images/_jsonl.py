"""Rows of JSON Lines files, such as the ``metadata.jsonl`` of a folder of images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from morelli.errors import UsageError
from morelli.images._instead import UnreadableTableError, check_table

SUFFIXES = (".jsonl", ".ndjson")
_LONGEST = 16 << 20


def jsonl_rows(path: str, check: Callable[[Sequence[str]], None]) -> Iterator[tuple[int, dict[str, str]]]:
    """(number, row) with every value as text; rows are numbered from 1, empty lines are passed over.

    The columns are those of the first row; what later rows lack is empty, what they have beyond is kept.

    Args:
        path: the file: UTF-8, one JSON object a line.
        check: raises UsageError where the columns lack what is needed.

    Raises:
        UsageError: a line is no JSON object, or `check` refuses the first one's names.
    """
    name = Path(path).name
    check_table(path, text=True)
    columns: list[str] = []
    number = 0
    try:
        with Path(path).open("rb") as file:
            while line := file.readline(_LONGEST):
                text = line.decode("utf-8-sig" if not number else "utf-8").strip()
                if not text:
                    continue
                number += 1
                row = _object(text, name, number)
                if not columns:
                    columns = list(row)
                    check(columns)
                yield number, {column: row.pop(column, "") for column in columns} | row
    except UnicodeError as error:
        message = f"{name}, row {number + 1} is not UTF-8 text; save it as UTF-8"
        raise UnreadableTableError(message) from error
    except OSError as error:
        raise UnreadableTableError(f"{name} cannot be read: {error.strerror}") from error
    if not number:
        raise UnreadableTableError(f'{name} is empty; a manifest needs rows such as {{"path": "a.jpg"}}')


def _object(text: str, name: str, number: int) -> dict[str, str]:
    twice: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(found)
        if len(row) < len(found):
            twice.extend(key for key, _ in found)
        return row

    try:
        row = json.loads(text, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise UnreadableTableError(
            f"{name}, row {number} is not readable as JSON: {error}; write one object a line"
        ) from error
    if not isinstance(row, dict):
        raise UsageError(f'{name}, row {number} is no JSON object of the form {{"path": "a.jpg"}}')
    if double := sorted({key for key in twice if twice.count(key) > 1 and key in row}):
        raise UsageError(f"{name}, row {number} has {double[0]!r} more than once; keep the one that counts")
    return {key: _text(value) for key, value in row.items()}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
