"""Reports: one self-contained HTML page, and the same figures as JSON, Markdown and CSV."""

from __future__ import annotations

from morelli.evaluation.report._audit_page import audit_page
from morelli.evaluation.report._published import PUBLISHED, Published
from morelli.evaluation.report._write import Report, report_folder, write_report

__all__ = ["PUBLISHED", "Published", "Report", "audit_page", "report_folder", "write_report"]
