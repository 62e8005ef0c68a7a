"""One made file and its right reading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One file: who writes so, where that is documented, and its right reading."""

    name: str
    tool: str
    source: str
    build: Callable[[], bytes]
    claims: str = "generated"
    strength: str = "statement"
    kind: str = "generator_metadata"
    read_tool: str | None = None
    version: str | None = None
    details: dict[str, str] = field(default_factory=dict)
