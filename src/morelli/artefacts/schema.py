"""What a JSON document must hold, checked in one place where an artefact is read."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from morelli.errors import ArtifactError

_MAX = sys.float_info.max


@dataclass(frozen=True)
class Number:
    """A number between `low` and `high`; `whole` ones only, or with `inside` neither end itself."""

    low: float = -_MAX
    high: float = _MAX
    whole: bool = False
    inside: bool = False


@dataclass(frozen=True)
class Each:
    """An object with any keys, all of whose values fit `schema`."""

    schema: Any


@dataclass(frozen=True)
class OneOf:
    """One of these words."""

    words: tuple[str, ...]


Schema = Any
"""What `check_schema` understands: see there."""

COUNT = Number(0, 2**53, whole=True)
"""A whole number of things."""


def check_schema(value: Any, schema: Schema, file: str | Path) -> None:
    """Check a JSON value that was read from `file`.

    A schema is `str`, `bool`, `float` (any finite number), `int`, `dict` or `list` (of anything), None
    (null), `[schema]` (a list of such), `{"field": schema}` (an object with at least these fields; a field
    whose name ends in `?` may be missing), a tuple of alternatives, or a `Number`, `Each` or `OneOf`.

    Raises:
        ArtifactError: names the file, the field, what belongs there and what was found.

    Example:
        >>> schema = {"names": [str], "share": Number(0, 1), "note?": (str, None)}
        >>> check_schema({"names": ["a"], "share": 0.5}, schema, "x.json")
        >>> check_schema({"names": ["a", 3], "share": 0.5}, schema, "x.json")
        Traceback (most recent call last):
        morelli.errors.ArtifactError: x.json: names[1] must be text, not 3
        >>> check_schema({"names": [], "share": 7}, schema, "x.json")
        Traceback (most recent call last):
        morelli.errors.ArtifactError: x.json: share must be a number from 0 to 1, not 7
    """
    problem = _problem(value, schema, "")
    if problem is not None:
        raise ArtifactError(f"{file}: {problem}")


def _problem(value: Any, schema: Schema, where: str) -> str | None:
    if isinstance(schema, tuple):
        found = [_problem(value, one, where) for one in schema]
        # Of alternatives the one with the longest path came furthest.
        return None if None in found else max(filter(None, found), key=lambda text: text.index(" "))
    if isinstance(schema, Mapping):
        if not isinstance(value, dict):
            return _wrong(where, "an object", value)
        for key, inner in schema.items():
            name = key.removesuffix("?")
            if name not in value:
                if key.endswith("?"):
                    continue
                return f"{_join(where, name)} is missing"
            if problem := _problem(value[name], inner, _join(where, name)):
                return problem
        return None
    if isinstance(schema, list):
        if not isinstance(value, list):
            return _wrong(where, "a list", value)
        inside = ((_problem(one, schema[0], f"{where}[{i}]")) for i, one in enumerate(value))
        return next((problem for problem in inside if problem), None)
    if isinstance(schema, Each):
        if not isinstance(value, dict):
            return _wrong(where, "an object", value)
        inside = (_problem(one, schema.schema, _join(where, key)) for key, one in value.items())
        return next((problem for problem in inside if problem), None)
    return _single(value, schema, where)


def _single(value: Any, schema: Schema, where: str) -> str | None:
    if isinstance(schema, OneOf):
        fits, wanted = value in schema.words, f"one of {', '.join(schema.words)}"
    elif schema is None:
        fits, wanted = value is None, "null"
    elif schema is str:
        fits, wanted = isinstance(value, str), "text"
    elif schema is bool:
        fits, wanted = isinstance(value, bool), "true or false"
    elif schema is dict:
        fits, wanted = isinstance(value, dict), "an object"
    elif schema is list:
        fits, wanted = isinstance(value, list), "a list"
    else:
        limits = schema if isinstance(schema, Number) else Number(whole=schema is int)
        fits, wanted = _fits(value, limits), _range(limits)
    return None if fits else _wrong(where, wanted, value)


def _fits(value: Any, limits: Number) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if limits.whole else int | float):
        return False
    if limits.inside:
        return limits.low < value < limits.high
    return limits.low <= value <= limits.high


def _range(limits: Number) -> str:
    words = "a whole number" if limits.whole else "a number"
    if limits.inside:
        return f"{words} between {limits.low:g} and {limits.high:g}"
    if limits.low > -_MAX and limits.high < _MAX:
        return f"{words} from {limits.low:g} to {limits.high:g}"
    return words if limits.low == -_MAX else f"{words} from {limits.low:g} on"


def _join(where: str, name: str) -> str:
    shown = name if name.isprintable() else ascii(name)
    return f"{where}.{shown}" if where else shown


def _wrong(where: str, wanted: str, value: Any) -> str:
    if isinstance(value, dict | list):
        shown = "an object" if isinstance(value, dict) else "a list"
    elif value is None:
        shown = "null"
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**20:
        shown = "a far larger one"
    else:
        shown = ascii(value) if len(ascii(value)) <= 60 else f"{ascii(value)[:57]}…"
    return f"{where or 'the document'} must be {wanted}, not {shown}"
