"""Items that are sent to another process read the same bytes there."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from morelli.errors import ImageError, MissingPartError
from morelli.images import iter_source, read_bytes


def pictures(count: int) -> list[bytes]:
    found = []
    for number in range(count):
        file = io.BytesIO()
        Image.new("RGB", (16, 16), (number, 40, 90)).save(file, "PNG")
        found.append(file.getvalue())
    return found


def write(path: Path, files: list[bytes]) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for number, data in enumerate(files):
                archive.writestr(f"{number:02}.png", data)
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({"image": files}), path, row_group_size=5)
    elif path.suffix in {".tar", ".gz"}:
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
            for number, data in enumerate(files):
                member = tarfile.TarInfo(f"{number:02}.png")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    else:
        path.mkdir()
        for number, data in enumerate(files):
            (path / f"{number:02}.png").write_bytes(data)


@pytest.mark.parametrize("name", ["folder", "a.zip", "a.tar", "a.tar.gz", "a.parquet"])
def test_items_read_the_same_in_another_process(name: str, tmp_path: Path) -> None:
    files = pictures(20)
    write(tmp_path / name, files)
    items = list(iter_source(tmp_path / name))
    # Parts out of order, as several workers of one machine get them.
    for first in (12, 0, 6):
        arrived = pickle.loads(pickle.dumps(items[first : first + 8]))
        assert [item.uri for item in arrived] == [item.uri for item in items[first : first + 8]]
        assert [read_bytes(item) for item in arrived] == files[first : first + 8]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.parquet"])
def test_an_archive_that_the_other_process_does_not_have_is_a_reason(name: str, tmp_path: Path) -> None:
    write(tmp_path / name, pictures(3))
    item = pickle.dumps(next(iter_source(tmp_path / name)))
    (tmp_path / name).unlink()
    with pytest.raises(ImageError):
        read_bytes(pickle.loads(item))


def test_problems_and_errors_keep_their_reasons(tmp_path: Path) -> None:
    (item,) = pickle.loads(pickle.dumps(list(iter_source(tmp_path / "none.png"))))
    assert item.problem.reason == "missing"
    with pytest.raises(ImageError) as error:
        read_bytes(item)
    assert str(error.value) == str(item.problem)
    missing = pickle.loads(pickle.dumps(MissingPartError("no-bank", "No bank.", "Load one.")))
    assert (missing.code, str(missing)) == ("no-bank", "No bank. Load one.")
