"""The table on disk: round trips, identity of rows, errors that name the next step, no leftovers."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from morelli.encoders import Build
from morelli.errors import ArtifactError, BuildMismatchError, UsageError
from morelli.features import Features, FeatureTable
from morelli.features._failures import Failure
from morelli.features._schema import COLUMNS

BUILD = Build(encoder="clip-vit-b16", weights="ab", transform="clip-224-bicubic-crop-v1", dtype="float32")
KINDS = {"final": 5, "tokens:2": (3, 2), "layer:2": (4,)}


def some_rows(n: int, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    return Features.from_arrays(
        {
            "final": rng.normal(size=(n, 5)),
            "tokens:2": rng.normal(size=(n, 3, 2)),
            "layer:2": rng.normal(size=(n, 4)),
        },
        labels=[row % 2 for row in range(n)],
        build=BUILD,
        era=[f"era {row % 3}" for row in range(n)],
        phash=[2**64 - 1 - row for row in range(n)],
        camera=[f"camera {row}" if row else None for row in range(n)],
    )


@pytest.fixture
def table(tmp_path: Path) -> FeatureTable:
    made = FeatureTable.create(tmp_path / "F.lance", BUILD, KINDS)
    for seed in range(3):
        made.append(some_rows(10, seed))
    return made


def test_rows_come_back_as_they_went_in(table: FeatureTable) -> None:
    expected = Features.concat([some_rows(10, seed) for seed in range(3)])
    again = FeatureTable.open(table.path)
    loaded = again.load()
    assert (again.build, again.kinds, len(again)) == (BUILD, tuple(KINDS), 30)
    assert loaded.meta.column_names == list(COLUMNS)
    assert loaded.meta.equals(expected.meta)
    for kind in KINDS:
        np.testing.assert_array_equal(loaded.vectors[kind], expected.vectors[kind])
        np.testing.assert_array_equal(again.vectors(kind), expected.vectors[kind])
    np.testing.assert_array_equal(again.vectors("final", [25, 3]), expected.vectors["final"][[25, 3]])


def test_compaction_keeps_rows_and_their_order(table: FeatureTable) -> None:
    before = table.load()
    with table.writing():
        table.compact()
        table.clean()
    assert len(list((table.path / "data").iterdir())) == 1
    after = FeatureTable.open(table.path).load()
    assert after.meta.equals(before.meta)
    np.testing.assert_array_equal(after.vectors["tokens:2"], before.vectors["tokens:2"])


def test_batches_stream_the_same_and_are_views(table: FeatureTable) -> None:
    whole = table.load()
    parts = list(table.batches(batch_size=7))
    assert [len(part) for part in parts] == [7, 7, 7, 7, 2]
    assert Features.concat(parts).meta.equals(whole.meta)
    for kind in KINDS:
        np.testing.assert_array_equal(Features.concat(parts).vectors[kind], whole.vectors[kind])
    with table.writing():
        table.compact()
    (only,) = table.batches(["final"], batch_size=30)
    assert not only.vectors["final"].flags.owndata


def test_rows_and_columns_can_be_chosen(table: FeatureTable) -> None:
    chosen = table.load(["final"], columns=["label", "camera"], where="era = 'era 1' AND label = 1")
    assert chosen.kinds == ("final",)
    assert chosen.meta.column_names == ["label", "camera"]
    assert chosen.column("camera").tolist() == ["camera 1", "camera 7"] * 3
    np.testing.assert_array_equal(
        chosen.vectors["final"], table.load().take([1, 7, 11, 17, 21, 27]).vectors["final"]
    )
    assert len(table.metadata(["uri"], where="label = 0")) == 15
    assert table.load([]).kinds == ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda table: table.vectors("layer:9"),
            r"layer:9; it has final,tokens:2,layer:2\. Extract .*,layer:2,layer:9\.",
        ),
        (lambda table: table.metadata(["lens"]), r"no column 'lens'.*camera"),
        (lambda table: table.load(where="lens = 1"), r"filter 'lens = 1' cannot be used"),
        (lambda table: list(table.batches(where="lens = 1")), r"filter .*cannot be used"),
    ],
)
def test_wrong_requests_say_what_there_is(table: FeatureTable, call, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(table)


def test_a_row_is_there_once(table: FeatureTable) -> None:
    with pytest.raises(UsageError, match="1 of 2 rows are in"):
        table.append(Features.concat([some_rows(10, seed=2).take([3]), some_rows(1, seed=9)]))
    with pytest.raises(UsageError, match="1 of 2 rows"):
        table.append(some_rows(1, seed=9).take([0, 0]))
    assert len(FeatureTable.open(table.path)) == 30


def test_rows_of_another_build_are_refused_and_the_fields_named(table: FeatureTable) -> None:
    other = Build(encoder="clip-vit-b16", weights="cd", transform=BUILD.transform, dtype="bfloat16")
    rows = some_rows(2, seed=5)
    with pytest.raises(
        BuildMismatchError, match=r"weights: ab in the table, cd now\n.*dtype: float32"
    ) as caught:
        table.append(Features(rows.vectors, rows.meta, other))
    assert "encoder" not in str(caught.value).split("\n")[1]
    fewer = Features({"final": rows.vectors["final"]}, rows.meta, BUILD)
    with pytest.raises(BuildMismatchError, match=r"kinds: final \(5\), tokens:2 \(3×2\), .* final \(5\) now"):
        table.append(fewer)


def test_float16_halves_the_vectors_and_keeps_three_digits(tmp_path: Path) -> None:
    rows = some_rows(50)
    half = FeatureTable.create(tmp_path / "half.lance", BUILD, KINDS, dtype="float16")
    half.append(rows)
    loaded = FeatureTable.open(half.path).load()
    assert loaded.vectors["final"].dtype == np.float32
    np.testing.assert_allclose(loaded.vectors["final"], rows.vectors["final"], rtol=2**-11)
    assert half.spec.row_bytes == 2 * (5 + 6 + 4)


def test_what_is_no_table_is_said(tmp_path: Path) -> None:
    import lance
    import pyarrow as pa

    with pytest.raises(ArtifactError, match=r"no feature table at .*; make one with `morelli extract`"):
        FeatureTable.open(tmp_path / "none.lance")
    lance.write_dataset(pa.table({"x": [1]}), tmp_path / "other.lance")
    with pytest.raises(ArtifactError, match="not a feature table"):
        FeatureTable.open(tmp_path / "other.lance")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match="is not a feature table; choose another name"):
        FeatureTable.create(tmp_path / "photos", BUILD, KINDS)
    with pytest.raises(UsageError, match="of another program; choose another name"):
        FeatureTable.check_target(tmp_path / "other.lance")


def test_a_damaged_table_is_said(table: FeatureTable) -> None:
    for manifest in (table.path / "_versions").glob("*.manifest"):
        manifest.write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match="is damaged"):
        FeatureTable.open(table.path)


def test_one_writer_at_a_time_also_across_processes(table: FeatureTable) -> None:
    program = (
        "import sys; from morelli.features import FeatureTable\n"
        "with FeatureTable.open(sys.argv[1]).writing(): pass"
    )
    with table.writing():
        other = subprocess.run(
            [sys.executable, "-c", program, str(table.path)], capture_output=True, text=True, check=False
        )
        with pytest.raises(ArtifactError, match="another process is writing"), table.writing():
            pass
    assert other.returncode == 1
    assert "another process is writing" in other.stderr
    table.append(some_rows(1, seed=7))


def test_cleaning_removes_leftovers_and_nothing_of_ours(table: FeatureTable) -> None:
    (table.path / "data" / "left-by-a-kill.lance").write_bytes(b"half")
    with table.writing():
        table.record_failures([Failure("a.jpg", "truncated", "ends after 5 bytes – \udcff")])
    assert not (table.path / "data" / "left-by-a-kill.lance").exists()
    with table.writing():
        pass
    assert [f.uri for f in FeatureTable.open(table.path).failures()] == ["a.jpg"]
    table.record_failures([])
    assert table.failures() == [] and len(FeatureTable.open(table.path).load()) == 30


def test_importing_the_room_loads_no_heavy_library() -> None:
    program = (
        "import sys, morelli.features\n"
        "heavy = ['torch', 'transformers', 'sklearn', 'faiss', 'lance', 'matplotlib', 'scipy.sparse']\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_open_table_survives_another_writer(table: FeatureTable) -> None:
    reader = FeatureTable.open(table.path)
    before = reader.load()
    writer = FeatureTable.open(table.path)
    for seed in (7, 8):
        writer.append(some_rows(10, seed))
    with writer.writing():
        writer.compact()
        writer.clean()
    assert len(FeatureTable.open(table.path)) == 50
    assert len(reader) == 30
    assert reader.load().meta.equals(before.meta)
    np.testing.assert_array_equal(reader.vectors("final", [29, 0]), before.vectors["final"][[29, 0]])
    assert sum(len(part) for part in reader.batches(batch_size=8)) == 30


def test_what_no_reader_needs_is_removed_by_the_next_writer(table: FeatureTable) -> None:
    reader = FeatureTable.open(table.path)
    with table.writing():
        table.compact()
        table.clean()
    assert len(list((table.path / "data").iterdir())) > 1
    del reader
    gc.collect()
    with table.writing():
        pass
    assert len(list((table.path / "data").iterdir())) == 1


def test_a_version_that_is_gone_is_named_and_no_filter_is_blamed(table: FeatureTable) -> None:
    reader = FeatureTable.open(table.path)
    (table.path / "_morelli" / "readers").unlink()  # as on a file system without locks
    other = FeatureTable.open(table.path)
    del table
    gc.collect()
    with other.writing():
        other.compact()
        other.clean()
    for read in (reader.load, lambda: reader.vectors("final", [0]), lambda: list(reader.batches())):
        with pytest.raises(ArtifactError, match="open it again"):
            read()


def test_a_file_that_a_killed_writer_did_not_name_is_removed(tmp_path: Path) -> None:
    table = FeatureTable.create(tmp_path / "F.lance", BUILD, {"final": 3})
    table.append(Features.from_arrays(np.eye(3), labels=[0, 1, 1], build=BUILD))
    unfinished = tmp_path / "F.lance" / "_transactions" / ".tmpAbC123"
    unfinished.write_bytes(b"half a transaction")
    del table
    gc.collect()
    with FeatureTable.open(tmp_path / "F.lance").writing():
        pass
    assert not unfinished.exists()
    assert len(FeatureTable.open(tmp_path / "F.lance")) == 3
