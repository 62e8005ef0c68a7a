"""Predictions tables of any length, read in parts and counted: what needs no row twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from morelli.errors import ArtifactError
from morelli.metrics.streams import Bounds, StreamedScores


@dataclass(frozen=True)
class StreamedMetrics:
    """Metrics of a predictions table that was read in parts.

    Attributes:
        scores: every test row, to be asked for further metrics.
        generators: the rows of each generator; their metrics are against all real images.
        threshold: where `rates` were counted: 0 for logits, 0.5 where the table has probabilities alone.
    """

    scores: StreamedScores
    generators: Mapping[str, StreamedScores]
    threshold: float

    def auc(self, generator: str | None = None) -> Bounds:
        """Area under the ROC curve of all generated images, or of one generator's, against all reals."""
        return (self.scores if generator is None else self.generators[generator]).auc(self.scores)

    def tpr_at_fpr(self, fpr: float, generator: str | None = None) -> Bounds:
        """The true-positive rate at a false-positive rate, of all generated images or of one generator's."""
        return (self.scores if generator is None else self.generators[generator]).tpr_at_fpr(fpr, self.scores)


def stream_metrics(tables: str | Path | Sequence[str | Path], *, rows: int = 1 << 20) -> StreamedMetrics:
    """Count predictions tables, `rows` rows at a time; memory does not grow with their length.

    Intervals need every row many times and are for tables that fit into memory: `morelli.evaluation.measure`.

    Args:
        tables: parquet files as `Predictions` writes them, or with `label` and one of `logit` and
            `probability` at least; several are counted together. Rows whose `part` is not ``test`` are
            left out.
        rows: rows in memory at a time.

    Raises:
        ArtifactError: a file is missing or no such table; the text names the file.
        UsageError: a label is neither 0 nor 1, or a score is not finite.

    Example:
        >>> from morelli.evaluation import Predictions
        >>> table = Predictions.from_columns(label=[0, 1, 1], logit=[-1.0, 2.0, -1.5])
        >>> _ = table.write("few.parquet")
        >>> stream_metrics("few.parquet").auc().value
        0.5
    """
    paths = [tables] if isinstance(tables, str | Path) else list(tables)
    scores, generators = StreamedScores(), dict[str, StreamedScores]()
    threshold = 0.0
    for number, path in enumerate(paths):
        file, column = _opened(Path(path))
        if number == 0:
            threshold = 0.0 if column == "logit" else 0.5
            scores = StreamedScores((threshold,))
        elif (column == "logit") != (threshold == 0.0):
            raise ArtifactError(f"{path} has scores of another kind than {paths[0]}; count them apart")
        for labels, values, names in _parts(file, column, rows, Path(path)):
            scores.add(labels, values)
            if names is None:
                continue
            for name in names.dictionary.to_pylist():
                mine = np.asarray(names.indices.fill_null(-1)) == names.dictionary.index(name).as_py()
                mine &= labels == 1
                if mine.any():
                    one = generators.setdefault(name, StreamedScores((threshold,)))
                    one.add(labels[mine], values[mine])
    return StreamedMetrics(scores, generators, threshold)


def _opened(path: Path) -> tuple[Any, str]:
    """A table's file, and its column of scores."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise ArtifactError(f"{path} does not exist; run `morelli evaluate` to write it") from None
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(f"{path} cannot be read as parquet: {error}") from error
    names = set(file.schema_arrow.names)
    column = "logit" if "logit" in names else "probability"
    if not {"label", column} <= names:
        raise ArtifactError(f"{path} needs the columns `label` and one of `logit` and `probability`")
    return file, column


def _parts(file: Any, column: str, rows: int, path: Path) -> Iterator[tuple[Any, Any, Any]]:
    """Labels, scores and generators (None where the file has none) of the test rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [name for name in ("label", column, "generator", "part") if name in file.schema_arrow.names]
    try:
        for batch in file.iter_batches(batch_size=rows, columns=columns):
            part = batch
            if "part" in columns:
                part = part.filter(pc.equal(part.column("part").cast(pa.string()), "test"))
            names = None
            if "generator" in columns:
                names = pc.dictionary_encode(part.column("generator").cast(pa.string()))
            yield np.asarray(part.column("label")), np.asarray(part.column(column), dtype=np.float64), names
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(f"{path} cannot be read as a table of predictions: {error}") from error
