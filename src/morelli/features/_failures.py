"""Images that an extraction could not use, recorded beside the rows."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from morelli.errors import ArtifactError


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
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(json.dumps(asdict(failure)) + "\n" for failure in failures)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_failures(path: Path) -> list[Failure]:
    """What `write_failures` wrote; empty where there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    try:
        return [Failure(**json.loads(line)) for line in text.splitlines()]
    except (ValueError, TypeError) as error:
        raise ArtifactError(
            f"the record of failures {path} is damaged ({error}); extract again to replace it"
        ) from error
