"""Artefacts: results as files. For now: plain JSON values."""

from __future__ import annotations

from morelli.artefacts._json import (
    plain_json,
)

__all__ = [
    "plain_json",
]
