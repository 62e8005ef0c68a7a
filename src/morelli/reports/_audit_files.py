"""An audit as files: JSON, Markdown, Parquet, CSV and plots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from morelli.artefacts import write_file
from morelli.artefacts.text import csv_table, markdown_page
from morelli.reports._folders import replacing_report
from morelli.reports.plots._audit import plot_audit

if TYPE_CHECKING:
    from morelli.audit import AuditReport

SHOWN = 20  # duplicates, unreadable files and cells that Markdown spells out


def audit_markdown(report: AuditReport, plots: Sequence[str] = ()) -> str:
    """The report as Markdown for people; `plots` are paths of pictures to show."""
    counts = report.counts
    lines = [
        f"# Audit of {report.source}",
        "",
        f"{counts['real']:,} real and {counts['generated']:,} generated images"
        + (f", {counts['unlabelled']:,} without a label" if counts["unlabelled"] else "")
        + (f"; {counts['unreadable']:,} files cannot be read" if counts["unreadable"] else "")
        + ".",
        "",
        "## Findings",
        "",
    ]
    for finding in report.findings:
        lines += [f"- **{finding.severity}** – {finding.sentence} *{finding.advice}*"]
    lines += ["", *_statements_section(report), *_baseline_section(report)]
    for path in plots:
        lines += [f"![{Path(path).stem.replace('-', ' ')}]({path})", ""]
    lines += [*_facts_section(report), *_duplicates_section(report), *_failures_section(report)]
    lines += _fair_section(report)
    return "\n".join(lines).rstrip() + "\n"


def _statements_section(report: AuditReport) -> list[str]:
    if not report.statement_shares:
        return []
    return [
        "## What the files say of themselves",
        "",
        f"| share of files with | {' | '.join(report.statements)} |",
        "|---|" + "---|" * len(report.statements),
        *(
            f"| {title} | {' | '.join(f'{share:.1%}' for share in row.values())} |"
            for title, row in report.statement_shares.items()
        ),
        "",
    ]


def _baseline_section(report: AuditReport) -> list[str]:
    if report.baseline is None:
        return []
    lines = ["## Metadata-only classifier", "", "| facts | AUC | 90 % interval |", "|---|---|---|"]
    for name, entry in (
        ("format and size", report.baseline),
        ("format, size and bytes per pixel", report.with_bytes),
    ):
        if entry is not None:
            lines.append(f"| {name} | {entry.auc:.3f} | {entry.interval[0]:.3f}–{entry.interval[1]:.3f} |")
    lines += ["", "Loss in AUC when a fact is shuffled:", "", "| fact | loss |", "|---|---|"]
    lines += [f"| {name} | {loss:.3f} |" for name, loss in report.baseline.importances.items()]
    return [*lines, ""]


def _facts_section(report: AuditReport) -> list[str]:
    if not report.associations:
        return []
    return [
        "## Facts by class",
        "",
        "Effect: Cramér's V of categories (bias-corrected), Kolmogorov–Smirnov distance of numbers.",
        "",
        "| fact | effect | AUC alone | real | generated |",
        "|---|---|---|---|---|",
        *(
            f"| {entry.title} | {entry.effect:.2f} | {entry.auc:.2f} | "
            f"{_shares(entry.real, entry.kind)} | {_shares(entry.fake, entry.kind)} |"
            for entry in report.associations
        ),
        "",
    ]


def _duplicates_section(report: AuditReport) -> list[str]:
    if not report.duplicates:
        return []
    return [
        "## Pictures that occur more than once",
        "",
        "| files | copy | across |",
        "|---|---|---|",
        *(
            f"| {'<br>'.join(_cell(uri) for uri in group.uris[:6])} | "
            f"{'same bytes' if group.exact else 'encoded again'} | {', '.join(group.across) or '–'} |"
            for group in report.duplicates[:SHOWN]
        ),
        *_more(len(report.duplicates)),
    ]


def _failures_section(report: AuditReport) -> list[str]:
    if not report.failed:
        return []
    return [
        "## Files that cannot be read",
        "",
        "| file | reason | what happened |",
        "|---|---|---|",
        *(
            f"| {_cell(entry.uri)} | {entry.reason} | {_cell(entry.message)} |"
            for entry in report.failed[:SHOWN]
        ),
        *_more(len(report.failed)),
    ]


def _fair_section(report: AuditReport) -> list[str]:
    if report.fair is None or not report.fair.cells:
        return []
    ranked = sorted(report.fair.cells.items(), key=lambda entry: -entry[1])
    return [
        "## Fair subset",
        "",
        "| cell | images of each class |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in ranked[:SHOWN]),
        *_more(len(ranked)),
    ]


def write_audit(report: AuditReport, folder: Path | str, *, plots: bool = True) -> Path:
    """Write the report's folder, whole or not at all, and return it; an older audit there is replaced.

    Files: audit.json, audit.md, facts.parquet, duplicates.csv, fair_subset.csv, and the plots.

    Raises:
        UsageError: `folder` holds something else than an audit.
    """
    folder = Path(folder)
    with replacing_report(folder, "audit") as fresh:
        _write_files(report, fresh, plots=plots)
    return folder


def _write_files(report: AuditReport, folder: Path, *, plots: bool) -> None:
    import pyarrow.parquet as pq

    drawn = plot_audit(report, folder) if plots and report.baseline is not None else []
    text = json.dumps(report.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    write_file(folder / "audit.json", text + "\n", lock=False)
    plotted = [path.name for path in drawn]
    write_file(folder / "audit.md", markdown_page(audit_markdown(report, plotted), plotted), lock=False)
    pq.write_table(report.table, folder / "facts.parquet")
    rows = [
        (
            number,
            uri,
            group.labels[k],
            "same bytes" if group.exact else "encoded again",
            " ".join(group.across),
        )
        for number, group in enumerate(report.duplicates)
        for k, uri in enumerate(group.uris)
    ]
    _write_csv(folder / "duplicates.csv", ("picture", "uri", "label", "copy", "across"), rows)
    if report.fair is not None:
        kept = report.table.select(["uri", "label", "generator"]).take(pa.array(report.fair.rows, pa.int64()))
        _write_csv(
            folder / "fair_subset.csv",
            ("row", "path", "label", "generator"),
            list(zip(report.fair.rows, *(column.to_pylist() for column in kept.columns), strict=True)),
        )


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    write_file(path, csv_table(header, rows), lock=False)


def _shares(values: dict[str, float], kind: str) -> str:
    if kind == "number":
        return f"{values['median']:.4g} ({values['5 %']:.4g}–{values['95 %']:.4g})"
    top = sorted(values.items(), key=lambda entry: -entry[1])[:3]
    return ", ".join(f"{_cell(name)} {share:.0%}" for name, share in top if share > 0) or "–"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _more(count: int) -> list[str]:
    return ["", f"… and {count - SHOWN:,} more.", ""] if count > SHOWN else [""]
