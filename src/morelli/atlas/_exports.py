"""Selected images as a file for other programs."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.artefacts.text import CSV_MARK, FORMULA_SIGNS
from morelli.atlas._collection import ERRORS, UNANSWERED, UNKNOWN, VERDICTS, Collection
from morelli.atlas._tags import Tags
from morelli.errors import UsageError

ExportFormat = Literal["csv", "parquet", "ids"]

_LABELS = {0: "real", 1: "fake"}
_OUTCOMES = {
    UNKNOWN: None,
    **{code: "right" if name in ("tn", "tp") else "wrong" for code, name in enumerate(ERRORS)},
    UNANSWERED: "no answer",
}


def export_rows(
    collection: Collection, rows: NDArray[np.int64], form: ExportFormat, names: Sequence[str], tags: Tags
) -> bytes:
    """Rows as CSV or Parquet (metadata, held-out probability, verdict, outcome, tags, impacts), or as sums.

    The CSV is a manifest: its `path` and `label` let `morelli extract` and `fit` read it. In it a text that a
    spreadsheet would run as a formula gets a leading apostrophe, such a path `./`.

    Raises:
        UsageError: an unknown format.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    if form == "ids":
        sums = collection.records(rows, ["sha256"]).column("sha256").to_pylist()
        return "".join(f"{one}\n" for one in sums).encode()
    if form not in ("csv", "parquet"):
        raise UsageError(f"Selections are exported as csv, parquet or ids, not {form!r}.")
    columns = ["uri", "generator", "lineage", "source", "era", "sha256", "width", "height", "format", "bytes"]
    found = collection.records(rows, columns)
    texts: dict[str, Any] = {
        "path": found.column("uri"),
        "label": pa.array([_LABELS.get(int(v)) for v in collection.labels[rows]], pa.string()),
    } | {name: found.column(name) for name in columns[1:]}
    texts["row"] = pa.array(rows)
    texts["probability"] = pa.array(collection.probabilities[rows])
    texts["verdict"] = pa.array([VERDICTS[v] for v in collection.verdicts[rows]])
    texts["outcome"] = pa.array([_OUTCOMES[code] for code in collection.errors[rows].tolist()], pa.string())
    texts["tags"] = pa.array(["; ".join(one) or None for one in tags.of(rows)], pa.string())
    for k, name in enumerate(names):
        texts[f"impact {k + 1}: {name}" if name != f"D{k + 1}" else f"impact {k + 1}"] = pa.array(
            collection.impacts[rows, k]
        )
    buffer = io.BytesIO()
    if form == "parquet":
        pa.parquet.write_table(pa.table(texts), buffer)
    else:
        shown = {name: _harmless(text, "./" if name == "path" else "'") for name, text in texts.items()}
        pa.csv.write_csv(pa.table(shown), buffer)
        if not buffer.getvalue().isascii():
            return CSV_MARK.encode() + buffer.getvalue()
    return buffer.getvalue()


def _harmless(column: Any, before: str) -> Any:
    """A column of text with `before` in front of formulas; other columns unchanged."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    pattern = f"^([{re.escape(''.join(FORMULA_SIGNS))}])"
    return pc.replace_substring_regex(column, pattern=pattern, replacement=rf"{before}\1")
