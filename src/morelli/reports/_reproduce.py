"""Does a report hold? Rebuild its numbers from the recorded inputs and say what differs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from morelli.artefacts import check_results, read_json
from morelli.errors import ArtifactError, UsageError
from morelli.evaluation import Input, MeasureOptions, Predictions, Run, execute, file_digest

TOLERANCE = 1e-6
KEYS = ("protocol", "detector", "perturbation", "fold", "part")
PARTS = ("headline", "results", "comparisons", "worst", "robustness")
LONGEST_SHOWN = 300


@dataclass(frozen=True)
class Difference:
    """One thing that is not as recorded. `what` names it; `recorded` and `found` say both states."""

    what: str
    recorded: str
    found: str


@dataclass(frozen=True)
class Reproduction:
    """The outcome: `matches`, and if so whether to the byte; else what differs.

    `largest` is the largest difference between a recorded and a rebuilt logit, None where the rows could
    not be paired. `notes` are changes that did not change the numbers, such as another library version.
    """

    matches: bool
    exact: bool
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    largest: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "matches": self.matches,
            "exact": self.exact,
            "differences": [vars(d) for d in self.differences],
            "notes": list(self.notes),
            "largest_logit_difference": self.largest,
        }


def reproduce(
    report: str | Path,
    *,
    replaced: Mapping[str, str | Path] | None = None,
    external: str | None = None,
    tolerance: float = TOLERANCE,
) -> Reproduction:
    """Execute a report's recorded run again and compare inputs, predictions and metrics with the record.

    A report may come from anybody, so a command that it records is never run: the figures of another tool's
    detector are only rebuilt by the command that the caller gives as `external`.

    Args:
        report: the report's folder, or its report.json.
        replaced: where an input lies now, by its role (features, bundle, train, held_in, images,
            predictions); several bundles in their order as ``bundle``, ``bundle 2``, ….
        external: for a report on another tool's detector, the command that scores images, as
            `predict_external` takes it. One that differs from the recorded command is noted.
        tolerance: largest difference of logits and of metrics that still counts as the same. Other
            processors and library versions round differently.

    Raises:
        ArtifactError: the report is no report or is damaged, or an input is missing: the message says which.
        UsageError: the report records another tool's command and `external` is not given, or the reverse.
    """
    from morelli.reports._document import document, measured_rows

    folder, content = read_report(report)
    facts = _facts(folder, content)
    recorded = Run.from_json(facts["run"])
    run = _located(recorded, facts["inputs"], folder, replaced or {})
    run, notes = _with_command(run, external, folder)
    options = _options(folder, content["options"])
    made = execute(run)
    differences = _inputs(recorded, made.run)
    notes += [
        f"{name} {made.run.versions.get(name, 'missing')} instead of {old}"
        for name, old in recorded.versions.items()
        if made.run.versions.get(name) != old
    ]
    beside = folder / "predictions.parquet"
    stated = facts["predictions"]["sha256"]
    if not beside.is_file():
        notes.append(
            "predictions.parquet is no longer beside the report; figures were rebuilt from inputs alone"
        )
    elif file_digest(beside) != stated:
        differences.append(Difference("predictions.parquet beside the report", stated, file_digest(beside)))
    try:
        check_results(folder, but=("report.json", "predictions.parquet"))  # both are compared themselves
    except ArtifactError as error:
        differences.append(Difference("files of the report", "as they were written", str(error)))
    with tempfile.TemporaryDirectory(prefix="morelli-reproduce-") as scratch:
        rebuilt_hash = made.predictions.write(Path(scratch) / "predictions.parquet")
    exact = rebuilt_hash == stated
    largest: float | None = 0.0 if exact else None
    if not exact:
        largest, found = _rows(beside, made.predictions, tolerance)
        differences += found
        differences += _record(content["run"], made.predictions.run)
    from morelli.evaluation import summarize

    summary = summarize(measured_rows(made.predictions), options)
    again = document(made.predictions, summary, provenance={}, name="")
    for part in PARTS:
        differences += _values(part, content[part], again[part], tolerance)
    return Reproduction(not differences, exact, tuple(differences), tuple(notes), largest)


def read_report(report: str | Path) -> tuple[Path, dict[str, Any]]:
    """A report's folder and its document; raises ArtifactError where there is none."""
    path = Path(report)
    file = path if path.is_file() else path / "report.json"
    if not file.exists():
        raise ArtifactError(f"{path} is no report: it has no report.json")
    content = read_json(file, what="report")
    if not isinstance(content, dict) or content.get("format") != "morelli-report":
        raise ArtifactError(f"{file} is not a report of `morelli evaluate`")
    if content.get("version") != 1:
        raise ArtifactError(f"{file} is a report of version {content.get('version')}; this Morelli reads 1")
    return file.parent, content


