"""The transfer study: which reading of the features carries over to generators that were not seen."""

from __future__ import annotations

from morelli.explanation.study._bundle import study_bundle
from morelli.explanation.study._study import StudyOptions, StudyRow, TransferStudy, transfer_study

__all__ = [
    "StudyOptions",
    "StudyRow",
    "TransferStudy",
    "study_bundle",
    "transfer_study",
]
