"""The predictions table: what every protocol writes and every metric reads.

One row is one image scored once by one detector. Metrics, tables and plots are functions of this table
alone, so a claim can be recomputed from the file, and any other tool joins by writing the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from morelli.artefacts import parse_json, write_file
from morelli.artefacts.schema import check_schema
from morelli.errors import ArtifactError, UsageError
from morelli.evaluation._arrays import AnyArray, FloatArray, IntArray

VERSION = 1
VERDICTS = ("ai", "real", "inconclusive", "out_of_domain")
_WORD = pa.dictionary(pa.int32(), pa.string())

SCHEMA = pa.schema(
    [
        pa.field("sha256", pa.string()),  # of the image's bytes; identity of the image
        pa.field("uri", pa.string()),
        pa.field("label", pa.int8(), nullable=False),  # 0 real, 1 generated
        pa.field("generator", _WORD),
        pa.field("lineage", _WORD),  # what descends from one model; resampled as one
        pa.field("source", _WORD),  # where a real image comes from; resampled as one
        pa.field("era", _WORD),
        pa.field("group", _WORD),  # what the splits kept on one side
        pa.field("protocol", _WORD, nullable=False),
        pa.field("fold", _WORD),
        pa.field("part", _WORD, nullable=False),  # "test", or "held_in" for rows that only set thresholds
        pa.field("perturbation", _WORD),
        pa.field("detector", _WORD, nullable=False),
        pa.field("bundle", _WORD),  # hash of the bundle, null for a detector fitted by the protocol
        pa.field("logit", pa.float64(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("verdict", _WORD),
        pa.field("seconds", pa.float64()),  # null unless timing was asked for: time is not reproducible
        pa.field("format", _WORD),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("bytes", pa.int64()),
    ]
)
_DEFAULTS = {"protocol": "external", "part": "test", "detector": "external"}


@dataclass(frozen=True, eq=False)
class Predictions:
    """Rows of `SCHEMA` and the record of the run that made them.

    `run` is plain JSON: seed, options, code version, hashes of inputs. It holds no time, host or path,
    so two runs with one seed write the same bytes.
    """

    table: pa.Table
    run: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @classmethod
    def from_columns(cls, run: Mapping[str, Any] | None = None, **columns: Any) -> Predictions:
        """Build and check a table from arrays (n,), lists, or single values that hold for every row.

        `label` and one of `logit`, `probability` are needed; the other of the two follows from it.
        Raises UsageError for unknown columns, unequal lengths and impossible values.
        """
        columns = {name: values for name, values in columns.items() if values is not None}
        unknown = sorted(set(columns) - set(SCHEMA.names))
        if unknown:
            raise UsageError(f"unknown columns {unknown}; a predictions table has {SCHEMA.names}")
        sizes = {name: len(v) for name, v in columns.items() if _is_column(v)}
        if len(set(sizes.values())) != 1:
            raise UsageError(f"columns of a predictions table must have one length, not {sizes}")
        n = next(iter(sizes.values()))
        return cls(
            _complete({name: _as_arrow(v, name, n) for name, v in columns.items()}, n), dict(run or {})
        )

    @classmethod
    def concat(cls, parts: Iterable[Predictions], run: Mapping[str, Any] | None = None) -> Predictions:
        """All rows of several tables, in the given order."""
        parts = list(parts)
        if not parts:
            raise UsageError("nothing to join: no protocol produced predictions")
        table = pa.concat_tables([p.table for p in parts]).unify_dictionaries().combine_chunks()
        return cls(table, dict(parts[0].run if run is None else run))

    @classmethod
    def read(cls, path: str | Path) -> Predictions:
        """Read and check a Parquet or CSV file, ours, one of `morelli detect`, or another tool's.

        A foreign file needs `label` and one of `logit`, `probability`; labels are 0 and 1, or ``real`` and
        ``fake``. Columns that are not in `SCHEMA` are ignored, and so are rows with an `error`, which
        `morelli detect` writes for files that it could not judge. A CSV file's name ends in ``.csv``.

        Raises:
            ArtifactError: says what to change.
        """
        path = Path(path)
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ArtifactError(f"{path} is no regular file; name a Parquet or CSV file")
        form = "CSV" if path.suffix.lower() == ".csv" else "Parquet"
        try:
            table = _read_csv(path) if form == "CSV" else _read_parquet(path)
        except FileNotFoundError:
            raise ArtifactError(f"{path} does not exist; run `morelli evaluate` to write it") from None
        except (pa.ArrowException, OSError) as error:
            raise ArtifactError(f"{path} cannot be read as {form}: {error}") from error
        metadata = {k.decode(): v for k, v in (table.schema.metadata or {}).items()}
        version = metadata.get("morelli.predictions.version", str(VERSION).encode()).decode()
        if version != str(VERSION):
            raise ArtifactError(
                f"{path} holds predictions of version {version}; this Morelli reads version {VERSION}"
            )
        try:
            run = parse_json(metadata.get("morelli.predictions.run", b"{}"), path)
            check_schema(run, dict, path)
            columns = {name: table.column(name) for name in table.column_names}
            return cls(_complete(columns, table.num_rows), run)
        except (UsageError, ValueError) as error:
            raise ArtifactError(f"{path}: {error}") from error

    def write(self, path: str | Path) -> str:
        """Write the parquet file atomically and return its sha256 (hex).

        The bytes depend on the rows, `run` and the pyarrow version alone.
        """
        path = Path(path)
        metadata = {
            b"morelli.predictions.version": str(VERSION).encode(),
            b"morelli.predictions.run": json.dumps(dict(self.run), sort_keys=True).encode(),
        }
        # Fixed here rather than left to the defaults of whichever pyarrow is installed.
        table = self.table.unify_dictionaries().combine_chunks().replace_schema_metadata(metadata)
        sink = pa.BufferOutputStream()
        pq.write_table(
            table,
            sink,
            row_group_size=1 << 17,
            version="2.6",
            compression="zstd",
            compression_level=3,
            use_dictionary=[n for n in SCHEMA.names if pa.types.is_dictionary(SCHEMA.field(n).type)],
            write_statistics=True,
            data_page_version="1.0",
        )
        content = sink.getvalue().to_pybytes()
        write_file(path, content)
        return hashlib.sha256(content).hexdigest()

    @property
    def labels(self) -> AnyArray:
        """(n,) int8, real 0, generated 1."""
        return np.asarray(self.table.column("label").to_numpy())

    @property
    def logits(self) -> FloatArray:
        """(n,) float64; the detector's decision values, above 0 where it says generated."""
        return np.asarray(self.table.column("logit").to_numpy())

    @property
    def probabilities(self) -> FloatArray:
        """(n,) float64 in [0, 1]."""
        return np.asarray(self.table.column("probability").to_numpy())

    def codes(self, column: str) -> tuple[IntArray, list[str]]:
        """A text column as codes (n,), −1 for null, and the values that the codes stand for."""
        values = self.table.column(column)
        if not pa.types.is_dictionary(values.type):
            values = pc.dictionary_encode(values)
        values = values.unify_dictionaries().combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = values.chunk(0) if values.num_chunks else pa.array([], values.type)
        codes = pc.fill_null(values.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        return codes, values.dictionary.to_pylist()

    def names(self, column: str) -> list[str]:
        """The values that occur in a text column, in order of first appearance, nulls left out."""
        codes, values = self.codes(column)
        present, first = np.unique(codes, return_index=True)
        return [values[c] for c in present[np.argsort(first)] if c >= 0]

    def select(self, **wanted: str | None) -> Predictions:
        """The rows whose columns have the given values (None for null): ``select(part="test")``."""
        keep = np.ones(len(self), dtype=bool)
        for column, value in wanted.items():
            codes, values = self.codes(column)
            keep &= codes == (-1 if value is None else values.index(value) if value in values else -2)
        return self.rows(keep)

    def rows(self, rows: AnyArray) -> Predictions:
        """The rows of a boolean mask (n,) or of indices."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            if rows.all():
                return self
            rows = np.flatnonzero(rows)
        return Predictions(self.table.take(pa.array(rows)), self.run)

    def images(self) -> IntArray:
        """Code (n,) of each row's image: equal sha256, else equal uri, else the row by itself."""
        codes, _ = self.codes("sha256")
        if (codes < 0).any():
            uris, _ = self.codes("uri")
            missing = codes < 0
            codes = codes.copy()
            codes[missing] = codes.max(initial=-1) + 1 + uris[missing]
            missing &= uris < 0
            codes[missing] = codes.max(initial=-1) + 1 + np.arange(int(missing.sum()))
        return codes

    def clusters(self, real_groups: str = "source") -> IntArray:
        """Code (n,) of what is resampled together: a fake's lineage (else generator), a real's source.

        With ``real_groups="image"`` every real image stands for itself; so does an image of unknown
        lineage, generator or source. Codes of reals and fakes are disjoint.
        """
        if real_groups not in ("source", "image"):
            raise UsageError(f"real_groups is {real_groups!r}; choose 'source' or 'image'")
        fake = self.labels == 1
        result = np.full(len(self), -1, dtype=np.int64)
        top = 0
        for rows, columns in ((fake, ("lineage", "generator")), (~fake, ("source",))):
            for column in columns if rows is fake or real_groups == "source" else ():
                codes, names = self.codes(column)
                take = rows & (result < 0) & (codes >= 0)
                result[take] = top + codes[take]
                top += len(names)
        lonely = result < 0
        if lonely.any():
            images = self.images()[lonely]
            result[lonely] = top + 2 * images + fake[lonely]
        return result


def _is_column(value: Any) -> bool:
    return isinstance(value, np.ndarray | list | tuple | pa.Array | pa.ChunkedArray)


def _as_arrow(value: Any, name: str, n: int) -> pa.Array | pa.ChunkedArray:
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return value
    kind = SCHEMA.field(name).type
    if _is_column(value):
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        try:
            return pa.array(value, type=plain, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise UsageError(f"column {name} does not hold {plain} values: {error}") from error
    if value is None:
        return pa.nulls(n, kind)
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([str(value)]))
    return pa.array(np.full(n, value), type=kind)


_FAILED = "error"
_LABELS = {"0": 0, "1": 1, "real": 0, "fake": 1}


def _read_parquet(path: Path) -> pa.Table:
    file = pq.ParquetFile(path)
    return _scored(file.read(columns=[n for n in file.schema_arrow.names if n in {*SCHEMA.names, _FAILED}]))


def _read_csv(path: Path) -> pa.Table:
    import pyarrow.csv

    # Texts stay texts: an id may look like a number.
    texts = {f.name: pa.string() for f in SCHEMA if not pa.types.is_primitive(f.type) or f.name == "label"}
    options = pyarrow.csv.ConvertOptions(
        column_types={**texts, _FAILED: pa.string()}, strings_can_be_null=True, null_values=[""]
    )
    table = pyarrow.csv.read_csv(path, convert_options=options)
    return _scored(table.select([n for n in table.column_names if n in {*SCHEMA.names, _FAILED}]))


def _scored(table: pa.Table) -> pa.Table:
    """The rows of images that were scored; those with an error were not."""
    if _FAILED not in table.column_names:
        return table
    return table.filter(pc.is_null(table.column(_FAILED))).drop_columns([_FAILED])


def _number_labels(column: Any) -> Any:
    """Labels as numbers, where they are words or texts."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    found = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))
    unknown = [one for one in pc.unique(found).to_pylist() if one is not None and one not in _LABELS]
    if unknown:
        raise UsageError(
            f"labels are 0 or real, and 1 or fake, not {', '.join(map(repr, sorted(unknown)[:5]))}"
        )
    return pa.array([None if one is None else _LABELS[one] for one in found.to_pylist()], pa.int8())


def _complete(columns: Mapping[str, Any], n: int) -> pa.Table:
    """A checked table of `SCHEMA`: missing columns filled, logit and probability derived."""
    columns = dict(columns)
    if "label" not in columns:
        raise UsageError("the column `label` (0 real, 1 generated) is missing")
    if "logit" not in columns and "probability" not in columns:
        raise UsageError("write `logit`, `probability`, or both; neither is there")
    if "logit" not in columns:
        p = _numbers(columns["probability"], "probability")
        # 0 and 1 have no finite logit; the bounds are the last float64 steps before them.
        p = np.clip(p, np.finfo(np.float64).tiny, 1 - np.finfo(np.float64).epsneg)
        columns["logit"] = pa.array(np.log(p) - np.log1p(-p))
    if "probability" not in columns:
        columns["probability"] = pa.array(sigmoid(_numbers(columns["logit"], "logit")))
    ready = []
    for entry in SCHEMA:
        if entry.name in columns:
            given = columns[entry.name]
            ready.append(_cast(_number_labels(given) if entry.name == "label" else given, entry))
        elif entry.name in _DEFAULTS:
            ready.append(_as_arrow(_DEFAULTS[entry.name], entry.name, n))
        else:
            ready.append(pa.nulls(n, entry.type))
    try:
        table = pa.table(ready, schema=SCHEMA)
    except pa.ArrowException as error:
        raise UsageError(f"the columns do not make a table: {error}") from error
    _check_values(table)
    return table.unify_dictionaries().combine_chunks()


def _cast(column: Any, entry: pa.Field) -> Any:
    try:
        if pa.types.is_dictionary(entry.type):
            if not pa.types.is_dictionary(column.type):
                column = pc.dictionary_encode(column.cast(pa.string()))
            return column if column.type == entry.type else column.cast(entry.type)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        return column.cast(entry.type)
    except pa.ArrowException as error:
        raise UsageError(f"column {entry.name} cannot be read as {entry.type}: {error}") from error


def _empty_rows(column: Any) -> str:
    return f"{column.null_count:,} empty row{'' if column.null_count == 1 else 's'}"


def _numbers(column: Any, name: str) -> FloatArray:
    if column.null_count:
        raise UsageError(f"column {name} has {_empty_rows(column)}; leave unscored images out")
    try:
        values = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False))
    except (pa.ArrowException, TypeError) as error:
        raise UsageError(f"column {name} does not hold numbers: {error}") from error
    if not np.isfinite(values).all():
        raise UsageError(f"column {name} holds NaN or infinity; leave those rows out")
    return values


def _check_values(table: pa.Table) -> None:
    for entry in SCHEMA:
        if not entry.nullable and table.column(entry.name).null_count:
            empty = _empty_rows(table.column(entry.name))
            more = " (as from `detect --label-from folders`); leave images without one out"
            more = more if entry.name == "label" else ""
            raise UsageError(f"column {entry.name} has {empty}; every row needs it{more}")
    labels = np.asarray(table.column("label").to_numpy())
    if not np.isin(labels, (0, 1)).all():
        raise UsageError(f"labels must be 0 (real) or 1 (generated), not {sorted(set(labels.tolist()))[:5]}")
    _numbers(table.column("logit"), "logit")
    p = _numbers(table.column("probability"), "probability")
    if len(p) and (p.min() < 0 or p.max() > 1):
        raise UsageError(f"probabilities lie between 0 and 1, not {p.min():.4g} to {p.max():.4g}")
    words = pc.unique(table.column("verdict").cast(pa.string())).to_pylist()
    strange = sorted({w for w in words if w is not None and w not in VERDICTS})
    if strange:
        raise UsageError(f"unknown verdicts {strange}; use {list(VERDICTS)} or leave them empty")
    parts = set(pc.unique(table.column("part").cast(pa.string())).to_pylist())
    if not parts <= {"test", "held_in"}:
        raise UsageError(f"part must be 'test' or 'held_in', not {sorted(parts)}")


def sigmoid(logits: FloatArray) -> FloatArray:
    """1 / (1 + exp(−x)) without overflow, (n,)."""
    from scipy.special import expit

    return np.asarray(expit(logits))
