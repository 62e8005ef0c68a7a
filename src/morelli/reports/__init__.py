"""Reports: every page, table and figure that shows a result of the rooms below.

A rendering is a function of a result; no result computes here. matplotlib is loaded by the first plot.
"""

from __future__ import annotations

from morelli.reports._analyses import analyse, write_analyses
from morelli.reports._atlas_page import export_atlas, selection_document
from morelli.reports._audit_files import write_audit
from morelli.reports._audit_page import audit_page
from morelli.reports._case_report import case_page
from morelli.reports._contact_sheet import Picture, contact_sheet
from morelli.reports._explanation_text import explanation_json, explanation_markdown, explanation_sentences
from morelli.reports._published import PUBLISHED
from morelli.reports._reproduce import Reproduction, reproduce
from morelli.reports._study_page import explanation_page, study_page
from morelli.reports._study_report import study_json, write_study
from morelli.reports._summary_tables import summary_markdown, summary_rows
from morelli.reports._write import Report, report_folder, write_report

__all__ = [
    "PUBLISHED",
    "Picture",
    "Report",
    "Reproduction",
    "analyse",
    "audit_page",
    "case_page",
    "contact_sheet",
    "explanation_json",
    "explanation_markdown",
    "explanation_page",
    "explanation_sentences",
    "export_atlas",
    "report_folder",
    "reproduce",
    "selection_document",
    "study_json",
    "study_page",
    "summary_markdown",
    "summary_rows",
    "write_analyses",
    "write_audit",
    "write_report",
    "write_study",
]
