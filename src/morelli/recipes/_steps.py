"""Steps recognised by what went into them: one whose inputs and output are unchanged is not done again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from morelli.artefacts import document_digest, dump_json, plain_json, read_json, write_file
from morelli.artefacts.schema import check_schema
from morelli.errors import ArtifactError

_RECORD = {"step": str, "inputs": dict, "output": str, "facts": dict, "seconds": float}


@dataclass(frozen=True)
class Step:
    """A step that is through.

    Attributes:
        name: what it is called.
        inputs: what went into it, as plain values.
        output: hash of what came out.
        facts: what is worth saying about it: counts, paths, versions.
        seconds: how long it took when it ran.
        ran: whether it ran now; False where an earlier run's output was recognised.
    """

    name: str
    inputs: Mapping[str, Any]
    output: str
    facts: Mapping[str, Any]
    seconds: float
    ran: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "step": self.name,
            "inputs": dict(self.inputs),
            "output": self.output,
            "facts": dict(self.facts),
            "seconds": self.seconds,
        }


Work = Callable[[], tuple[str, Mapping[str, Any]]]
"""Does a step; gives the hash of its output and its facts."""


@dataclass
class Steps:
    """The steps of one recipe; records lie in `folder`."""

    folder: Path
    on_step: Callable[[str, bool], None] = lambda name, again: None
    """Called with a step's name before it runs, or with True where it is recognised."""
    finished: list[Step] = field(default_factory=list)

    def run(self, name: str, inputs: Mapping[str, Any], work: Work, output: Callable[[], str | None]) -> Step:
        """Do a step, unless its record says that these inputs gave the output that is there.

        Args:
            name: of the step.
            inputs: what it depends on, plain values.
            work: does it.
            output: hash of the output that lies there; None without one.
        """
        plain = plain_json(inputs)
        file = self.folder / f"{name}-{document_digest(plain)[:12]}.json"
        found = _record(file)
        if found is not None and found["inputs"] == plain and found["output"] == output():
            self.on_step(name, True)
            step = Step(name, plain, found["output"], found["facts"], found["seconds"], ran=False)
        else:
            self.on_step(name, False)
            started = time.monotonic()
            made, facts = work()
            step = Step(name, plain, made, plain_json(facts), round(time.monotonic() - started, 2))
            write_file(file, dump_json(step.to_json(), indent=1))
        self.finished.append(step)
        return step


def short_digest(inputs: Mapping[str, Any]) -> str:
    """Twelve hex digits of the inputs, for the name of a step's folder."""
    return document_digest(plain_json(inputs))[:12]


def file_hash(path: Path) -> str | None:
    """SHA-256 of a file; None where there is none."""
    from morelli.evaluation import file_digest

    return file_digest(path) if path.is_file() else None


def _record(file: Path) -> dict[str, Any] | None:
    """A step's record; None where it is missing or damaged, and the step is then done again."""
    if not file.is_file():
        return None
    try:
        found = read_json(file, what="recipe's step")
        check_schema(found, _RECORD, file)
    except ArtifactError:
        return None
    return dict(found)
