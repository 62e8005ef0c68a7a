"""The version, which rooms at the bottom can read without the package's front door."""

from __future__ import annotations

__version__ = "0.1.0"
