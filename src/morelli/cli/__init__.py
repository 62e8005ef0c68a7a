"""The command line of Morelli. Importing it loads no model library; each command imports what it needs.

`main` is the entry point.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from morelli.cli._app import main as run
    except KeyboardInterrupt:  # while the program itself was loaded
        sys.exit(130)
    run()