def _facts(folder: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance of a report, every part that is used being there and of its type."""
    facts = content.get("provenance")
    if not isinstance(facts, dict) or not isinstance(facts.get("run"), dict | None):
        raise _damaged(folder, "provenance")
    if facts.get("run") is None:
        raise ArtifactError(f"{folder} does not record how its predictions were made")
    inputs = facts.get("inputs")
    if not isinstance(inputs, list) or not all(
        isinstance(entry, dict)
        and isinstance(entry.get("role"), str)
        and isinstance(entry.get("path"), str)
        and all(isinstance(entry.get(key), str | None) for key in ("digest", "from_report"))
        for entry in inputs
    ):
        raise _damaged(folder, "provenance.inputs")
    predictions = facts.get("predictions")
    if not isinstance(predictions, dict) or not isinstance(predictions.get("sha256"), str):
        raise _damaged(folder, "provenance.predictions")
    for name in ("run", "options"):
        if not isinstance(content.get(name), dict):
            raise _damaged(folder, name)
    missing = [name for name in PARTS if name not in content]
    if missing:
        raise _damaged(folder, ", ".join(missing))
    return facts


def _options(folder: Path, recorded: Mapping[str, Any]) -> MeasureOptions:
    """How the report's intervals were made."""
    defaults = asdict(MeasureOptions())
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in recorded.items()}
    for name, value in given.items():
        if name not in defaults:
            raise _damaged(folder, f"options.{_printable(name)}")
        usual = 0 if defaults[name] is None else defaults[name]
        numbers = value if isinstance(value, tuple) else (value,)
        if isinstance(value, tuple) is not isinstance(usual, tuple) or not all(
            isinstance(one, str) if isinstance(usual, str) else type(one) in (int, float) for one in numbers
        ):
            if name == "threads" and value is None:
                continue
            raise _damaged(folder, f"options.{name}")
    return MeasureOptions(**given)


def _damaged(folder: Path, part: str) -> ArtifactError:
    return ArtifactError(
        f"{folder / 'report.json'} is damaged: {part} is missing or cannot be read; write the report again"
    )


def _with_command(run: Run, external: str | None, folder: Path) -> tuple[Run, list[str]]:
    """The run with the caller's command in the place of the recorded one, which is never run."""
    if run.kind != "external":
        if external is not None:
            raise UsageError(f"{folder} records no command of another tool; leave the external command out")
        return replace(run, external=None), []
    recorded = _shown(run.external or "")
    if external is None:
        raise UsageError(
            f"{folder} holds figures of another tool. A command that a file names is not run; the recorded "
            f"one is {recorded}. Give the command that is to score the images: --external COMMAND, or "
            "external= in Python"
        )
    notes = (
        []
        if external == run.external
        else [f"the command given is {_shown(external)}, recorded is {recorded}"]
    )
    # Without a name of its own a tool is called by its command, and so it stays comparable.
    return replace(run, external=external, external_name=run.external_name or run.external), notes


def _shown(command: str) -> str:
    """A command for reading: control characters as escapes, and not without end."""
    text = _printable(command)
    return f"`{text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + '…'}`"


