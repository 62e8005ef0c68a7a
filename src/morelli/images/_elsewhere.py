"""Archives of items that came from another process: opened again there, once for all of their items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from morelli.errors import ImageError
from morelli.images._limits import Limits


@lru_cache(maxsize=8)
def opened_elsewhere(kind: Callable[[str, Limits], Any], path: str, limits: Limits) -> Any:
    """The archive at `path`, or what stands for one that this process cannot open.

    Nothing is listed here: a member is read by its place. Of a compressed tar the stream goes on from member
    to member; one that lies before the last begins the stream again.
    """
    try:
        return kind(path, limits)
    except ImageError as error:
        return _Unopened(error.reason, str(error))


@dataclass(frozen=True)
class _Unopened:
    """An archive that this process cannot open; each of its members says so."""

    reason: str
    message: str

    def read(self, *member: object) -> bytes:
        raise ImageError(self.reason, self.message)
