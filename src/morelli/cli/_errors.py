"""Exit codes, and errors as one clear line instead of a traceback."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
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
    INTERRUPTED = 130


# Commands that find on disk what an interrupted run of theirs has finished.
_RESUMED = frozenset({"extract", "recipe", "atlas", "evaluate robustness"})
_COMMAND = "morelli.command"


class MorelliGroup(TyperGroup):
    """A command group that turns expected errors into one line on stderr and an exit code.

    With `MORELLI_DEBUG=1` they are raised as they are, traceback and all.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, and keep its words: which one of a group runs is not said otherwise."""
        found = super().resolve_command(ctx, args)
        ctx.meta[_COMMAND] = tuple(args[:2])
        return found

    def invoke(self, ctx: Any) -> Any:
        """Run the command; raise `typer.Exit` with the right code for an expected error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except MorelliError as error:
            if os.environ.get("MORELLI_DEBUG") == "1":
                raise
            if _was_interrupted(error):
                raise _interrupted(ctx) from None
            report(str(error))
            code = ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.NOTHING_DONE
            raise typer.Exit(code) from error
        except KeyboardInterrupt:
            raise _interrupted(ctx) from None
        except BrokenPipeError:
            # `morelli detect … | head`: the reader has seen enough. Python would complain once more when it
            # flushes stdout at exit, so stdout goes nowhere from here on.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise typer.Exit(ExitCode.DONE) from None
        except Exception as error:
            if _was_interrupted(error):
                raise _interrupted(ctx) from None
            # A full disk, a folder without write permission: the operating system's words say the rest.
            words = _NO_MEMORY if _lacks_memory(error) else _system_words(error)
            if os.environ.get("MORELLI_DEBUG") == "1" or words is None:
                raise
            with suppress(OSError):
                report(words)
            _drop_stdout_if_full()
            raise typer.Exit(ExitCode.NOTHING_DONE) from error


def _interrupted(ctx: Any) -> typer.Exit:
    """Say that the run was interrupted and what the same command does now; the exit to raise."""
    words = ctx.meta.get(_COMMAND, ())
    resumed = not _RESUMED.isdisjoint({" ".join(words[:1]), " ".join(words)})
    again = "goes on from what was finished" if resumed else "begins again"
    with suppress(OSError):
        warn(f"interrupted; no unfinished result took its name, and the same command {again}")
    return typer.Exit(ExitCode.INTERRUPTED)


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether an error stands for Ctrl-C.

    Inside what a library calls back, such as the reader that Lance writes from, it comes out as an error of
    the library with the name in its text.
    """
    return any(
        isinstance(one, KeyboardInterrupt) or KeyboardInterrupt.__name__ in str(one) for one in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it came from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


# A full disk, a quota, a file system that may only be read, a file above a limit, a broken disk.
_STORAGE = (errno.ENOSPC, getattr(errno, "EDQUOT", 122), errno.EROFS, errno.EFBIG, errno.EIO)
_NO_MEMORY = "not enough memory; end other programs, or ask for less at once (--batch-size, --workers)"
# What the system's loader, Python's threads, C++ and torch say where there is no memory.
_NO_MEMORY_TEXTS = ("failed to map segment", "can't start new thread", "bad_alloc", "allocate memory")
_NUMBERED = re.compile(r"\b(?:os error |errno )(\d+)", re.IGNORECASE)


def _lacks_memory(error: BaseException | None) -> bool:
    for one in _chain(error):
        if isinstance(one, MemoryError) or (isinstance(one, OSError) and one.errno == errno.ENOMEM):
            return True
        if isinstance(one, RuntimeError | ImportError) and any(t in str(one) for t in _NO_MEMORY_TEXTS):
            return True
    return False


def _system_words(error: BaseException | None) -> str | None:
    """What the operating system says of a file or of the storage; None for any other error.

    Libraries of other languages (Lance, safetensors, Arrow) raise errors of their own that hold the
    system's number in their text only.
    """
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno is not None:
            words = one.strerror or os.strerror(one.errno)
            return words if one.filename is None else f"{os.fsdecode(one.filename)}: {words}"
        for number in map(int, _NUMBERED.findall(str(one))):
            if number in _STORAGE:
                return f"{os.strerror(number)} (while the result was written)"
    return None


def _drop_stdout_if_full() -> None:
    """Send what stdout still holds nowhere if it cannot be written; Python would complain again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


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
