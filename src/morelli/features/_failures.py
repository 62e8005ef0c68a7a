"""Images that an extraction could not use, recorded beside the rows."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from morelli.artefacts import read_file, write_file
from morelli.artefacts.schema import check_schema
from morelli.errors import ArtifactError

_SCHEMA = {"uri": str, "reason": str, "message": str}


@dataclass(frozen=True)
class Failure:
    """One image that gave no features: where it is, a stable word for why, and the text for people.

    `reason` is that of `morelli.errors.ImageError`, or ``not_finite`` (the encoder gave infinities or
    undefined values).
    """

    uri: str
    reason: str
    message: str


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    """Replace the record at `path` in one step; no failures, no file."""
    if not failures:
        path.unlink(missing_ok=True)
        return
    write_file(path, "".join(json.dumps(asdict(failure)) + "\n" for failure in failures))


def read_failures(path: Path) -> list[Failure]:
    """What `write_failures` wrote; empty where there is no file."""
    if not os.path.lexists(path):
        return []
    text = read_file(path, largest=1 << 30, what="feature table").decode("utf-8", "replace")
    try:
        rows = [json.loads(line) for line in text.splitlines()]
        for row in rows:
            check_schema(row, _SCHEMA, path)
        if text and not text.endswith("\n"):
            raise ValueError("its last line is cut short")
        return [Failure(**row) for row in rows]
    except (ValueError, TypeError, RecursionError, ArtifactError) as error:
        raise ArtifactError(
            f"the record of failures {path} is damaged ({error}); extract again to replace it"
        ) from error
