"""A labelled collection, and a bundle fitted on it with the small model: what the commands work on."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from morelli.cli._app import app


@dataclass(frozen=True)
class Finished:
    """A finished run of the program."""

    code: int
    out: str
    err: str


def run_morelli(*arguments: str | Path, **environment: str) -> Finished:
    """Run the program as a user does, in a process of its own."""
    return _finished(["-m", "morelli", *map(str, arguments)], environment)


def _finished(arguments: list[str], environment: dict[str, str]) -> Finished:
    """Run Python with these arguments, with these variables beside the usual ones."""
    result = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=os.environ | environment,
    )
    return Finished(result.returncode, result.stdout, result.stderr)


_MEASURED = """
import sys
from morelli.cli import main

into = sys.argv.pop(1)
try:
    main()
finally:
    # Not ru_maxrss: that begins with the peak of the process that started this one, here pytest's own.
    with open("/proc/self/status") as status, open(into, "w") as file:
        file.write(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def peak_of_morelli(into: Path, *arguments: str | Path) -> tuple[Finished, int]:
    """Run the program in a process of its own; also its peak memory in KiB, kept in the file ``into``."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to read a process's peak memory")
    finished = _finished(["-c", _MEASURED, str(into), *map(str, arguments)], {})
    return finished, int(into.read_text())


def morelli(*arguments: str | Path) -> Finished:
    """Run the program in this process: the same commands, without paying for torch's import each time."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Finished(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory, collection: Path, tiny_clip_dir: Path) -> Path:
    """The collection's features, extracted by the program."""
    out = tmp_path_factory.mktemp("table") / "F.lance"
    run = morelli(
        "extract",
        collection,
        "-o",
        out,
        "--encoder",
        tiny_clip_dir,
        "--label-from",
        "folders",
        "--kinds",
        "final,layers",
    )
    assert run.code == 0, run.err
    return out


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Path:
    """A bundle fitted by the program on the collection's features."""
    out = tmp_path_factory.mktemp("bundle") / "small"
    run = morelli("fit", table, "-o", out, "--kinds", "layer:2,layer:3")
    assert run.code == 0, run.err
    return out
