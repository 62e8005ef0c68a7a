"""What `morelli detect` writes: JSON, JSON Lines, CSV and Parquet, one record at a time.

Every file grows beside its final name as `NAME.PID.part` and takes the name when it is whole, so a reader
never meets half a result, two runs never mix, and an interrupted run leaves what it had under a name that
says so. Pipes and devices are written to directly, and a link stays one.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

from morelli.cli._console import stdout_is_closed
from morelli.cli._errors import warn
from morelli.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.detectors import Neighbor
    from morelli.inspection import Detection

SCHEMA_VERSION = 1

LABELS = {0: "real", 1: "fake"}

# A mark of its own for each claim: colour alone says nothing to a log file or to colour-blind eyes.
CLAIMS = {
    "generated": ("▲", "generated", "dark_orange3"),
    "edited_with_ai": ("△", "edited with AI", "dark_orange3"),
    "processed": ("◇", "processed", "yellow3"),
    "captured": ("●", "captured", "dodger_blue1"),
    "camera": ("○", "camera data", "dodger_blue1"),
    "none": ("–", "no claim", "grey58"),
}
STRENGTHS = {
    "signed_trusted": "signed, trusted",
    "signed_unknown": "signed, unknown signer",
    "statement": "not signed",
    "weak": "weak",
}


def record(detection: Detection) -> dict[str, Any]:
    """A detection as JSON-ready values; a failed one holds `error` instead of a verdict."""
    row: dict[str, Any] = {"uri": detection.uri}
    if detection.label is not None:
        row["label"] = LABELS[detection.label]
    if detection.generator is not None:
        row["generator"] = detection.generator
    if detection.failure is not None:
        row["error"] = {"reason": detection.failure.reason, "message": str(detection.failure)}
        return row
    verdict, facts = detection.verdict, detection.facts
    if verdict is not None and facts is not None:
        row |= {
            "sha256": facts.sha256,
            "verdict": verdict.verdict,
            "probability": verdict.probability,
            "interval": list(verdict.interval),
            "logit": verdict.logit,
            # A bundle without a bank knows no distance; JSON has no nan.
            "domain_distance": None if math.isnan(verdict.domain_distance) else verdict.domain_distance,
            "neighbors": [_neighbor(neighbor) for neighbor in verdict.neighbors],
            "reasons": list(verdict.reasons),
            "family": None if verdict.family is None else asdict(verdict.family),
            **({} if verdict.ensemble is None else {"ensemble": verdict.ensemble.to_json()}),
            "width": facts.width,
            "height": facts.height,
            "format": facts.format,
            "bytes": facts.bytes,
            "notes": list(facts.notes),
            "provenance": [asdict(finding) for finding in detection.provenance],
        }
    if detection.second is not None:
        row["second"] = asdict(detection.second)
    if detection.stability is not None:
        row["stability"] = asdict(detection.stability)
    return row


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON record spread over the columns of CSV and Parquet."""
    from morelli.inspection.answers import COLUMNS

    flat_row: dict[str, Any] = {name: row.get(name) for name in COLUMNS if name not in {"error", "notes"}}
    if "error" in row:
        return flat_row | {
            "error": row["error"]["reason"],
            "error_message": row["error"]["message"],
            "notes": None,
            "provenance": None,
        }
    low, high = row["interval"]
    flat_row |= {"probability_low": low, "probability_high": high}
    if (family := row["family"]) is not None:
        flat_row |= {"family": family["family"], "family_probability": family["probability"]}
    if (stability := row.get("stability")) is not None:
        flat_row |= {
            "stability_low": stability["low"],
            "stability_high": stability["high"],
            "flips": stability["flips"],
        }
    if (second := row.get("second")) is not None:
        low, high = second["interval"]
        flat_row |= {
            "second_verdict": second["verdict"],
            "second_probability": second["probability"],
            "second_low": low,
            "second_high": high,
            "agreement": second["agreement"],
        }
    for label, name in (("fake", "nearest_generated"), ("real", "nearest_real")):
        nearest = next((neighbor for neighbor in row["neighbors"] if neighbor["label"] == label), None)
        if nearest is not None:
            flat_row |= {name: neighbor_name(nearest), f"{name}_similarity": nearest["similarity"]}
    flat_row |= {
        "reasons": "; ".join(row["reasons"]),
        "notes": "; ".join(row["notes"]),
        "provenance": "; ".join(claim_words(finding) for finding in row["provenance"]),
    }
    return flat_row | {"error": None, "error_message": None}


def neighbor_name(neighbor: Mapping[str, Any]) -> str:
    """How a neighbour of the bank is called in a table: its generator or source, else where it lay."""
    made = neighbor["generator"]
    # Many data sets write "real" where a real image has no generator; that would say nothing here.
    name = None if made in LABELS.values() else made
    return str(name or neighbor["uri"] or neighbor["id"][:12])


