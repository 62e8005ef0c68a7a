"""Exit codes, and errors as one clear line instead of a traceback."""

from __future__ import annotations

import os
from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup

from morelli.cli._console import error_console
from morelli.errors import MorelliError, UsageError


class ExitCode(IntEnum):
    """What the program's exit status says; scripts may rely on it."""

    DONE = 0
    USAGE = 2
    SOME_FAILED = 3
    NOTHING_DONE = 4


class MorelliGroup(TyperGroup):
    """A command group that turns expected errors into one line on stderr and an exit code.

    With `MORELLI_DEBUG=1` they are raised as they are, traceback and all.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command; raise `typer.Exit` with the right code for an expected error."""
        try:
            return super().invoke(ctx)
        except MorelliError as error:
            if os.environ.get("MORELLI_DEBUG") == "1":
                raise
            report(str(error))
            code = ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.NOTHING_DONE
            raise typer.Exit(code) from error
        except BrokenPipeError:
            # `morelli detect … | head`: the reader has seen enough. Python would complain once more when it
            # flushes stdout at exit, so stdout goes nowhere from here on.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise typer.Exit(ExitCode.DONE) from None
        except OSError as error:
            # A full disk, a folder without write permission: the operating system's words say the rest.
            if os.environ.get("MORELLI_DEBUG") == "1" or error.filename is None:
                raise
            report(f"{error.filename}: {error.strerror}")
            raise typer.Exit(ExitCode.NOTHING_DONE) from error


def report(message: str) -> None:
    """Print an error to stderr."""
    error_console().print(f"[bold red]error:[/] {_plain(message)}", soft_wrap=True, highlight=False)


def warn(message: str) -> None:
    """Print a warning to stderr."""
    error_console().print(f"[yellow]note:[/] {_plain(message)}", soft_wrap=True, highlight=False)


def outcome(done: int, failed: int) -> ExitCode:
    """The exit code for `done` and `failed` images."""
    if not failed:
        return ExitCode.DONE if done else ExitCode.NOTHING_DONE
    return ExitCode.SOME_FAILED if done else ExitCode.NOTHING_DONE


def _plain(message: str) -> str:
    from rich.markup import escape

    return escape(message)
