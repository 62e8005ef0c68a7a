"""The audit of a data set as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from morelli.artefacts import write_file
from morelli.reports._audit_files import write_audit
from morelli.reports._figures import interval_bar, lowest
from morelli.reports._folders import replacing_report
from morelli.reports._templates import page_environment
from morelli.reports._thumbnails import png

if TYPE_CHECKING:
    from jinja2 import Template

    from morelli.audit import AuditReport

LISTED = 40


@cache
def _template() -> Template:
    return page_environment().get_template("audit.html.j2")


def audit_page(found: AuditReport, aligned: AuditReport | None = None) -> str:
    """The page: findings, what file facts alone reach, plots, copies, unreadable files.

    aligned: the audit of the aligned copies, shown beside.
    """
    from morelli.reports.plots._audit import audit_auc_figure, audit_facts_figure
    from morelli.reports.plots._style import figure_png

    pictures: Sequence[str] = ()
    if found.baseline is not None:
        pictures = [png(figure_png(draw(found), 100)) for draw in (audit_auc_figure, audit_facts_figure)]
    baselines = [
        ("format, size and shape", found.baseline),
        ("bytes per pixel too", found.with_bytes),
        ("aligned copies: format, size and shape", aligned.baseline if aligned else None),
        ("aligned copies: bytes per pixel too", aligned.with_bytes if aligned else None),
    ]
    estimates: list[tuple[str, dict[str, float | None]]] = [
        (name, {"value": b.auc, "low": b.interval[0], "high": b.interval[1]}) for name, b in baselines if b
    ]
    low = lowest(estimate for _, estimate in estimates)
    return _template().render(
        audit=found.to_json(),
        failed=found.failed[:LISTED],
        duplicates=found.duplicates[:LISTED],
        n_duplicates=len(found.duplicates),
        baselines=[(name, estimate, interval_bar(estimate, low=low)) for name, estimate in estimates],
        axis_from=low,
        pictures=pictures,
        statements=found.statement_shares,
    )


def write_audit_folder(found: AuditReport, out: Path, aligned: AuditReport | None = None) -> None:
    """The audit's folder: its own files, the page, and the audit of aligned copies below it."""
    with replacing_report(out, "audit") as fresh:
        write_audit(found, fresh)
        if aligned is not None:
            write_audit(aligned, fresh / "aligned")
        write_file(fresh / "audit.html", audit_page(found, aligned), lock=False)