def _printable(text: str) -> str:
    """`text` with control characters as escapes: what a report holds must not steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _located(
    run: Run, inputs: Sequence[Mapping[str, Any]], folder: Path, replaced: Mapping[str, str | Path]
) -> Run:
    """The run with its inputs where they lie now: as told, as recorded, else as seen from the report."""
    if [i.role for i in run.inputs] != [entry["role"] for entry in inputs]:
        raise ArtifactError(
            f"{folder / 'report.json'} is damaged: it lists other inputs ({len(inputs)}) than its run "
            f"({len(run.inputs)}); write the report again"
        )
    result: list[Input] = []
    missing = []
    counts: dict[str, int] = {}
    for entry in inputs:
        role = entry["role"]
        counts[role] = counts.get(role, 0) + 1
        key = role if counts[role] == 1 else f"{role} {counts[role]}"
        one = Input(role, entry["path"], entry.get("digest"))
        if key in replaced:
            places = [str(replaced[key])]
        elif one.path == "default" and role == "bundle":
            result.append(one)
            continue
        else:
            beside = entry.get("from_report")
            places = [one.path, *([str(folder / beside)] if beside else [])]
        # A pipe or a device would be waited for, or never end.
        here = next((p for p in places if Path(p).is_file() or Path(p).is_dir()), None)
        if here is None:
            missing.append(_printable(f"{key.replace('_', ' ')} at {one.path}"))
        else:
            result.append(replace(one, path=here))
    unknown = sorted(set(replaced) - {k for r, n in counts.items() for k in _keys(r, n)})
    if unknown:
        raise ArtifactError(f"the report has no input called {', '.join(unknown)}")
    if missing:
        raise ArtifactError(
            f"inputs are missing: {'; '.join(missing)}. Bring them back, or say where they are now, such as "
            "--input features=PATH"
        )
    return replace(run, inputs=tuple(result))


def _keys(role: str, count: int) -> list[str]:
    return [role if k == 1 else f"{role} {k}" for k in range(1, count + 1)]


def _inputs(recorded: Run, found: Run) -> list[Difference]:
    return [
        Difference(
            f"{old.role.replace('_', ' ')} ({old.path})", str(old.digest or "none"), str(new.digest or "none")
        )
        for old, new in zip(recorded.inputs, found.inputs, strict=True)
        if old.digest != new.digest
    ]


def _record(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[Difference]:
    """Settings in the predictions' own record that changed; versions and digests are noted elsewhere."""
    again = json.loads(json.dumps(dict(found)))
    keys = sorted((set(recorded) | set(again)) - {"morelli", "features", "bundles", "command"})
    return [
        Difference(f"record of the run, {key}", _brief(recorded.get(key)), _brief(again.get(key)))
        for key in keys
        if recorded.get(key) != again.get(key)
    ]


def _brief(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 120 else f"{text[:117]}…"


def _rows(beside: Path, rebuilt: Predictions, tolerance: float) -> tuple[float | None, list[Difference]]:
    """The largest difference of logits between the stored table and the rebuilt one, row by row."""
    if not beside.is_file():
        return None, []
    stored = Predictions.read(beside)
    if len(stored) != len(rebuilt):
        return None, [Difference("rows of predictions", f"{len(stored):,}", f"{len(rebuilt):,}")]
    # Where an image lay is no part of what it is.
    identity = "sha256" if not stored.table.column("sha256").null_count else "uri"
    for column in (identity, "label", *KEYS):
        a, b = stored.table.column(column).to_pylist(), rebuilt.table.column(column).to_pylist()
        if a != b:
            row = next(i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y)
            return None, [Difference(f"{column} of row {row}", str(a[row]), str(b[row]))]
    found = []
    apart = np.abs(stored.logits - rebuilt.logits)
    largest = float(apart.max(initial=0.0))
    if largest > tolerance:
        detectors = stored.table.column("detector").to_pylist()
        for name in dict.fromkeys(detectors):
            own = np.array([d == name for d in detectors])
            if apart[own].max(initial=0.0) > tolerance:
                row = int(np.flatnonzero(own)[apart[own].argmax()])
                found.append(
                    Difference(
                        f"logits of {name}: {int((apart[own] > tolerance).sum()):,} of "
                        f"{int(own.sum()):,} rows, "
                        f"furthest in row {row}",
                        f"{stored.logits[row]:.9g}",
                        f"{rebuilt.logits[row]:.9g}",
                    )
                )
    return largest, found


def _values(path: str, recorded: Any, found: Any, tolerance: float, most: int = 20) -> list[Difference]:
    """Differences between two JSON values, numbers within `tolerance` being equal; at most `most`."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        result: list[Difference] = []
        for key in [*recorded, *(k for k in found if k not in recorded)]:
            if key == "uri" and recorded.get("sha256"):
                continue
            result += _values(
                f"{path}.{key}", recorded.get(key), found.get(key), tolerance, most - len(result)
            )
            if len(result) >= most:
                break
        return result
    if isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
        result = []
        for k, (a, b) in enumerate(zip(recorded, found, strict=True)):
            name = a.get("detector") or a.get("name") if isinstance(a, dict) else None
            label = f"{a.get('protocol', '')} {name}".strip() if name else str(k)
            result += _values(f"{path}[{label}]", a, b, tolerance, most - len(result))
            if len(result) >= most:
                break
        return result
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (recorded, found))
    same = abs(recorded - found) <= tolerance if numbers else recorded == found
    return [] if same or most <= 0 else [Difference(path, _brief(recorded), _brief(found))]
