"""What an extraction says while it runs and when it is through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from morelli.features._failures import Failure


class Progress(Protocol):
    """Called in the main thread after every image."""

    def __call__(self, done: int, total: int | None, skipped: int, failed: int) -> None:
        """`done` new rows; `total` images of the source, None while unknown; `skipped` were there already."""


@dataclass(frozen=True)
class ExtractReport:
    """What an extraction did.

    `done` images gave a new row, `skipped` were in the table already, `duplicates` had the content of
    an earlier image of the same source (one row stands for both, under the first uri), `failed` gave
    none and are listed. `conflicts` names the images whose content is in the table with the other
    label: one of the two is wrong, and the label that came first stands. `kept_unlabelled` counts the images
    that came first without the label or with another generator than the source gives now (with the engine
    ray: without the label): what the table has stands there too.
    """

    table: Path
    done: int
    skipped: int
    duplicates: int
    failed: tuple[Failure, ...]
    seconds: float
    conflicts: tuple[str, ...] = ()
    kept_unlabelled: int = 0
