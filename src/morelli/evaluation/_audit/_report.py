"""The audit's report: figures, findings and lists, as JSON, Markdown, Parquet and plots."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from morelli.evaluation._audit._associations import Association, Rule
from morelli.evaluation._audit._duplicates import DuplicateGroup
from morelli.evaluation._audit._facts import Unreadable
from morelli.evaluation._audit._fair_subset import FairSubset
from morelli.evaluation._audit._findings import Finding
from morelli.evaluation._metadata_baseline import MetadataBaseline

LISTED = 200  # duplicates and unreadable files that JSON spells out; the CSV files hold all
SHOWN = 20  # those that Markdown spells out


@dataclass(frozen=True)
class AuditReport:
    """What an audit found.

    `table` holds the facts, one row an image (columns as in `FileFacts`, without the small pictures);
    row numbers in `duplicates` and `fair` refer to it. `baseline` uses format and size facts, `with_bytes`
    also bytes per pixel; both are None unless there are at least eight images of each class.
    """

    source: str
    table: pa.Table
    failed: tuple[Unreadable, ...]
    associations: tuple[Association, ...]
    rules: tuple[Rule, ...]
    baseline: MetadataBaseline | None
    with_bytes: MetadataBaseline | None
    duplicates: tuple[DuplicateGroup, ...]
    fair: FairSubset | None
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Images that were read, by class, and files that could not be."""
        labels = Counter(self.table.column("label").to_pylist())
        return {
            "real": labels[0],
            "generated": labels[1],
            "unlabelled": labels[None],
            "unreadable": len(self.failed),
        }

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values; long lists are cut to their first `LISTED` entries."""
        fair = None
        if self.fair is not None:
            fair = {
                "images": len(self.fair.rows),
                "generators": self.fair.generators,
                "sources": self.fair.sources,
                "cells": self.fair.cells,
                "rows": list(self.fair.rows),
                "baseline": self.fair.baseline.to_json() if self.fair.baseline else None,
            }
        return {
            "source": self.source,
            "counts": self.counts,
            "findings": [asdict(finding) for finding in self.findings],
            "metadata_only": self.baseline.to_json() if self.baseline else None,
            "metadata_and_bytes_only": self.with_bytes.to_json() if self.with_bytes else None,
            "associations": [asdict(entry) for entry in self.associations],
            "rules": [asdict(rule) for rule in self.rules],
            "duplicates": {
                "pictures": len(self.duplicates),
                "files": sum(len(group.rows) for group in self.duplicates),
                "across": dict(Counter(word for group in self.duplicates for word in group.across)),
                "listed": [asdict(group) for group in self.duplicates[:LISTED]],
            },
            "unreadable": [asdict(entry) for entry in self.failed[:LISTED]],
            "fair_subset": fair,
        }

    def to_markdown(self, plots: Sequence[str] = ()) -> str:
        """The report as Markdown for people; `plots` are paths of pictures to show."""
        counts = self.counts
        lines = [
            f"# Audit of {self.source}",
            "",
            f"{counts['real']:,} real and {counts['generated']:,} generated images"
            + (f", {counts['unlabelled']:,} without a label" if counts["unlabelled"] else "")
            + (f"; {counts['unreadable']:,} files cannot be read" if counts["unreadable"] else "")
            + ".",
            "",
            "## Findings",
            "",
        ]
        for finding in self.findings:
            lines += [f"- **{finding.severity}** – {finding.sentence} *{finding.advice}*"]
        lines += [""]
        if self.baseline is not None:
            lines += ["## Metadata-only classifier", "", "| facts | AUC | 90 % interval |", "|---|---|---|"]
            for name, entry in (
                ("format and size", self.baseline),
                ("format, size and bytes per pixel", self.with_bytes),
            ):
                if entry is not None:
                    lines.append(
                        f"| {name} | {entry.auc:.3f} | {entry.interval[0]:.3f}–{entry.interval[1]:.3f} |"
                    )
            lines += ["", "Loss in AUC when a fact is shuffled:", "", "| fact | loss |", "|---|---|"]
            lines += [f"| {name} | {loss:.3f} |" for name, loss in self.baseline.importances.items()]
            lines += [""]
        for path in plots:
            lines += [f"![{Path(path).stem.replace('-', ' ')}]({path})", ""]
        if self.associations:
            lines += [
                "## Facts by class",
                "",
                "Effect: Cramér's V of categories (bias-corrected), Kolmogorov–Smirnov distance of numbers.",
                "",
                "| fact | effect | AUC alone | real | generated |",
                "|---|---|---|---|---|",
            ]
            lines += [
                f"| {entry.title} | {entry.effect:.2f} | {entry.auc:.2f} | "
                f"{_shares(entry.real, entry.kind)} | {_shares(entry.fake, entry.kind)} |"
                for entry in self.associations
            ]
            lines += [""]
        if self.duplicates:
            lines += [
                "## Pictures that occur more than once",
                "",
                "| files | copy | across |",
                "|---|---|---|",
            ]
            lines += [
                f"| {'<br>'.join(_cell(uri) for uri in group.uris[:6])} | "
                f"{'same bytes' if group.exact else 'encoded anew'} | {', '.join(group.across) or '–'} |"
                for group in self.duplicates[:SHOWN]
            ]
            lines += _more(len(self.duplicates))
        if self.failed:
            lines += [
                "## Files that cannot be read",
                "",
                "| file | reason | what happened |",
                "|---|---|---|",
            ]
            lines += [
                f"| {_cell(entry.uri)} | {entry.reason} | {_cell(entry.message)} |"
                for entry in self.failed[:SHOWN]
            ]
            lines += _more(len(self.failed))
        if self.fair is not None and self.fair.cells:
            lines += ["## Fair subset", "", "| cell | images of each class |", "|---|---|"]
            ranked = sorted(self.fair.cells.items(), key=lambda entry: -entry[1])
            lines += [f"| {name} | {count} |" for name, count in ranked[:SHOWN]]
            lines += _more(len(ranked))
        return "\n".join(lines).rstrip() + "\n"

    def plots(self, folder: Path | str) -> list[Path]:
        """Draw the facts by class into `folder` as PNG files; returns their paths."""
        from morelli.evaluation._plots import plot_audit

        return plot_audit(self, Path(folder)) if self.baseline is not None else []

    def save(self, folder: Path | str, *, plots: bool = True) -> Path:
        """Write the report into `folder`, which it returns.

        Files: audit.json, audit.md, facts.parquet, duplicates.csv, fair_subset.csv, and the plots.
        """
        import pyarrow.parquet as pq

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        drawn = self.plots(folder) if plots else []
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "audit.json").write_text(text + "\n", "utf-8")
        (folder / "audit.md").write_text(self.to_markdown([path.name for path in drawn]), "utf-8")
        pq.write_table(self.table, folder / "facts.parquet")
        rows = [
            (
                number,
                uri,
                group.labels[k],
                "same bytes" if group.exact else "encoded anew",
                " ".join(group.across),
            )
            for number, group in enumerate(self.duplicates)
            for k, uri in enumerate(group.uris)
        ]
        _write_csv(folder / "duplicates.csv", ("picture", "uri", "label", "copy", "across"), rows)
        if self.fair is not None:
            kept = self.table.select(["uri", "label", "generator"]).take(pa.array(self.fair.rows, pa.int64()))
            _write_csv(
                folder / "fair_subset.csv",
                ("row", "path", "label", "generator"),
                list(zip(self.fair.rows, *(column.to_pylist() for column in kept.columns), strict=True)),
            )
        return folder


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    path.write_text(buffer.getvalue(), "utf-8")


def _shares(values: dict[str, float], kind: str) -> str:
    if kind == "number":
        return f"{values['median']:.4g} ({values['5 %']:.4g}–{values['95 %']:.4g})"
    top = sorted(values.items(), key=lambda entry: -entry[1])[:3]
    return ", ".join(f"{_cell(name)} {share:.0%}" for name, share in top if share > 0) or "–"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _more(count: int) -> list[str]:
    return ["", f"… and {count - SHOWN:,} more.", ""] if count > SHOWN else [""]
