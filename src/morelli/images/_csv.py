"""Rows of CSV and TSV files, as people and spreadsheets write them."""

from __future__ import annotations

import codecs
import csv
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TextIO

from morelli.errors import UsageError
from morelli.images._instead import UnreadableTableError, check_table

_DELIMITERS = (",", ";", "\t", "|")
_LONGEST_CELL = 16 << 20  # of workflows and prompts; Python's own limit is 131,072 characters
_limit = threading.Lock()
_INVISIBLE = "\ufeff\u200b"  # byte order marks and the like that were pasted or written twice


def csv_rows(path: str, check: Callable[[Sequence[str]], None]) -> Iterator[tuple[int, dict[str, str]]]:
    """(number, row) with every value as text; rows are numbered from 1, the header not counted.

    The delimiter is the suffix's (comma, or tab for .tsv), unless a line ``sep=;`` names another or only
    another one gives the header the columns that `check` asks for. Empty rows, with or without
    delimiters, are passed over; so are empty cells behind the last column.

    Args:
        path: the file: UTF-8, with or without a byte order mark, or UTF-16 with one.
        check: raises UsageError where the header lacks what is needed.

    Raises:
        UsageError: the file cannot be parsed, or `check` refuses its header.
    """
    name = Path(path).name
    check_table(path, text=True)
    number = 0
    try:
        delimiter = _delimiter(path, check)
        with _opened(path) as file:
            header: list[str] = []
            for values in _parsed(file, delimiter):
                blank = not any(value.strip() for value in values)
                if not header:
                    if not blank and _named_delimiter(values, delimiter) is None:
                        header = _names(values)
                    continue
                if not values:
                    continue
                number += 1
                if blank:
                    continue
                while len(values) > len(header) and not values[-1].strip():
                    values.pop()
                if len(values) > len(header):
                    counts = f"{len(values)} values for {len(header)} columns"
                    raise UsageError(f"{name}, row {number}: {counts}; quote values with commas")
                yield number, dict(zip_longest(header, values, fillvalue=""))
    except UnicodeError as error:
        reason = getattr(error, "reason", None) or error
        message = f"{name} is not UTF-8 text ({reason}); save it as CSV in UTF-8"
        raise UnreadableTableError(message) from error
    except csv.Error as error:
        step = "double the quotes inside a quoted cell, or save the table again from a spreadsheet"
        raise UnreadableTableError(
            f"{name} is not a readable CSV file after row {number}: {error}; {step}"
        ) from error
    except OSError as error:
        raise UnreadableTableError(f"{name} cannot be read: {error.strerror}") from error


def _parsed(file: TextIO, delimiter: str) -> Iterator[list[str]]:
    """The rows of an open file, with cells of up to 16 MB.

    The csv module has one limit for the whole process: it is raised for single rows only, so that a program
    that uses this reader keeps its own.
    """
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    spaced = None
    while True:
        with _limit:
            before = csv.field_size_limit()
            csv.field_size_limit(max(before, _LONGEST_CELL))
            try:
                values = next(reader, None)
            finally:
                csv.field_size_limit(before)
        if values is None:
            return
        if spaced is None and len(values) > 1:
            # "path, label": then quotes behind a space are quotes.
            spaced = all(value.startswith(" ") for value in values[1:])
            if spaced:
                reader = csv.reader(file, delimiter=delimiter, strict=True, skipinitialspace=True)
        yield values


def _names(values: Sequence[str]) -> list[str]:
    return [column.strip().strip(_INVISIBLE).strip() for column in values]


def _delimiter(path: str, check: Callable[[Sequence[str]], None]) -> str:
    """The delimiter that a line ``sep=`` names, or else the first that gives the header its columns."""
    usual = "\t" if path.lower().endswith(".tsv") else ","
    problem: UsageError | csv.Error | None = None
    for delimiter in (usual, *_DELIMITERS):
        header: list[str] = []
        try:
            with _opened(path) as file:
                for values in _parsed(file, delimiter):
                    if named := _named_delimiter(values, delimiter):
                        return named
                    if any(value.strip() for value in values):
                        header = _names(values)
                        break
        except csv.Error as error:  # quoted cells that another delimiter divides
            problem = problem or error
            continue
        if not header:
            message = f"{Path(path).name} is empty; a manifest needs a header with a column 'path'"
            raise UnreadableTableError(message)
        try:
            check(header)
        except UsageError as error:
            problem = problem or error
        else:
            return delimiter
    assert problem is not None
    raise problem


def _named_delimiter(values: list[str], delimiter: str) -> str | None:
    """What a spreadsheet's line ``sep=;`` names, seen through any delimiter."""
    line = delimiter.join(values).strip(" ")
    rest = line[4:] if line.lower().startswith("sep=") else ""
    return rest[0] if rest[:1] in _DELIMITERS and not rest[1:].strip(rest[0] + " ") else None


def _opened(path: str) -> TextIO:
    file = Path(path)
    with file.open("rb") as raw:
        head = raw.read(2)
    # utf-8-sig: spreadsheets write a byte order mark, which would become part of the first column.
    encoding = "utf-16" if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    return file.open(encoding=encoding, newline="")
