"""Every kind of source gives the same pictures, in a fixed order, each once."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from morelli.errors import UsageError
from morelli.images import ImageItem, Limits, decode, iter_source
from tests.images.hostile import encoded, photo


def jpeg(grey: int) -> bytes:
    """A picture whose mean tells which one it is."""
    return encoded("JPEG", photo((16, 16)).point(lambda v: v // 8 + grey))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    for part in ("0_real/a", "1_fake", "notes"):
        (root / part).mkdir(parents=True)
    (root / "0_real" / "a" / "2.jpg").write_bytes(jpeg(20))
    (root / "0_real" / "10.jpg").write_bytes(jpeg(10))
    (root / "1_fake" / "x.png").write_bytes(encoded("PNG"))
    (root / "1_fake" / "without-suffix").write_bytes(encoded("WEBP"))
    (root / "1_fake" / "wrong.txt").write_bytes(encoded("GIF"))
    (root / "notes" / "readme.txt").write_text("nothing")
    (root / "notes" / "list.csv").write_text("path\n")
    (root / "UPPER.JPEG").write_bytes(jpeg(30))
    return root


def names(items: list[ImageItem], root: Path) -> list[str]:
    return [str(Path(item.uri).relative_to(root)) for item in items]


def test_a_folder_is_listed_in_the_order_of_names(folder):
    items = list(iter_source(folder))
    expected = [
        "0_real/10.jpg",
        "0_real/a/2.jpg",
        "1_fake/without-suffix",
        "1_fake/wrong.txt",
        "1_fake/x.png",
    ]
    assert names(items, folder) == [*expected, "UPPER.JPEG"]
    assert [decode(item.read()).facts.format for item in items] == [
        "JPEG",
        "JPEG",
        "WEBP",
        "GIF",
        "PNG",
        "JPEG",
    ]
    assert all(item.label is None and item.problem is None for item in items)
    assert names(list(iter_source(folder, recursive=False)), folder) == ["UPPER.JPEG"]


def test_folders_are_labels_only_when_asked(folder):
    labels = [item.label for item in iter_source(folder, label_from="folders")]
    assert labels == [0, 0, 1, 1, 1, None]
    labels = [item.label for item in iter_source(folder, label_from="folders", label=1, generator="g")]
    assert labels == [0, 0, 1, 1, 1, 1]
    with pytest.raises(UsageError):
        iter_source(folder, label_from="names")
    with pytest.raises(UsageError):
        iter_source(folder, label=2)


def test_each_path_is_given_once(folder, monkeypatch):
    monkeypatch.chdir(folder)
    specs = ["1_fake", folder / "1_fake" / "x.png", "1_fake/../1_fake/x.png", "1_fake/*.png", "."]
    uris = [item.uri for item in iter_source(specs)]
    assert uris[:3] == ["1_fake/without-suffix", "1_fake/wrong.txt", "1_fake/x.png"]
    assert sorted(Path(u).name for u in uris) == sorted({Path(u).name for u in uris})
    assert len(uris) == 6


def test_globs(folder):
    assert names(list(iter_source(str(folder / "*" / "*.jpg"))), folder) == ["0_real/10.jpg"]
    found = names(list(iter_source(str(folder / "**" / "*.jpg"))), folder)
    assert found == ["0_real/10.jpg", "0_real/a/2.jpg"]
    (nothing,) = iter_source(str(folder / "*.xyz"))
    assert nothing.problem is not None
    assert nothing.problem.reason == "missing"


def test_remote_addresses_are_refused():
    with pytest.raises(UsageError, match="download"):
        list(iter_source("https://example.org/a.jpg"))


def table() -> list[dict[str, str]]:
    return [
        {"path": "0_real/10.jpg", "label": "Real", "generator": "", "source": "coco", "era": ""},
        {"path": "1_fake/x.png", "label": "1", "generator": "adm", "source": "", "era": "2021"},
        {"path": "UPPER.JPEG", "label": "", "generator": "", "source": "", "era": ""},
        {"path": "1_fake/x.png", "label": "1", "generator": "adm", "source": "", "era": "2021"},
    ]


@pytest.mark.parametrize("kind", ["csv", "bom", "tsv", "parquet"])
def test_manifests(folder, kind):
    rows = table()
    path = folder / {"bom": "m.csv"}.get(kind, f"m.{kind}")
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="", encoding="utf-8-sig" if kind == "bom" else "utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if kind == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    items = list(iter_source(path))
    assert names(items, folder) == ["0_real/10.jpg", "1_fake/x.png", "UPPER.JPEG"]
    assert [(i.label, i.generator, dict(i.metadata)) for i in items] == [
        (0, None, {"source": "coco"}),
        (1, "adm", {"era": "2021"}),
        (None, None, {}),
    ]
    assert decode(items[1].read()).facts.format == "PNG"


def test_a_manifests_paths_may_have_another_root(folder, tmp_path):
    manifest = tmp_path / "elsewhere.csv"
    manifest.write_text("image,label\n10.jpg,0\n../1_fake/x.png,fake\n")
    items = list(iter_source(manifest, root=folder / "0_real"))
    assert [(decode(i.read()).facts.format, i.label) for i in items] == [("JPEG", 0), ("PNG", 1)]


@pytest.mark.parametrize(
    ("column", "label"), [("real", 0), ("FAKE", 1), ("AI", 1), ("generated", 1), ("0", 0)]
)
def test_spellings_of_labels(folder, column, label):
    (folder / "m.csv").write_text(f"file,label\nUPPER.JPEG,{column}\n")
    (item,) = iter_source(folder / "m.csv")
    assert item.label == label


def test_numbers_in_parquet_are_labels(folder):
    pq.write_table(
        pa.table({"path": ["UPPER.JPEG", "1_fake/x.png"], "label": [0.0, 1.0]}), folder / "m.parquet"
    )
    assert [item.label for item in iter_source(folder / "m.parquet")] == [0, 1]


def shard(path: Path, count: int = 30, size: int = 0) -> dict[str, bytes]:
    """A webdataset shard of `count` samples, with padding of `size` bytes after each picture."""
    pictures = {}
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for index in range(count):
            name = f"part/{index:04d}"
            pictures[f"{name}.jpg"] = jpeg(index * 5) + bytes(size)
            sidecar = json.dumps({"generator": "sd", "seed": index, "nested": {"a": 1}}).encode()
            members = {".jpg": pictures[f"{name}.jpg"], ".cls": str(index % 2).encode(), ".json": sidecar}
            members[".txt"] = f"caption {index}".encode()
            for suffix, data in members.items():
                info = tarfile.TarInfo(name + suffix)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return pictures


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_webdataset_shards(tmp_path, suffix):
    path = tmp_path / f"shard{suffix}"
    pictures = shard(path)
    items = list(iter_source(path))
    assert [item.uri for item in items] == [f"{path}::{name}" for name in pictures]
    assert [item.label for item in items] == [0, 1] * 15
    assert {item.generator for item in items} == {"sd"}
    assert dict(items[7].metadata) == {"seed": "7", "text": "caption 7"}
    for order in (items, items[::-1], items[5::7]):
        assert [item.read() for item in order] == [pictures[item.uri.split("::")[1]] for item in order]


def test_streams_are_read_once_when_read_along(tmp_path, monkeypatch):
    import morelli.images._tar as tar

    path = tmp_path / "shard.tar.gz"
    pictures = shard(path, 40, size=200_000)
    opened = []
    real_open = tar.gzip.open
    monkeypatch.setattr(tar.gzip, "open", lambda *a: opened.append(a) or real_open(*a))
    monkeypatch.setattr(tar, "_MOST_KEPT", 1_000_000)
    assert [item.read() for item in iter_source(path)] == list(pictures.values())
    # Once more to see whether the shard's numbers 0 and 1 are labels or classes among others.
    assert len(opened) == 2
    listed = list(iter_source(path))
    opened.clear()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda item: item.read(), listed)) == list(pictures.values())
    # All at once needs one more pass; a thread that falls far behind may cost another, not one per image.
    assert len(opened) <= 5


def test_folders_in_a_zip_that_windows_divided_by_backslashes_give_labels(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in (
            "set\\real\\a.png",
            "set\\fake\\stylegan\\a.png",
            "set/real/b.png",
            "__MACOSX\\real\\._a.png",
        ):
            archive.writestr(zipfile.ZipInfo(name), encoded("PNG"))
    items = list(iter_source(tmp_path / "set.zip", label_from="folders"))
    assert [(item.label, item.generator) for item in items] == [(0, None), (1, "stylegan"), (0, None)]
    assert {item.read() for item in items} == {encoded("PNG")}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_zips_are_read_in_place_by_many_threads(tmp_path, method):
    path = tmp_path / "set.zip"
    pictures = {f"in/{i:03d}.jpg": jpeg(i) for i in range(60)}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in pictures.items():
            archive.writestr(name, data)
        archive.writestr("in/readme.txt", "no picture")
        archive.writestr("in/nameless", encoded("PNG"))
        archive.mkdir("in/folder")
    items = list(iter_source(path))
    assert [item.uri for item in items] == [f"{path}::{name}" for name in (*pictures, "in/nameless")]
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda item: item.read(), items * 3))
    assert read[: len(pictures)] == list(pictures.values())
    assert read == read[: len(items)] * 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set.zip"]


def test_one_member_can_be_named(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", jpeg(1))
        archive.writestr("b/c.jpg", jpeg(2))
    (item,) = iter_source(f"{path}::b/c.jpg")
    assert item.read() == jpeg(2)
    assert item.uri == f"{path}::b/c.jpg"
    (item,) = iter_source(f"{path}::nowhere.jpg")
    assert item.problem is not None
    assert item.problem.reason == "missing"


def test_folder_labels_hold_inside_archives(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fake/a.jpg", jpeg(1))
        archive.writestr("real/a.jpg", jpeg(2))
    assert [item.label for item in iter_source(path, label_from="folders")] == [1, 0]


def test_members_are_counted(tmp_path, folder):
    path = tmp_path / "many.tar"
    shard(path, 10)
    items = list(iter_source(path, limits=Limits(max_members=12)))
    assert items[-1].problem is not None
    assert items[-1].problem.reason == "too_many_members"
    assert len(items) <= 5
    items = list(iter_source(folder, limits=Limits(max_members=2)))
    assert [i.problem.reason for i in items if i.problem] == ["too_many_members"]


def test_reading_is_lazy_and_repeatable(folder):
    items = list(iter_source(folder / "UPPER.JPEG"))
    (folder / "UPPER.JPEG").write_bytes(jpeg(77))
    assert items[0].read() == jpeg(77) == items[0].read()


def test_the_development_manifest(shared_data):
    items = list(iter_source(shared_data / "aigi-dev" / "manifest.csv"))
    assert len(items) == 1414
    assert sum(item.label == 1 for item in items) == 724
    assert all(item.metadata["lineage"] and item.metadata["source"] for item in items if item.label == 1)
    for item in items[::50]:
        facts = decode(item.read()).facts
        assert facts.bytes == int(item.metadata["bytes"])
        assert facts.format == item.metadata["format"].replace("MPO", "JPEG")
