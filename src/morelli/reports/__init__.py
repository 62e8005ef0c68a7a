"""Reports: every page, table and figure that shows a result of the rooms below.

A rendering is a function of a result; no result computes here. Each page is loaded when it is first asked
for, and matplotlib by the first plot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from morelli._lazy import lazy_names

if TYPE_CHECKING:
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

# A contact sheet needs neither the atlas nor scikit-learn, which take a second to load.
__getattr__ = lazy_names(
    __name__,
    {
        "Picture": "_contact_sheet",
        "Report": "_write",
        "Reproduction": "_reproduce",
        "case_page": "_case_report",
        "contact_sheet": "_contact_sheet",
        "explanation_json": "_explanation_text",
        "explanation_sentences": "_explanation_text",
        "export_atlas": "_atlas_page",
        "report_folder": "_folders",
        "reproduce": "_reproduce",
        "selection_document": "_atlas_page",
        "study_json": "_study_report",
        "study_page": "_study_page",
        "write_analyses": "_analyses",
        "write_audit_folder": "_audit_page",
        "write_explanation": "_explanation_files",
        "write_report": "_write",
        "write_study": "_study_report",
    },
)
