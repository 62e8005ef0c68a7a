"""The command line of Morelli. Importing it loads no model library; each command imports what it needs.

`main` is the entry point.
"""

from __future__ import annotations

from morelli.cli._app import main

__all__ = ["main"]
