"""The two consoles: results go to stdout, everything said about them to stderr."""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress
from functools import cache
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.text import Text

# What a script or a log gets: rich would fall back to 80 columns, too few for a table of verdicts.
PIPE_WIDTH = 160
# Often enough to see that work goes on, seldom enough for the log of a night.
LINE_SECONDS = 30.0
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
# How streams of Python treat what their encoding lacks; in the locale POSIX surrogateescape is the usual one.
_STRICT = ("strict", "backslashreplace", "surrogateescape")
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


def progress(quiet: bool = False, *, lines: bool = True) -> Progress:
    """A progress display on stderr: a bar on a terminal, elsewhere a plain line every `LINE_SECONDS`.

    With `quiet` neither; without `lines` no plain line, for commands whose reader wants data alone.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    terminal = sys.stderr.isatty()
    display: Progress = _lined_progress()(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=error_console(),
        transient=True,
        disable=quiet or not terminal,
        every=LINE_SECONDS if lines and not quiet and not terminal else None,
    )
    return display


@cache
def _lined_progress() -> type[Any]:
    """A progress display that, where it draws no bar, prints how far each unfinished task is."""
    from rich.progress import Progress, Task

    class LinedProgress(Progress):
        def __init__(self, *columns: Any, every: float | None, **how: Any) -> None:
            super().__init__(*columns, **how)
            self.every = every
            self.ended = Event()
            self.speaker = Thread(target=self._speak, name="morelli-progress", daemon=True)

        def start(self) -> None:
            super().start()
            if self.every is not None:
                self.speaker.start()

        def stop(self) -> None:
            self.ended.set()
            if self.speaker.is_alive():
                self.speaker.join()
            super().stop()

        def _speak(self) -> None:
            begun = last = monotonic()
            before: dict[int, float] = {}
            while not self.ended.wait(self.every):
                now = monotonic()
                for task in self.tasks:
                    over = task.total is not None and task.completed >= task.total
                    if task.visible and task.description and not over:
                        speed = (task.completed - before.get(task.id, 0.0)) / (now - last)
                        # A reader that has gone away is no reason to stop the work.
                        with suppress(OSError, ValueError):
                            error_console().print(
                                _line(task, now - begun, speed), highlight=False, markup=False, soft_wrap=True
                            )
                    before[task.id] = task.completed
                last = now

    def _line(task: Task, seconds: float, speed: float) -> str:
        so_far = f"{duration(seconds)} so far"
        if task.total is None or task.total <= 1:
            done = f"{task.completed:,.0f} done, " if task.completed else ""
            return f"{task.description}: {done}{so_far}"
        left = f", about {duration((task.total - task.completed) / speed)} left" if speed > 0 else ""
        return f"{task.description}: {task.completed:,.0f} of {task.total:,.0f}, {so_far}{left}"

    return LinedProgress


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(41.2), duration(600), duration(7500)
    ('41 s', '10 min', '2 h 5 min')
    """
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def open_closed_streams() -> None:
    """Open the null device in place of a standard stream that is closed, as cron and services may have it.

    Without this the first line ends the program, and the first file that is opened becomes its stdout.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def stdout_is_closed() -> bool:
    """True where the program was started without stdout."""
    return getattr(sys.stdout, "name", None) == os.devnull


def fit_streams_to_their_encoding() -> None:
    """Let stdout and stderr write every character: signs that the encoding lacks become plain ones.

    A terminal or a pipe may be cp1252 or ASCII; without this the first ▲ ends the program.
    """
    codecs.register_error("morelli", _in_plain_signs)
    for stream in (sys.stdout, sys.stderr):
        # A stream that somebody configured (PYTHONIOENCODING=:replace) stays so.
        if isinstance(stream, io.TextIOWrapper) and stream.errors in _STRICT:
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
