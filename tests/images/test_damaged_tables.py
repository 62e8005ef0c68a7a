"""Tables of pictures whose inside does not fit: a reason, and the rest of the batch goes on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
from PIL import Image

from morelli.errors import ImageError, UsageError
from morelli.images import iter_source
from morelli.images._arrow import _plausible


@pytest.fixture
def pictures(tmp_path: Path) -> pa.Table:
    """Two pictures as Hugging Face's `datasets` holds them."""
    rows = []
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 40), "teal").save(tmp_path / name)
        rows.append({"bytes": (tmp_path / name).read_bytes(), "path": name})
    return pa.table({"image": pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))})


def test_a_batch_of_fewer_than_no_rows_is_refused(pictures: pa.Table) -> None:
    (batch,) = pictures.to_batches()
    assert _plausible(batch) is batch
    # A stand-in: a file that says so could end the process of a reader that does not look first.
    with pytest.raises(ValueError, match="fewer than no rows"):
        _plausible(cast("pa.RecordBatch", SimpleNamespace(num_rows=-1)))


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
def test_a_large_group_is_one_reason_for_each_of_its_pictures(
    tmp_path: Path, pictures: pa.Table, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / f"set.{suffix}"
    if suffix == "parquet":
        pyarrow.parquet.write_table(pictures, file)
    else:
        with pyarrow.ipc.new_file(file, pictures.schema) as writer:
            writer.write_table(pictures)
    assert [len(item.read()) > 50 for item in iter_source(str(file))] == [True, True]
    monkeypatch.setattr("morelli.images._parquet._MOST_GROUP", 10)
    items = list(iter_source(str(file)))
    assert len(items) == 2
    if suffix == "arrow":  # nothing is decompressed: the file's own size is the bound
        assert all(item.read() for item in items)
        return
    for item in items:
        with pytest.raises(ImageError, match="row group"):
            item.read()


def test_a_cut_table_is_a_sentence(tmp_path: Path, pictures: pa.Table) -> None:
    file = tmp_path / "set.parquet"
    pyarrow.parquet.write_table(pictures, file)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UsageError, match=r"set\.parquet is not a readable Parquet file"):
        list(iter_source(str(file)))
