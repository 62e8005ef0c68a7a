"""The two consoles: results go to stdout, everything said about them to stderr."""

from __future__ import annotations

import codecs
import io
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.text import Text

# What a script or a log gets: rich would fall back to 80 columns, too few for a table of verdicts.
PIPE_WIDTH = 160
# Of one column each, so that tables keep their lines.
_STAND_INS = {
    **{
        "^": "▲△",
        "*": "●•",
        "o": "○",
        "O": "◉",
        "+": "◆◇≈",
        "#": "□█▓",
        ":": "▒░",
        "-": "–—−─━",
        "~": "…",
        "x": "×",
    },
    **{".": "·", '"': "“”„", "'": "‘’‚", ">": "→≥", "<": "←≤", "|": "│┃"},
}
_PLAIN_SIGNS = {sign: plain for plain, signs in _STAND_INS.items() for sign in signs}


def console() -> Console:
    """The console on stdout."""
    return _safe_console()(width=_width(sys.stdout))


def error_console() -> Console:
    """The console on stderr."""
    return _safe_console()(stderr=True, width=_width(sys.stderr))


@cache
def _safe_console() -> type[Console]:
    """A console that shows control characters in texts as escapes: names of files reach it unread."""
    from rich.console import Console

    class SafeConsole(Console):
        def render_str(self, text: str, **how: Any) -> Text:
            return super().render_str("\n".join(map(printable, text.split("\n"))), **how)

    return SafeConsole


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


def fit_streams_to_their_encoding() -> None:
    """Let stdout and stderr write every character: signs that the encoding lacks become plain ones.

    A terminal or a pipe may be cp1252 or ASCII; without this the first ▲ ends the program.
    """
    codecs.register_error("morelli", _in_plain_signs)
    for stream in (sys.stdout, sys.stderr):
        # A stream that somebody configured (PYTHONIOENCODING=:replace) stays so.
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "backslashreplace"):
            stream.reconfigure(errors="morelli")


def _in_plain_signs(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    what = error.object[error.start : error.end]
    return "".join(map(_plain_sign, what)), error.end


def _plain_sign(character: str) -> str:
    if character in _PLAIN_SIGNS:
        return _PLAIN_SIGNS[character]
    if 0x2500 <= ord(character) < 0x2600:  # lines, blocks and shapes that no table knows yet
        return "-" if ord(character) < 0x25A0 else "*"
    return character.encode("unicode_escape").decode()


def printable(text: str) -> str:
    """`text` with control characters as escapes, because a file name must not steer the terminal."""
    # As `morelli.artefacts.text.visible`, whose room loads numpy, which an error line does not wait for.
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def _width(stream: TextIO) -> int | None:
    return None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
