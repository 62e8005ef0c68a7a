"""The dataset audit: what separates real from generated before any detector has looked at a pixel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from morelli.audit._associations import Association, Rule, associations, fact_columns, rules
from morelli.audit._duplicates import DuplicateGroup, duplicate_groups, duplicate_ids
from morelli.audit._facts import FileFacts, Progress, Unreadable, gather
from morelli.audit._fair_subset import FairSubset, matched_rows
from morelli.audit._findings import Finding, find
from morelli.audit._metadata_baseline import MetadataBaseline, metadata_only_auc
from morelli.audit._report import AuditReport
from morelli.errors import SourceError
from morelli.images import ImageItem, Limits, iter_source

__all__ = [
    "Association",
    "AuditReport",
    "DuplicateGroup",
    "FairSubset",
    "FileFacts",
    "Finding",
    "Rule",
    "Unreadable",
    "audit",
    "fact_columns",
]

_LEAST = 8  # images of each class below which a metadata-only classifier says nothing


def audit(
    source: str | Path | Sequence[str | Path] | Iterable[ImageItem],
    *,
    limits: Limits | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    seed: int = 0,
    **reading: Any,
) -> AuditReport:
    """Audit a labelled set of images without an encoder.

    Args:
        source: what `iter_source` reads (folder, glob, manifest, archive, …) or image items themselves.
        limits: bounds on single images.
        workers: decoding threads; one for each processor if None.
        progress: called with (images done, None).
        seed: of folds, bootstrap and the fair subset.
        reading: further arguments of `iter_source`, such as label_from="folders".

    Facts come from the header and one decode; memory stays at a few images plus about 0.7 kB an image.
    The metadata-only classifier keeps together what a split should: fakes by lineage (else generator), real
    images by source, and copies of one picture.

    Raises SourceError when the source holds no readable image.
    """
    bounds = limits or Limits()
    named = isinstance(source, str | Path) or (
        isinstance(source, Sequence) and all(isinstance(entry, str | Path) for entry in source)
    )
    items: Iterable[ImageItem] = iter_source(source, limits=bounds, **reading) if named else source  # type: ignore[arg-type,assignment]
    table, failed = gather(items, limits=bounds, workers=workers, progress=progress)
    name = str(source) if isinstance(source, str | Path) else f"{table.num_rows + len(failed)} images"
    if not table.num_rows:
        raise SourceError(f"No image of {name} could be read{_why(failed, name)}")
    return _report(name, table, failed, seed)


def _why(failed: Sequence[Unreadable], name: str) -> str:
    """The first failure, and what helps where a manifest names files that are not there."""
    if not failed:
        return "; name image files, or folders, archives and manifests with some."
    first = f"; the first of {len(failed)} failures" if len(failed) > 1 else ""
    root = "; paths in a manifest are relative to its folder, --root FOLDER (or root=) names another"
    absent = failed[0].uri != name and all(one.reason == "missing" for one in failed)
    return f"{first}: {failed[0].message}{root if absent else ''}"


def _report(name: str, table: pa.Table, failed: Sequence[Unreadable], seed: int) -> AuditReport:
    ids = duplicate_ids(table)
    copies = duplicate_groups(table, ids)
    labels = table.column("label").to_pylist()
    rows = np.asarray([row for row, label in enumerate(labels) if label is not None], np.int64)
    y = np.asarray([labels[row] for row in rows], np.int8)
    facts: list[Association] = []
    lines: list[Rule] = []
    baseline = with_bytes = fair = None
    if min(np.sum(y == 0), np.sum(y == 1)) >= _LEAST:
        known = table.take(pa.array(rows))
        columns = fact_columns(known)
        facts, lines = associations(y, columns), rules(known, y, columns)
        groups = split_groups(known, y, ids[rows])
        baseline = metadata_only_auc(known, groups, seed=seed)
        with_bytes = metadata_only_auc(known, groups, include_bytes=True, seed=seed)
        fair = _fair(known, y, ids[rows], rows, seed)
    found = find(
        table,
        failed=failed,
        duplicates=copies,
        facts=facts,
        rules=lines,
        baseline=baseline,
        with_bytes=with_bytes,
        fair=fair,
    )
    return AuditReport(
        source=name,
        table=table.drop_columns(["thumb"]),
        failed=tuple(failed),
        associations=tuple(facts),
        rules=tuple(lines),
        baseline=baseline,
        with_bytes=with_bytes,
        duplicates=tuple(copies),
        fair=fair,
        findings=tuple(found),
    )


def split_groups(
    table: pa.Table, y: npt.NDArray[np.int8], ids: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """What must stay on one side of a split, (n,): lineage or source, and copies of one picture with it.

    Where that leaves a class with fewer than two groups (no lineages named, or copies that chain them all
    together), only copies of one picture are kept together.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    lineage, generator, source = (table.column(c).to_pylist() for c in ("lineage", "generator", "source"))
    names = np.asarray(
        [
            f"1|{lineage[row] or generator[row] or ''}" if label else f"0|{source[row] or ''}"
            for row, label in enumerate(y)
        ]
    )
    _, origin = np.unique(names, return_inverse=True)
    nodes = len(y) + origin.max() + 1 + ids.max() + 1
    rows = np.r_[np.arange(len(y)), np.arange(len(y))]
    ends = np.r_[len(y) + origin, len(y) + origin.max() + 1 + ids]
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, ends)), shape=(nodes, nodes))
    merged: npt.NDArray[np.int64] = connected_components(graph, directed=False)[1][: len(y)].astype(np.int64)
    if min(len(np.unique(merged[y == value])) for value in (0, 1)) >= 2:
        return merged
    return ids


def _fair(
    known: pa.Table,
    y: npt.NDArray[np.int8],
    ids: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    seed: int,
) -> FairSubset:
    kept, cells = matched_rows(known, y, np.random.default_rng(seed))
    part = known.take(pa.array(kept))
    baseline: MetadataBaseline | None = None
    if len(kept) >= 4 * _LEAST:
        baseline = metadata_only_auc(part, split_groups(part, y[kept], ids[kept]), seed=seed)
    return FairSubset(
        rows=tuple(int(row) for row in rows[kept]),
        cells=cells,
        generators=len({name for name in part.column("generator").to_pylist() if name}),
        sources=len(
            {
                name
                for name, label in zip(part.column("source").to_pylist(), y[kept], strict=True)
                if name and not label
            }
        ),
        baseline=baseline,
    )
