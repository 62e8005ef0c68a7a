"""The audit: what a collection gives away before any pixel is seen.

`audit` reads file facts, finds copies and measures what a classifier of format and size alone reaches;
`align` writes both classes alike; `leak_report` compares training images with test images.
"""

from __future__ import annotations

from morelli.audit._align import AlignRecipe, align
from morelli.audit._associations import fact_columns
from morelli.audit._audit import audit
from morelli.audit._leaks import leak_report
from morelli.audit._metadata_baseline import MetadataBaseline, metadata_only_auc
from morelli.audit._report import AuditReport
from morelli.audit._spectra import Spectrum, mean_spectra

__all__ = [
    "AlignRecipe",
    "AuditReport",
    "MetadataBaseline",
    "Spectrum",
    "align",
    "audit",
    "fact_columns",
    "leak_report",
    "mean_spectra",
    "metadata_only_auc",
]
