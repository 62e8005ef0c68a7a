"""Reports: one self-contained HTML page, and the same figures as JSON, Markdown and CSV."""

from __future__ import annotations

from morelli.evaluation.report._audit_page import audit_page
from morelli.evaluation.report._published import PUBLISHED, Published
from morelli.evaluation.report._study_page import explanation_page, study_page
from morelli.evaluation.report._write import Report, report_folder, write_report

__all__ = [
    "PUBLISHED",
    "Published",
    "Report",
    "audit_page",
    "explanation_page",
    "report_folder",
    "study_page",
    "write_report",
]
