"""Reports: every page, table and figure that shows a result of the rooms below.

A rendering is a function of a result; no result computes here. matplotlib is loaded by the first plot.
"""

from __future__ import annotations

from morelli.reports._analyses import write_analyses
from morelli.reports._atlas_page import export_atlas, selection_document
from morelli.reports._audit_page import write_audit_folder
from morelli.reports._case_report import case_page
from morelli.reports._contact_sheet import Picture, contact_sheet
from morelli.reports._explanation_files import write_explanation
from morelli.reports._explanation_text import explanation_json, explanation_sentences
from morelli.reports._folders import report_folder
from morelli.reports._reproduce import Reproduction, reproduce
from morelli.reports._study_page import study_page
from morelli.reports._study_report import study_json, write_study
from morelli.reports._write import Report, write_report

__all__ = [
    "Picture",
    "Report",
    "Reproduction",
    "case_page",
    "contact_sheet",
    "explanation_json",
    "explanation_sentences",
    "export_atlas",
    "report_folder",
    "reproduce",
    "selection_document",
    "study_json",
    "study_page",
    "write_analyses",
    "write_audit_folder",
    "write_explanation",
    "write_report",
    "write_study",
]
