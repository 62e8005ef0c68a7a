"""Folders of results: the files that each kind is known by, and how one is written whole."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from morelli.artefacts import replacing_results, results_folder

Kind = Literal["report", "audit", "study", "explanation", "folder of analyses"]

KNOWN_BY: Mapping[Kind, tuple[str, ...]] = {
    "report": (
        *("report.html", "report.json", "report.md", "predictions.parquet"),
        *("estimates.csv", "transfer.csv", "worst_cases.csv", "robustness.csv"),
    ),
    "audit": ("audit.json", "audit.md", "audit.html", "facts.parquet", "duplicates.csv", "fair_subset.csv"),
    "study": ("study.json", "study.md", "study.html", "study.png", "explanations.json"),
    "explanation": ("explanation.json", "explanation.md", "explanation.html", "explanation.png"),
    "folder of analyses": (
        *("analyses.json", "layers.png", "bank.png"),
        *("maps-by-label.png", "maps-by-generator.png"),
    ),
}
"""Files of a folder of each kind; by any of them it is known."""
BESIDE: Mapping[Kind, tuple[str, ...]] = {"report": ("robustness.lance",)}
"""What may stand beside the files and is not replaced with them: the features of a sweep."""


def report_folder(path: str | Path, kind: Kind = "report") -> Path:
    """The path, if results of a kind may be written there: a new or empty folder, or older results.

    Ask before the work, not after it.

    Raises:
        UsageError: something else stands at `path`.
    """
    return results_folder(path, what=kind, known_by=(*KNOWN_BY[kind], *BESIDE.get(kind, ())))


def replacing_report(path: str | Path, kind: Kind = "report") -> AbstractContextManager[Path]:
    """A new folder to fill, which takes the place of `path` whole or not at all; see `replacing_results`."""
    return replacing_results(path, what=kind, known_by=KNOWN_BY[kind], beside=BESIDE.get(kind, ()))
