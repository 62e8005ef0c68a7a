"""A report made by others: nothing that it names is run, and what is wrong with it is one clear line."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from morelli.errors import ArtifactError, MorelliError, UsageError
from morelli.evaluation import Input, MeasureOptions, Run, execute
from morelli.reports import reproduce, write_report
from tests.cli.conftest import run_morelli
from tests.reports.test_report import planted, stored

QUICK = MeasureOptions(rounds=20)
SCORER = """
import pathlib, sys
pathlib.Path(__file__).with_suffix(".ran").touch()
for line in sys.stdin:
    print(len(pathlib.Path(line.rstrip("\\n")).read_bytes()) % 97 / 97)
"""


@pytest.fixture
def scorer(tmp_path: Path) -> Path:
    """A command that leaves a trace when it runs."""
    script = tmp_path / "score.py"
    script.write_text(SCORER, encoding="utf-8")
    return script


def command_of(script: Path) -> str:
    return shlex.join([sys.executable, str(script)])


def ran(script: Path) -> bool:
    """Whether the command has run since the last time that this was asked."""
    trace = script.with_suffix(".ran")
    found = trace.exists()
    trace.unlink(missing_ok=True)
    return found


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(planted(), tmp_path_factory.mktemp("features") / "F.lance")


@pytest.fixture
def report(collection: Path, scorer: Path, tmp_path: Path) -> Path:
    run = Run(
        kind="external", inputs=(Input("images", str(collection)),), external=command_of(scorer),
        label_from="folders", protocols=("external",),
    )  # fmt: skip
    write_report(execute(run), tmp_path / "theirs", options=QUICK)
    assert ran(scorer)
    return tmp_path / "theirs"


def changed(report: Path, change: object) -> Path:
    """Put something else into `report.json`."""
    file = report / "report.json"
    content = json.loads(file.read_text("utf-8"))
    change(content)  # type: ignore[operator]
    file.write_text(json.dumps(content), encoding="utf-8")
    return report


def test_a_recorded_command_is_shown_and_never_run(report: Path, scorer: Path) -> None:
    with pytest.raises(UsageError, match="A command that a file names is not run") as error:
        reproduce(report)
    assert str(scorer) in str(error.value)
    assert "--external" in str(error.value)
    assert not ran(scorer)


def test_the_program_shows_a_recorded_command_without_its_control_characters(
    report: Path, scorer: Path
) -> None:
    hostile = f"{command_of(scorer)} \x1b]0;owned\x07\x1b[2J\u202e\u009b31m\nand a second line"
    changed(report, lambda content: content["provenance"]["run"].update(external=hostile))
    run = run_morelli("reproduce", report, COLUMNS="100000")
    assert run.code == 2
    assert not ran(scorer)
    assert "\\x1b]0;owned\\x07" in run.err
    assert len(run.err.strip().splitlines()) == 1
    assert run.err.strip().isprintable()


def test_the_command_that_the_caller_gives_is_run(report: Path, scorer: Path) -> None:
    outcome = reproduce(report, external=command_of(scorer))
    assert ran(scorer)
    assert outcome.exact
    assert outcome.matches
    assert not any("command" in note for note in outcome.notes)


def test_another_command_than_the_recorded_one_is_noted(report: Path, scorer: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(SCORER, encoding="utf-8")
    outcome = reproduce(report, external=command_of(own))
    assert ran(own)
    assert not ran(scorer)
    assert outcome.matches, outcome.differences
    assert outcome.largest == 0
    (note,) = (note for note in outcome.notes if "command" in note)
    assert str(own) in note and str(scorer) in note
    own.write_text(SCORER.replace("% 97", "% 89"), encoding="utf-8")
    assert not reproduce(report, external=command_of(own)).matches


def test_a_report_without_a_command_takes_none(table: Path, tmp_path: Path) -> None:
    made = Run(inputs=(Input("features", str(table)),), detectors=("knn:3",), protocols=("lineage",))
    write_report(execute(made), tmp_path / "report", options=QUICK)
    with pytest.raises(UsageError, match="records no command"):
        reproduce(tmp_path / "report", external="true")


def test_a_report_cannot_turn_another_kind_of_run_into_a_command(
    table: Path, scorer: Path, tmp_path: Path
) -> None:
    made = Run(inputs=(Input("features", str(table)),), detectors=("knn:3",), protocols=("lineage",))
    report = tmp_path / "report"
    write_report(execute(made), report, options=QUICK)
    changed(
        report,
        lambda content: content["provenance"]["run"].update(kind="external", external=command_of(scorer)),
    )
    with pytest.raises(UsageError, match="is not run"):
        reproduce(report)
    assert not ran(scorer)


def _more_inputs(content: dict) -> None:
    content["provenance"]["run"]["inputs"].append({"role": "images", "path": "x", "digest": None})


def _fewer_inputs(content: dict) -> None:
    content["provenance"]["inputs"] = []


def _other_role(content: dict) -> None:
    content["provenance"]["inputs"][0]["role"] = "bundle"


def _set(place: str, value: object) -> object:
    def change(content: dict) -> None:
        *way, last = place.split(".")
        for name in way:
            content = content[name]
        if value is ...:
            del content[last]
        else:
            content[last] = value

    return change


@pytest.mark.parametrize("change", [_more_inputs, _fewer_inputs, _other_role])
def test_inputs_that_do_not_pair_are_told(report: Path, scorer: Path, change: object) -> None:
    changed(report, change)
    with pytest.raises(ArtifactError, match="lists other inputs"):
        reproduce(report, external=command_of(scorer))


@pytest.mark.parametrize(
    "change",
    [
        _set("provenance", ...),
        _set("provenance", []),
        _set("provenance.inputs", {"a": 1}),
        _set("provenance.inputs", [1]),
        _set("provenance.predictions", ...),
        _set("provenance.predictions", "x"),
        _set("provenance.run", 3),
        _set("provenance.run.kind", "shell"),
        _set("provenance.run.kind", ["external"]),
        _set("provenance.run.inputs", "images"),
        _set("provenance.run.inputs", [{"role": "images", "path": ["a"]}]),
        _set("provenance.run.seed", "0"),
        _set("provenance.run.external", ["sh", "-c"]),
        _set("provenance.run.versions", [1]),
        _set("options", ...),
        _set("options.rounds", "many"),
        _set("options.fprs", 0.1),
        _set("options.threads", "all"),
        _set("options.further", 1),
        _set("results", ...),
        _set("run", []),
    ],
)
def test_a_damaged_record_is_one_clear_error(report: Path, scorer: Path, change: object) -> None:
    changed(report, change)
    with pytest.raises(MorelliError, match=r"damaged|does not record"):
        reproduce(report, external=command_of(scorer))
    assert not ran(scorer)


def test_nested_json_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("[" * 200_000, encoding="utf-8")
    with pytest.raises(ArtifactError, match="nested deeper"):
        reproduce(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_recorded_pipe_is_not_waited_for(report: Path, scorer: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    def change(content: dict) -> None:
        for inputs in (content["provenance"]["inputs"], content["provenance"]["run"]["inputs"]):
            inputs[0]["path"] = str(tmp_path / "pipe")
            inputs[0].pop("from_report", None)

    changed(report, change)
    with pytest.raises(ArtifactError, match="inputs are missing"):
        reproduce(report, external=command_of(scorer))


def test_a_remote_address_is_not_asked(report: Path, scorer: Path) -> None:
    def change(content: dict) -> None:
        for inputs in (content["provenance"]["inputs"], content["provenance"]["run"]["inputs"]):
            inputs[0]["path"] = "https://127.0.0.1:9/images"
            inputs[0].pop("from_report", None)

    changed(report, change)
    with pytest.raises(ArtifactError, match="inputs are missing"):
        reproduce(report, external=command_of(scorer))
