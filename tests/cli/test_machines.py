"""Machines that people have: streams that are closed or plain ASCII, no memory, other files in the batch."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from morelli.cli._errors import MorelliGroup
from tests.cli.conftest import morelli

posix = pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX closes the streams")


def shell(line: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of a shell, in which `"$@"` is the program with these arguments."""
    command = ["sh", "-c", line, "sh", sys.executable, "-m", "morelli", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=os.environ | environment
    )


@posix
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&- <&-"])
def test_a_closed_stream_ends_no_run(closed: str, collection: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit"
    run = shell(f'"$@" {closed}', "audit", collection / "real", "-o", out)  # of one class: soon done
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    page = (out / "audit.html").read_text()
    assert page.startswith("<!doctype html>")  # nothing else went into it


@posix
def test_a_closed_stdout_takes_no_results(photo_dir: Path) -> None:
    run = shell('"$@" --csv - >&-', "detect", photo_dir, "-q", "--offline")
    assert run.returncode == 2
    assert (
        run.stderr == "error: stdout is closed, so nothing can be written to it; name a file instead of -\n"
    )


@posix
def test_the_locale_posix_gets_plain_signs(collection: Path) -> None:
    own = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}
    run = shell('"$@"', "audit", collection, "--label-from", "folders", **own)
    assert run.returncode == 0, run.stderr
    assert run.stdout.isascii()


def test_too_little_memory_is_one_line() -> None:
    program = typer.Typer(cls=MorelliGroup)

    @program.callback()
    def root() -> None: ...

    @program.command()
    def take() -> None:
        bytearray(1 << 62)

    @program.command()
    def wrapped() -> None:
        try:
            bytearray(1 << 62)
        except MemoryError as error:
            raise ValueError("no batch") from error

    for name in ("take", "wrapped"):
        run = CliRunner().invoke(program, [name])
        assert run.exit_code == 4
        assert "not enough memory" in run.stderr
        assert "Traceback" not in run.stderr


def test_one_table_of_another_kind_ends_no_run(tmp_path: Path, collection: Path) -> None:
    lines = "".join(f"{path.resolve()},{path.parts[-3]}\n" for path in sorted(collection.rglob("*.png"))[:4])
    (tmp_path / "good.csv").write_text(f"path,label\n{lines}")
    (tmp_path / "pointer.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (tmp_path / "prices.csv").write_text("name,price\nx,1\n")
    names = [tmp_path / name for name in ("good.csv", "pointer.parquet", "prices.csv")]
    for command in (["provenance"], ["audit"]):
        run = morelli(*command, *names)
        assert run.code == 3, run.err
        assert "git lfs pull" in run.err
        assert "--image-column" in run.err
    (tmp_path / "latin.csv").write_bytes(b"path\ncaf\xe9.jpg\n")
    alone = morelli("provenance", tmp_path / "latin.csv")
    assert alone.code == 2
    assert "UTF-8" in alone.err


def test_a_column_is_real_is_read_as_it_says(tmp_path: Path, collection: Path) -> None:
    pictures = sorted(collection.rglob("*.png"))
    with (tmp_path / "m.csv").open("w", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["path", "is_real"])
        rows.writerows([path.resolve(), int("real" in path.parts)] for path in pictures)
    run = morelli("audit", tmp_path / "m.csv", "--label-column", "is_real")
    real = sum("real" in path.parts for path in pictures)
    assert f"labels: {real:,} real, {len(pictures) - real:,} generated" in run.err
