"""What an audit found: figures, findings and lists."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from morelli.audit._associations import Association, Rule
from morelli.audit._duplicates import DuplicateGroup
from morelli.audit._facts import Unreadable
from morelli.audit._fair_subset import FairSubset
from morelli.audit._findings import Finding
from morelli.audit._metadata_baseline import MetadataBaseline
from morelli.audit._statements import STATEMENTS, ClassStatements, statements_by_class

LISTED = 200  # duplicates and unreadable files that JSON spells out; the CSV files hold all


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

    @property
    def statements(self) -> dict[str, ClassStatements]:
        """What the files of each class say of themselves."""
        return statements_by_class(self.table)

    @property
    def statement_shares(self) -> dict[str, dict[str, float]]:
        """Share of each class's files that carry a kind of statement, by the kind in words, if any file does.

        Such as ``{"camera data": {"real": 0.4, "generated": 0.0}}``.
        """
        by_class = self.statements
        shares = {
            title: {name: one.share(kind) for name, one in by_class.items()}
            for kind, title in STATEMENTS.items()
        }
        return {title: row for title, row in shares.items() if any(row.values())}

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
            "statements": {name: one.to_json() for name, one in self.statements.items()},
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