def claim_words(finding: Mapping[str, Any]) -> str:
    """A finding in a few words: its claim, and the tool with its version where one is named.

    >>> claim_words({"claims": "generated", "tool": "ComfyUI", "version": None})
    'generated: ComfyUI'
    """
    words = CLAIMS[finding["claims"]][1]
    tool = " ".join(filter(None, (finding["tool"], finding["version"])))
    return f"{words}: {tool}" if tool else words


def _neighbor(neighbor: Neighbor) -> dict[str, Any]:
    return {
        "id": neighbor.id,
        "label": LABELS[neighbor.label],
        "generator": neighbor.generator,
        "similarity": neighbor.similarity,
        "uri": neighbor.uri,
    }


class Output(Protocol):
    """A place that takes records one by one and is whole once its `with` block ends well."""

    target: str

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, row: Mapping[str, Any]) -> None:
        """Take one record, as `record` makes it."""


class _TextOutput:
    """A text output to a file or, for the name `-`, to stdout."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._stack = ExitStack()
        self._file: IO[bytes]

    def __enter__(self) -> Self:
        self._file = self._stack.enter_context(_opened(self.target))
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            self._end()

    def _begin(self) -> None:
        """Write what stands before the first record."""

    def _end(self) -> None:
        """Write what stands after the last record."""

    def _put(self, text: str) -> None:
        # A file name that is no Unicode comes as lone surrogates; their escape is also valid JSON.
        self._file.write(text.encode("utf-8", "backslashreplace"))


class JsonLines(_TextOutput):
    """One JSON object a line, failures included."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Take one record."""
        self._put(json.dumps(row, ensure_ascii=False) + "\n")


class Csv(_TextOutput):
    """One line a record, flat, failures included; a file begins with a byte order mark, stdout does not.

    With `beside` there are columns for a second detector.
    """

    def __init__(self, target: str, *, beside: bool = False) -> None:
        super().__init__(target)
        self._columns = _columns(beside=beside)

    def _begin(self) -> None:
        from morelli.artefacts.text import csv_line, csv_table

        names = list(self._columns)
        self._line = partial(csv_line, names)
        self._put(csv_table(names, (), mark=self.target != "-"))

    def write(self, row: Mapping[str, Any]) -> None:
        """Take one record."""
        values = flat(row)
        self._put(self._line([values.get(name) for name in self._columns]))


class JsonDocument(_TextOutput):
    """One JSON document: what judged (`head`), the `results` (failures included), the `summary`.

    Results are written as they come; `summary` is filled by the caller before the block ends.
    """

    def __init__(self, target: str, head: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
        super().__init__(target)
        self._head, self._summary, self._count = head, summary, 0

    def _begin(self) -> None:
        head = json.dumps({"schema": SCHEMA_VERSION, **self._head}, ensure_ascii=False, indent=1)
        self._put(head.removesuffix("\n}") + ',\n "results": [')

    def write(self, row: Mapping[str, Any]) -> None:
        """Take one record."""
        self._put(("," if self._count else "") + "\n  " + json.dumps(row, ensure_ascii=False))
        self._count += 1

    def _end(self) -> None:
        self._put(f'\n ],\n "summary": {json.dumps(self._summary, ensure_ascii=False)}\n}}\n')


class Parquet:
    """A Parquet file, flat, in row groups of 4,096 records, failures included."""

    GROUP = 4096

    def __init__(self, target: str, *, beside: bool = False) -> None:
        self.target = target
        self._columns = _columns(beside=beside)
        self._stack = ExitStack()
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        import pyarrow.parquet

        self._schema = _schema(self._columns)
        file = self._stack.enter_context(_opened(self.target))
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            with suppress(Exception):  # the first error counts
                self._flush()
                self._writer.close()
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            self._flush()
            self._writer.close()

    def write(self, row: Mapping[str, Any]) -> None:
        """Take one record."""
        self._rows.append(flat(row))
        if len(self._rows) == self.GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            rows = [{name: _encodable(value) for name, value in row.items()} for row in self._rows]
            self._writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))
            self._rows.clear()


@contextmanager
def _opened(target: str) -> Iterator[IO[bytes]]:
    """The open file of an output: stdout for `-`, else one that takes the name when it is whole."""
    from morelli.artefacts import replacing_file

    if target == "-":
        if stdout_is_closed():
            raise UsageError("stdout is closed, so nothing can be written to it; name a file instead of -")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    # Without a lock: it would be held for hours, and of two runs the last may win.

    part = f"{Path(target).name}.{os.getpid()}.part"
    try:
        with replacing_file(target, lock=False, growing=part) as file:
            yield file
    except KeyboardInterrupt:
        grown = Path(os.path.realpath(target)).with_name(part)
        with suppress(OSError):
            if grown.stat().st_size:
                warn(f"{grown} holds what was done until now")
        raise


def _columns(*, beside: bool) -> dict[str, type]:
    from morelli.inspection.answers import COLUMNS, SECOND_COLUMNS

    return COLUMNS | SECOND_COLUMNS if beside else COLUMNS


def _schema(columns: Mapping[str, type]) -> pa.Schema:
    import pyarrow as pa

    kinds = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}
    return pa.schema([(name, kinds[kind]) for name, kind in columns.items()])


def _encodable(value: object) -> object:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
