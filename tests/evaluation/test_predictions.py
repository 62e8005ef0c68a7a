"""The predictions table: round trip, equal bytes, foreign files, and refusals."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from morelli.errors import ArtifactError, UsageError
from morelli.evaluation import Predictions
from morelli.evaluation._predictions import SCHEMA


def _table(run=None):
    return Predictions.from_columns(
        run,
        label=[0, 1, 1],
        logit=[-1.0, 0.5, 3.0],
        sha256=["a" * 64, "b" * 64, "c" * 64],
        generator=[None, "sd", "sd"],
        lineage=[None, "ldm", None],
        source=["coco", None, None],
        protocol="fixed",
        detector="probe",
    )


def test_round_trip_keeps_rows_and_run(tmp_path):
    written = _table({"seed": 3, "protocols": ["fixed"]})
    digest = written.write(tmp_path / "p.parquet")
    read = Predictions.read(tmp_path / "p.parquet")
    assert read.table.equals(written.table)
    assert read.table.schema.names == SCHEMA.names
    assert read.run == {"seed": 3, "protocols": ["fixed"]}
    assert read.write(tmp_path / "again.parquet") == digest
    assert (tmp_path / "p.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.parquet", "p.parquet"]


def test_probability_and_logit_follow_from_each_other():
    table = _table()
    np.testing.assert_allclose(table.probabilities, 1 / (1 + np.exp(-table.logits)), rtol=1e-14)
    back = Predictions.from_columns(label=[0, 1, 1], probability=table.probabilities)
    np.testing.assert_allclose(back.logits, table.logits, atol=1e-12)
    assert np.isfinite(Predictions.from_columns(label=[0, 1], probability=[0.0, 1.0]).logits).all()


def test_another_tools_plain_parquet_is_read(tmp_path):
    foreign = pa.table(
        {"label": [0, 1], "probability": [0.2, 0.9], "generator": [None, "dalle"], "whatever": [1, 2]}
    )
    pq.write_table(foreign, tmp_path / "foreign.parquet")
    read = Predictions.read(tmp_path / "foreign.parquet")
    assert read.names("detector") == ["external"]
    assert read.names("generator") == ["dalle"]
    assert len(read.select(part="test")) == 2


def test_a_csv_file_is_read_like_parquet(tmp_path):
    rows = "uri,sha256,label,probability,generator,error\n"
    rows += "a.png,0012,real,0.25,,\nb.png,0013, Fake ,0.75,007,\nc.png,,fake,,sd,truncated\n"
    (tmp_path / "t.CSV").write_text(rows, encoding="utf-8-sig")
    read = Predictions.read(tmp_path / "t.CSV")
    assert read.labels.tolist() == [0, 1]
    assert read.probabilities.tolist() == [0.25, 0.75]
    assert read.table.column("sha256").to_pylist() == ["0012", "0013"]
    assert read.names("generator") == ["007"]
    pq.write_table(pa.table({"label": ["fake", "real"], "logit": [1.0, -1.0]}), tmp_path / "words.parquet")
    assert Predictions.read(tmp_path / "words.parquet").labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("label,probability\nai,0.4\n", "labels are 0 or real, and 1 or fake, not 'ai'"),
        ("label,probability\n,0.4\n", "column label has 1 empty row;.*--label-from folders.*leave"),
        ("label,probability\n1,high\n", "probability"),
        ("label,probability\n1\n", "cannot be read as CSV"),
        ("", "cannot be read as CSV"),
    ],
)
def test_a_csv_file_that_cannot_be_used_says_why(tmp_path, text, says):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ArtifactError, match=says):
        Predictions.read(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [0, 1]}, "logit"),
        ({"logit": [0.1, 0.2]}, "label"),
        ({"label": [0, 2], "logit": [0.1, 0.2]}, "labels must be 0"),
        ({"label": [0, 1], "logit": [0.1, float("nan")]}, "empty row|NaN"),
        ({"label": [0, 1], "probability": [0.1, 1.2]}, "between 0 and 1"),
        ({"label": [0, 1], "logit": [0.1, 0.2], "verdict": ["ai", "fake"]}, "unknown verdicts"),
        ({"label": [0, 1], "logit": [0.1, 0.2], "part": ["test", "train"]}, "held_in"),
        ({"label": [0, 1], "logit": [0.1, 0.2], "colour": ["r", "g"]}, "unknown columns"),
        ({"label": [0, 1], "logit": [0.1]}, "one length"),
    ],
)
def test_impossible_tables_are_refused(columns, message):
    with pytest.raises(UsageError, match=message):
        Predictions.from_columns(**columns)


def test_damaged_and_foreign_files_say_so(tmp_path):
    with pytest.raises(ArtifactError, match="does not exist"):
        Predictions.read(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(ArtifactError, match="cannot be read as Parquet"):
        Predictions.read(tmp_path / "bad.parquet")
    table = _table().table.replace_schema_metadata({"morelli.predictions.version": "99"})
    pq.write_table(table, tmp_path / "new.parquet")
    with pytest.raises(ArtifactError, match="version 99"):
        Predictions.read(tmp_path / "new.parquet")


def test_clusters_are_lineages_and_sources_and_never_shared():
    table = Predictions.from_columns(
        label=[1, 1, 1, 1, 0, 0, 0],
        logit=np.zeros(7),
        uri=list("abcdefg"),
        lineage=["x", "x", None, None, None, None, None],
        generator=["p", "q", "r", None, None, None, None],
        source=[None, None, None, None, "x", "x", None],
    )
    strict = table.clusters().tolist()
    assert strict[0] == strict[1]
    assert strict[4] == strict[5]
    assert len(set(strict)) == 5
    assert len(set(table.clusters("image").tolist())) == 6
