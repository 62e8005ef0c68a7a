"""The program as a whole: help, version, errors, the encoders' commands, information."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from morelli import __version__
from morelli.cli._app import app, program
from tests.cli.conftest import Finished, morelli, run_morelli


def commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every command of the program with its path, groups included."""
    found = [(path, command)]
    for name, child in getattr(command, "commands", {}).items():
        found += commands(child, (*path, name))
    return found


ALL = commands(typer.main.get_command(app))
LEAVES = [(path, command) for path, command in ALL if not getattr(command, "commands", None)]


@pytest.mark.parametrize(("path", "command"), ALL, ids=["-".join(path) or "morelli" for path, _ in ALL])
def test_every_command_explains_itself(path: tuple[str, ...], command: Any) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    for parameter in command.params:
        if parameter.name != "help":
            assert parameter.help, f"{' '.join(path)} {parameter.name} has no help"


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=["-".join(path) for path, _ in LEAVES])
def test_every_command_teaches_by_an_example_that_parses(path: tuple[str, ...], command: Any) -> None:
    """Each example in a help text names an existing command, and only options which that command has."""
    lines = [line.strip() for line in command.help.splitlines() if line.strip().startswith("morelli ")]
    assert any(line.startswith(f"morelli {' '.join(path)}") for line in lines)
    for line in lines:
        words = line.split(" | ")[0].split()[1:]
        target_path, target = max(
            ((p, c) for p, c in ALL if tuple(words[: len(p)]) == p), key=lambda pair: len(pair[0])
        )
        options = {
            name for parameter in target.params for name in [*parameter.opts, *parameter.secondary_opts]
        }
        used = {word for word in words[len(target_path) :] if word.startswith("-") and word != "-"}
        assert used <= options, line


def test_a_command_alone_is_the_one_of_the_whole_program() -> None:
    for path, command in ALL:
        if len(path) == 1:
            alone = typer.main.get_command(program([*path, "--json"]))
            assert list(alone.commands) == list(path)
            (found,) = alone.commands.values()
            assert [child for child, _ in commands(found)] == [child for child, _ in commands(command)]
            assert [one.name for one in found.params] == [one.name for one in command.params]
    for words in ([], ["--version"], ["--help", "detect"], ["detekt", "detect"]):
        assert program(words) is app


def test_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"morelli {__version__}\n"


def test_a_missing_bundle_is_one_line_with_a_next_step(tmp_path: Path, photo_dir: Path) -> None:
    run = morelli("detect", photo_dir, "--bundle", tmp_path / "none")
    assert run.code == 4
    assert run.err.startswith("error: ")
    assert "none" in run.err
    assert "Traceback" not in run.err


@pytest.mark.parametrize(
    "command",
    [
        "fit {} -o b",
        "explain generator sdxl {} --concepts default",
        "study transfer {} -o s",
        "atlas build {} -o a.atlas",
        "evaluate run {} -o r --detector probe",
        "evaluate analyses {} -o a",
    ],
)
def test_a_missing_table_is_one_line_with_a_next_step(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = morelli(*command.format("none.lance").split())
    assert run.code == 4
    assert run.err == "error: there is no feature table at none.lance; make one with `morelli extract`\n"
    assert not list(tmp_path.iterdir())


def test_debugging_shows_the_traceback(tmp_path: Path, photo_dir: Path) -> None:
    run = run_morelli("detect", photo_dir, "--bundle", tmp_path / "none", MORELLI_DEBUG="1")
    assert run.code == 1
    assert "Traceback" in run.err


def test_encoders_are_listed_with_what_a_user_must_know() -> None:
    table = morelli("encoders", "list").out
    cards = json.loads(morelli("encoders", "list", "--json").out)
    assert {"clip-vit-b16", "clip-vit-l14"} <= {card["name"] for card in cards}
    for card in cards:
        assert card["name"] in table
        assert card["licence"]
        assert card["training_cutoff"]
        assert isinstance(card["cached"], bool)


def test_an_unknown_encoder_is_answered_with_a_known_one() -> None:
    for command in ("pull", "info", "verify"):
        run = morelli("encoders", command, "clip-vit-b61")
        assert run.code == 2
        assert "clip-vit-b16" in run.err


def test_without_network_and_cache_the_error_says_what_to_do(tmp_path: Path) -> None:
    run = run_morelli(
        "encoders", "pull", "clip-vit-b16", "--offline", MORELLI_CACHE=str(tmp_path), HF_HOME=str(tmp_path)
    )
    assert run.code == 4
    assert "without --offline: `morelli encoders pull clip-vit-b16`" in run.err


@pytest.mark.encoder
def test_pulled_weights_verify_and_damaged_ones_do_not(real_encoder: object) -> None:
    run = morelli("encoders", "verify", "clip-vit-b16")
    assert run.code == 0, run.err
    assert "as pinned" in run.out
    assert "here" in morelli("encoders", "list").out


def test_info_names_versions_and_places() -> None:
    facts = json.loads(morelli("info", "--json").out)
    assert facts["morelli"] == __version__
    assert facts["libraries"]["torch"] != "not installed"
    assert Path(facts["weights cache"]).is_absolute()
    assert facts["detector"]["path"] in morelli("info").out


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1"])
def test_a_terminal_that_is_not_utf8_gets_the_table(
    encoding: str, photo_dir: Path, bundle: Path, tiny_clip_dir: Path
) -> None:
    command = ["-m", "morelli", "detect", photo_dir, "--bundle", bundle, "--weights", tiny_clip_dir]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    run = subprocess.run([sys.executable, *command], env=environment, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr
    assert b"Traceback" not in run.stderr
    table = run.stdout.decode(encoding)
    assert any(f" {sign} " in table for sign in "^*+#")
    assert "\\u25" not in table


def limited_morelli(kilobytes: int, *arguments: str | Path) -> Finished:
    """The program where no file may grow beyond a size, as a full disk or a quota would have it."""
    script = f"trap '' XFSZ; ulimit -f {kilobytes}; exec \"$@\""
    command = ["bash", "-c", script, "-", sys.executable, "-m", "morelli", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    return Finished(run.returncode, run.stdout, run.stderr)


@pytest.mark.skipif(sys.platform != "linux", reason="limits and messages of Linux")
@pytest.mark.parametrize("what", ["csv", "parquet", "sheet", "extract", "fit", "audit"])
def test_storage_that_is_full_is_one_line(
    what: str,
    tmp_path: Path,
    table: Path,
    bundle: Path,
    tiny_clip_dir: Path,
    collection: Path,
) -> None:
    judge = ["detect", collection, "--bundle", bundle, "--weights", tiny_clip_dir, "-q"]
    command: list[str | Path] = {
        "csv": [*judge, "--csv", tmp_path / "v.csv"],
        "parquet": [*judge, "--parquet", tmp_path / "v.parquet"],
        "sheet": [*judge, "--sheet", tmp_path / "v.png"],
        "extract": ["extract", collection, "-o", tmp_path / "F.lance", "--encoder", tiny_clip_dir, "-q"],
        "fit": ["fit", table, "-o", tmp_path / "b", "--kinds", "layer:2", "-q"],
        "audit": ["audit", collection / "real", "-o", tmp_path / "a", "-q"],
    }[what]
    run = limited_morelli(1, *command)
    assert run.code == 4, run.err
    last = run.err.strip().splitlines()[-1]
    assert last.startswith("error: ") and "File too large" in last
    assert "Traceback" not in run.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_stdout_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "morelli", "info"]
        run = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=600, check=False
        )
    assert run.returncode == 4
    assert run.stderr == "error: No space left on device\n"
