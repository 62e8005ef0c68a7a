"""JSON as artefacts use it: UTF-8, finite numbers, not nested beyond reason, with a digest of its content."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from morelli.artefacts._reading import read_file
from morelli.errors import ArtifactError

LARGEST_JSON = 512 << 20
DEEPEST = 64


def dump_json(value: Any, *, indent: int | None = None, sort_keys: bool = False) -> bytes:
    """A value as a JSON file; NaN and infinities are a ValueError."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, sort_keys=sort_keys)
    # A file name that is no Unicode holds lone surrogates, whose escape is JSON too.
    return (text + "\n").encode("utf-8", "backslashreplace")


def read_json(file: str | Path, *, largest: int = LARGEST_JSON, what: str = "artefact") -> Any:
    """The value in a JSON file.

    Raises:
        ArtifactError: no regular file, too large, no JSON, nested too deeply, or a number that is not finite.
    """
    return parse_json(read_file(file, largest=largest, what=what), Path(file))


def parse_json(data: bytes | str, file: str | Path) -> Any:
    """The value of JSON text that was read from `file`, or stands in a table; see `read_json`."""
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_moderate)
    except RecursionError:
        value = _TOO_DEEP
    except ValueError as error:
        raise ArtifactError(f"{file} cannot be read as JSON: {error}") from error
    if value is _TOO_DEEP or _deeper(value, DEEPEST):
        raise ArtifactError(f"{file} is nested deeper than {DEEPEST} levels; it is damaged or was forged")
    return value


def document_digest(document: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the document's canonical JSON without its own `digest`.

    Example:
        >>> document_digest({"b": 1, "a": 2}) == document_digest({"a": 2, "b": 1, "digest": "any"})
        True
    """
    rest = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


_TOO_DEEP = object()


def _refuse(constant: str) -> float:
    raise ValueError(f"it holds {constant}, a number that is not finite")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"it holds {text[:20]}, a number that is not finite")
    return value


def _moderate(text: str) -> int:
    if len(text) > 300:  # would overflow where it meets a float
        raise ValueError(f"it holds a number of {len(text)} digits")
    return int(text)


def _deeper(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        containers = [
            one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)
        ]
        if not containers:
            return False
        level = [one for container in containers for one in container if isinstance(one, dict | list)]
    return bool(level)
