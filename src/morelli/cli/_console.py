"""The two consoles: results go to stdout, everything said about them to stderr."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

# What a script or a log gets: rich would fall back to 80 columns, too few for a table of verdicts.
PIPE_WIDTH = 160


def console() -> Console:
    """The console on stdout."""
    from rich.console import Console

    return Console(width=_width(sys.stdout))


def error_console() -> Console:
    """The console on stderr."""
    from rich.console import Console

    return Console(stderr=True, width=_width(sys.stderr))


def progress(quiet: bool = False) -> Progress:
    """A progress display on stderr, shown on a terminal only: count, speed, and the time that remains."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=error_console(),
        transient=True,
        disable=quiet or not sys.stderr.isatty(),
    )


def printable(text: str) -> str:
    """`text` with control characters as escapes, because a file name must not steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def _width(stream: TextIO) -> int | None:
    return None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
