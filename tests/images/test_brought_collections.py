"""Collections as people bring them: partitioned tables, tables that are something else, labels apart."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL.PngImagePlugin import PngInfo

from morelli.artefacts.outputs import MARK
from morelli.errors import ImageError, UsageError
from morelli.images import decode, iter_source
from morelli.images._distinct_names import DistinctNames
from morelli.images.layouts import SourceReport
from tests.images.hostile import encoded, photo
from tests.images.test_collections import write_folder, write_tar, write_zip

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n"


def table(path: Path, count: int = 2, **columns: list[object]) -> Path:
    """A Parquet file with pictures inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [{"bytes": encoded("PNG"), "path": f"{k}.png"} for k in range(count)]
    pq.write_table(pa.table({"image": pa.array(pictures, type=STRUCT), **columns}), path)
    return path


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ("label=fake/generator=sdxl", (1, "sdxl", None)),
        ("split=val/label=0", (0, None, "validation")),
        ("generator=DALL%C2%B7E%203/label=AI-generated/split=test", (1, "DALL·E 3", "test")),
        ("label=__HIVE_DEFAULT_PARTITION__", (None, None, None)),
    ],
)
@pytest.mark.parametrize("name", ["part-00000-8c1e.snappy.parquet", "data_0.parquet"])
def test_the_folders_of_a_partitioned_table_are_columns(
    folders: str, expected: tuple[object, ...], name: str, tmp_path: Path
) -> None:
    path = table(tmp_path / "set" / folders / name)
    for source in (tmp_path / "set", path, tmp_path / "set" / "**" / "*.parquet"):
        items = list(iter_source(source))
        assert [(i.label, i.generator, i.metadata.get("split")) for i in items] == [expected] * 2
        assert all(item.read() for item in items)


def test_a_column_of_the_file_comes_before_its_folder(tmp_path: Path) -> None:
    path = table(tmp_path / "label=fake" / "0.parquet", label=["real", "fake"])
    assert [item.label for item in iter_source(path)] == [0, 1]


@pytest.mark.parametrize(
    ("column", "values", "labels"),
    [
        ("is_real", ["1", "0", ""], [0, 1, None]),
        ("Authentic", ["TRUE", "false", "unknown"], [0, 1, None]),
        ("is_ai", ["yes", "No", "1,0"], [1, 0, 1]),
        ("AI generated", ["1.0", "0,0", "y"], [1, 0, 1]),
        ("deepfake", ["t", "f", "fake"], [1, 0, 1]),
        ("kind", ["1", "0", "human"], [1, 0, 0]),
    ],
)
def test_a_column_whose_name_is_a_question(
    column: str, values: list[str], labels: list[int | None], tmp_path: Path
) -> None:
    lines = "".join(f'{k}.jpg,"{value}"\n' for k, value in enumerate(values))
    (tmp_path / "m.csv").write_text(f"path,{column}\n{lines}")
    assert [item.label for item in iter_source(tmp_path / "m.csv", label_column=column)] == labels
    booleans = {"yes": True, "TRUE": True, "No": False, "false": False}
    if set(values) & booleans.keys():
        path = table(tmp_path / "m.parquet", 2, **{column: [booleans[value] for value in values[:2]]})
        assert [item.label for item in iter_source(path, label_column=column)] == labels[:2]


def test_yes_in_a_column_that_asks_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,label\na.jpg,TRUE\n")
    with pytest.raises(UsageError, match="real/0 or fake/1"):
        list(iter_source(tmp_path / "m.csv"))


def workbook() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/media/image1.png", encoded("PNG"))
    return buffer.getvalue()


def sheets() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    return buffer.getvalue()


ELSE = {
    "pointer.csv": (LFS, "git lfs pull"),
    "pointer.jsonl": (LFS, "git lfs pull"),
    "train-00000-of-00001.parquet": (LFS, "git lfs pull"),
    "annex.parquet": (b"/annex/objects/SHA256E-s1--00.parquet\n", "git annex get"),
    "login.tsv": (b"\n<!DOCTYPE html><html><title>Log in</title>", "download the file again"),
    "denied.parquet": (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "error message"),
    "excel.csv": (workbook(), "save the sheet as CSV"),
    "old.csv": (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504), "save the sheet as CSV"),
    "calc.tsv": (sheets(), "save the sheet as CSV"),
    "packed.jsonl": (gzip.compress(b'{"path": "a.jpg"}\n'), "gunzip"),
    "packed.csv": (bytes.fromhex("28b52ffd") + bytes(40), "unzstd"),
    "table.csv": (b"PAR1" + bytes(40) + b"PAR1", ".parquet"),
    "photo.csv": (encoded("JPEG"), "picture"),
    "wide.csv": ("path,label\na.jpg,real\n".encode("utf-16-le"), "UTF-8"),
    "wider.csv": ("path,label\na.jpg,real\n".encode("utf-32"), "UTF-8"),
    "list.csv": (b'[{"path": "a.jpg"}]', ".jsonl"),
    "nothing.csv": (b"", "empty"),
}


@pytest.mark.parametrize("name", ELSE)
def test_a_table_that_is_something_else_says_the_next_step(name: str, tmp_path: Path) -> None:
    content, step = ELSE[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=step) as raised:
        list(iter_source(tmp_path / name))
    assert "\n" not in str(raised.value)
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG"))
    for several in ([tmp_path / name, tmp_path / "a.jpg"], [tmp_path / "*.*"]):
        items = list(iter_source(several))
        assert sorted(item.problem is None for item in items) == [False, True]  # it ends no batch
        (problem,) = (item.problem for item in items if item.problem is not None)
        assert step in str(problem)


def test_one_broken_shard_ends_no_folder(tmp_path: Path) -> None:
    for number in range(3):
        table(tmp_path / "data" / f"train-{number:05}-of-00003.parquet")
    broken = tmp_path / "data" / "train-00001-of-00003.parquet"
    broken.write_bytes(broken.read_bytes()[:-40])
    items = list(iter_source(tmp_path))
    assert [item.problem and item.problem.reason for item in items] == [None, None, "damaged", None, None]
    with pytest.raises(UsageError, match="readable"):
        list(iter_source(broken))


def test_a_table_of_other_things_among_several(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("name,price\nx,1\n")
    (tmp_path / "m.csv").write_text("path\na.jpg\n")
    found = {Path(item.uri).name: item.problem for item in iter_source(tmp_path / "*.csv")}
    assert found["a.jpg"] is None
    assert "--image-column" in str(found["prices.csv"])


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "shard-000000.tar"])
@pytest.mark.parametrize(("content", "step"), [(LFS, "git lfs pull"), (b"<html>", "download")])
def test_an_archive_that_is_something_else(name: str, content: bytes, step: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    (item,) = iter_source(tmp_path / name)
    assert item.problem is not None
    assert step in str(item.problem)


def test_cells_longer_than_pythons_limit(tmp_path: Path) -> None:
    workflow = '{"nodes": [' + ", ".join(["1"] * 100_000) + "]}"
    quoted = workflow.replace('"', '""')
    (tmp_path / "m.csv").write_text(f'path,label,workflow\na.jpg,fake,"{quoted}"\n')
    (item,) = iter_source(tmp_path / "m.csv")
    assert item.label == 1
    assert item.metadata["workflow"] == workflow


def test_a_broken_quotation_names_its_row(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text('path,prompt\na.jpg,x\nb.jpg,y\nc.jpg,"a "red" cat"\n')
    with pytest.raises(UsageError, match=r"after row 2.*double the quotes"):
        list(iter_source(tmp_path / "m.csv"))


@pytest.mark.parametrize("mark", ["\ufeff\ufeff", "\u200b", "\ufeff "])
def test_marks_before_the_first_column(mark: str, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(f"{mark}path,label\na.jpg,real\n", encoding="utf-8")
    assert [item.label for item in iter_source(tmp_path / "m.csv")] == [0]


def test_labels_that_lie_apart_from_their_pictures_are_counted(tmp_path: Path) -> None:
    picture = encoded("JPEG")
    labels_first = {"1.cls": b"1", "2.json": b'{"label": "real"}', "1.jpg": picture, "2.jpg": picture}
    report = SourceReport()
    items = list(iter_source(write_tar(tmp_path / "a.tar", labels_first), report=report))
    assert [item.label for item in items] == [None, None]
    assert "labels of 2 pictures" in report.passed_over()

    together = {"1.jpg": picture, "1.cls": b"1", "info.json": b"{}", "2.jpg": picture, "2.txt": b"a cat"}
    report = SourceReport()
    items = list(iter_source(write_tar(tmp_path / "b.tar", together), report=report))
    assert [item.label for item in items] == [1, None]
    assert not report.passed_over()


def test_the_name_of_a_set_is_no_generator(tmp_path: Path) -> None:
    folders = {
        "fake/synthbuster/firefly": "firefly",
        "fake/GenImage/glide": "glide",
        "fake/synthbuster": "synthbuster",
        "1_fake/dataset/images/sdxl": "sdxl",
    }
    root = write_folder(tmp_path / "mine", {f"{folder}/a.jpg": encoded("JPEG") for folder in folders})
    found = {
        str(Path(item.uri).parent.relative_to(root)): item.generator
        for item in iter_source(root, label_from="folders")
    }
    assert found == folders


@pytest.mark.parametrize(
    ("folder", "label"),
    [("AiArtData", 1), ("RealArt", 0), ("real_face_images", 0), ("human_face_data", None)],
)
def test_what_is_shown_may_be_said_in_two_words(folder: str, label: int | None, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", {f"{folder}/a.jpg": encoded("JPEG")})
    assert [item.label for item in iter_source(root, label_from="folders")] == [label]


def test_pictures_of_fireflies_are_no_part_of_a_set(tmp_path: Path) -> None:
    root = write_folder(
        tmp_path / "photos", {f"{name}/a.jpg": encoded("JPEG") for name in ("firefly", "raise")}
    )
    assert [item.label for item in iter_source(root, layout="auto")] == [None, None]
    assert {item.label for item in iter_source(root, layout="synthbuster")} == {0, 1}  # asked for by name


@pytest.mark.skipif(os.name != "posix", reason="needs users")
def test_what_lies_in_a_locked_folder_is_not_called_missing() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        write_folder(folder / "locked", {"a.jpg": encoded("JPEG")})
        (folder / "locked").chmod(0)
        user = os.geteuid()
        if user == 0:  # root may read everything, so somebody else reads
            os.seteuid(65534)
        try:
            for source in (folder / "locked" / "a.jpg", folder / "locked" / "*.jpg"):
                (item,) = iter_source(source)
                assert item.problem is not None
                assert item.problem.reason == "unreadable"
            (item,) = iter_source(folder / "none" / "*.jpg")
            assert item.problem is not None
            assert item.problem.reason == "missing"
        finally:
            os.seteuid(user)
            (folder / "locked").chmod(0o700)


def test_an_archive_that_vanishes_is_missing(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.jpg": encoded("JPEG")})
    (item,) = iter_source(path)
    path.unlink()
    with pytest.raises(Exception, match="does not exist") as raised:
        item.read()
    assert getattr(raised.value, "reason", "") == "missing"


README = """---
license: mit
dataset_info:
- config_name: faces
  features:
  - name: image
    dtype: image
  - name: label
    dtype:
      class_label:
        names:
          '0': {first}
          '1': {second}
  splits:
  - name: train
    num_examples: 2
---
# A set
"""


@pytest.mark.parametrize("kind", ["README", "infos", "numbers in the file"])
@pytest.mark.parametrize(("first", "second", "labels"), [("FAKE", "REAL", [1, 0]), ("real", "fake", [0, 1])])
def test_class_names_that_are_declared_beside_a_table(
    kind: str, first: str, second: str, labels: list[int], tmp_path: Path
) -> None:
    path = table(tmp_path / "data" / "train-00000-of-00001.parquet", label=[0, 1])
    names: object = [first, second]
    if kind == "README":
        (tmp_path / "README.md").write_text(README.format(first=first, second=second))
    elif kind == "infos":
        feature = {"names": names, "_type": "ClassLabel"}
        infos = {"default": {"features": {"image": {"_type": "Image"}, "label": feature}}}
        (tmp_path / "dataset_infos.json").write_text(json.dumps(infos))
    else:
        feature = {"_type": "ClassLabel", "names": {"1": second, "0": first}}
        said = {"info": {"features": {"image": {"_type": "Image"}, "label": feature}}}
        plain = pq.read_table(path)
        pq.write_table(plain.replace_schema_metadata({"huggingface": json.dumps(said)}), path)
    for source in (tmp_path, path):
        assert [item.label for item in iter_source(source)] == labels


def test_a_description_without_classes_changes_nothing(tmp_path: Path) -> None:
    path = table(tmp_path / "data" / "train-00000-of-00001.parquet", label=[0, 1])
    outside = "# A set\n- name: label\n  names:\n    0: fake\n    1: real\n"
    for text in (outside, "---\ntags: [x]\n---\n" + outside, "---\n"):
        (tmp_path / "README.md").write_text(text)
        assert [item.label for item in iter_source(path)] == [0, 1]
    (tmp_path / "dataset_infos.json").write_text("[" * 5000)
    assert [item.label for item in iter_source(path)] == [0, 1]


def test_two_descriptions_that_disagree_are_refused_unless_a_folder_decides(tmp_path: Path) -> None:
    one = README.format(first="fake", second="real").replace("---\n# A set\n", "")
    other = README.format(first="real", second="fake").replace("faces", "rooms").split("dataset_info:\n")[1]
    (tmp_path / "README.md").write_text(one + other)
    path = table(tmp_path / "data" / "train-00000-of-00001.parquet", label=[0, 1])
    with pytest.raises(UsageError, match="classes of 'label'"):
        list(iter_source(path))
    for config, labels in (("faces", [1, 0]), ("rooms", [0, 1])):
        inside = table(tmp_path / config / "train-00000-of-00001.parquet", label=[0, 1])
        assert [item.label for item in iter_source(inside)] == labels


def test_rows_may_name_members_as_outputs_do(tmp_path: Path) -> None:
    files = {"real/a.png": encoded("PNG"), "fake/sdxl/b.jpg": encoded("JPEG")}
    archive = write_tar(tmp_path / "set.tar", files)
    parquet = table(tmp_path / "set.parquet", label=[0, 1])
    uris = [item.uri for source in (archive, parquet) for item in iter_source(source)]
    lines = "".join(f"{Path(uri).relative_to(tmp_path)},fake\n" for uri in uris)
    (tmp_path / "m.csv").write_text(f"path,label\n{lines}set.tar::real/none.png,real\n")
    *items, missing = iter_source(tmp_path / "m.csv")
    assert [item.uri for item in items] == uris
    assert {item.label for item in items} == {1}
    assert items[0].read() == files["real/a.png"]
    assert items[3].read() == encoded("PNG")
    assert missing.problem is not None
    assert missing.problem.reason == "missing"
    (tmp_path / "a::b.png").write_bytes(encoded("PNG"))
    (tmp_path / "n.csv").write_text("path\na::b.png\n")
    assert [bool(item.read()) for item in iter_source(tmp_path / "n.csv")] == [True]


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_pictures_as_base64_text_are_refused_by_the_row(suffix: str, prefix: str, tmp_path: Path) -> None:
    text = prefix + base64.b64encode(encoded("PNG")).decode()
    path = tmp_path / f"m.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table({"image": [text], "label": [1]}), path)
    else:
        path.write_text(
            f'image,label\n"{text}",1\n' if suffix == "csv" else json.dumps({"image": text}) + "\n"
        )
    (item,) = iter_source(path)
    assert item.problem is not None
    assert "base64" in str(item.problem)
    assert len(str(item.problem)) < 400
    assert item.uri.endswith(f"m.{suffix}::1")


def test_pictures_in_a_dictionary_are_read(tmp_path: Path) -> None:
    pictures = pa.array([encoded("PNG"), encoded("JPEG"), encoded("PNG")])
    pq.write_table(
        pa.table({"image": pictures.dictionary_encode(), "label": [0, 1, 0]}), tmp_path / "d.parquet"
    )
    items = list(iter_source(tmp_path / "d.parquet"))
    assert [item.read() for item in items] == pictures.to_pylist()


@pytest.mark.parametrize(
    ("head", "step"),
    [
        (b"7z\xbc\xaf\x27\x1c", "7-Zip archive, which is not read; unpack it first"),
        (b"Rar!\x1a\x07\x01\x00", "RAR archive, which is not read; unpack it first"),
        (b"\x1f\x8b\x08", "gzip file, which is not read; unpack it first"),
        (b"\0\0\0\x18ftypcrx ", "camera raw file, which is not read; export the photograph"),
        (b"\0\0\0\x18ftypisom", "ISO media file, which is not read; export one of its pictures"),
        (b"\xff\x0a", "JPEG XL, which is not read; convert it to PNG or JPEG"),
    ],
)
def test_the_next_step_fits_what_the_file_is(head: bytes, step: str) -> None:
    with pytest.raises(ImageError, match=step):
        decode(head + bytes(100))


def test_a_split_or_a_set_is_no_part_of_a_generators_name(tmp_path: Path) -> None:
    folders = {
        "progan_train/airplane/1_fake": "progan",
        "progan_val/cat/1_fake": "progan",
        "stylegan3-test/1_fake": "stylegan3",
        "SDXL/1_fake": "SDXL",
    }
    for name, there in (
        ("mine", folders),
        ("AIGIBench", {"train/car/1_fake": None, "DALLE-3/1_fake": "DALLE-3"}),
    ):
        root = write_folder(tmp_path / name, {f"{folder}/a.jpg": encoded("JPEG") for folder in there})
        for how in ({"label_from": "folders"}, {"layout": "auto"}, {"layout": "univfd"}):
            found = {
                str(Path(item.uri).parent.relative_to(root)): (item.label, item.generator)
                for item in iter_source(root, **how)  # type: ignore[arg-type]
            }
            assert found == {folder: (1, generator) for folder, generator in there.items()}


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz"])
def test_labels_in_a_table_inside_an_archive_are_not_lost_without_a_word(tmp_path: Path, name: str) -> None:
    files = {"a.png": encoded("PNG"), "train/labels.csv": b"path,label\na.png,fake\n", "notes.md": b"# Notes"}
    report = SourceReport()
    archive = write_zip(tmp_path / name, files) if name.endswith("zip") else write_tar(tmp_path / name, files)
    (item,) = iter_source(archive, report=report)
    assert item.label is None and item.read() == files["a.png"]
    said = report.passed_over()
    assert "1 manifest or archive inside an archive" in said and "train/labels.csv" in said
    assert "unpack and give it by its name" in said and "notes" not in said


@pytest.mark.parametrize("suffix", ["tar.zst", "tzst", "tbz", "7z", "rar", "cbz"])
def test_archives_inside_folders_and_archives_are_named(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.png").write_bytes(encoded("PNG"))
    (folder / f"more.{suffix}").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(9))
    report = SourceReport()
    assert len(list(iter_source(folder, report=report))) == 1
    assert f"more.{suffix}" in report.passed_over()
    for archive in (write_zip(tmp_path / "s.zip", {f"x/more.{suffix}": b"12"}), tmp_path / "s.tar"):
        if archive.suffix == ".tar":
            write_tar(archive, {f"x/more.{suffix}": b"12"})
        (item,) = iter_source(archive)
        assert item.problem is not None and item.problem.reason == "nested_archive"


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress], ids=["plain", "gzip"])
def test_archives_put_one_behind_the_other_are_not_read_as_the_first_alone(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    parts = [
        write_tar(tmp_path / f"{name}.tar", {f"{name}.png": encoded("PNG")}).read_bytes() for name in "ab"
    ]
    joined = tmp_path / "joined.tar.gz"
    joined.write_bytes(b"".join(map(pack, parts)))
    good, problem = iter_source(joined)
    assert good.uri.endswith("::a.png") and problem.problem is not None
    assert "behind its end" in str(problem.problem) and "--ignore-zeros" in str(problem.problem)
    padded = tmp_path / "padded.tar.gz"
    padded.write_bytes(pack(parts[0] + bytes(200_000)))
    assert [item.problem for item in iter_source(padded)] == [None]


def test_another_archive_named_zip_is_said_to_be_what_it_is(tmp_path: Path) -> None:
    data = gzip.compress(write_tar(tmp_path / "a.tar", {"a.png": encoded("PNG")}).read_bytes())
    contents = {"gzip file": data, "7-Zip": b"7z\xbc\xaf\x27\x1c" + bytes(90), "no zip": b"x" * 90}
    for words, content in contents.items():
        (tmp_path / "set.zip").write_bytes(content)
        (item,) = iter_source(tmp_path / "set.zip")
        assert item.problem is not None and words in str(item.problem)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize(
    "name", ["m.csv", "m.jsonl", "m.parquet", "m.arrow", "a.zip", "a.tar", "a.tar.gz", "a"]
)
def test_a_pipe_is_not_waited_for_whatever_its_name(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    (tmp_path / "b.png").write_bytes(encoded("PNG"))
    for source in (tmp_path / name, [tmp_path / name, tmp_path / "b.png"], tmp_path / f"{name[0]}*"):
        problem, *others = iter_source(source)
        assert problem.problem is not None and problem.problem.reason == "not_a_file"
        assert "named pipe" in str(problem.problem) and len(others) == isinstance(source, list)


def test_a_dash_is_said_to_be_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (item,) = iter_source("-")
    assert item.problem is not None and "standard input" in str(item.problem)
    (tmp_path / "-").write_bytes(encoded("PNG"))
    (item,) = iter_source("-")
    assert item.read() == encoded("PNG")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_members_of_one_name_are_told_apart(tmp_path: Path, kind: str) -> None:
    """Archives that were added to hold them: each is read, by a name of its own, with its own sidecar."""
    pictures = [encoded("PNG", photo((40 + k, 40))) for k in range(3)]
    path = tmp_path / f"set.{kind}"
    members = [("a.png", pictures[0]), ("a.json", b'{"label": "real"}'), ("a.png", pictures[1])]
    members += [("a.json", b'{"label": "fake"}'), ("b/c.png", pictures[0]), ("a.png", pictures[2])]
    members += [("e.x/plain", pictures[0]), ("e.x/plain", pictures[1])]
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, data in members:
                archive.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as shard:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                shard.addfile(info, io.BytesIO(data))
    report = SourceReport()
    found = {item.uri.rpartition("::")[2]: item for item in iter_source(path, report=report)}
    plain = ["e.x/plain", "e.x/plain (2)"]
    assert list(found) == ["a.png", "a (2).png", "b/c.png", "a (3).png", *plain]
    assert [decode(item.read()).facts.width for item in found.values()] == [40, 41, 40, 42, 40, 41]
    if kind != "zip":
        assert [item.label for item in found.values()] == [0, 1, *[None] * 4]
    assert "3 images are called by a number" in report.same_names()
    (again,) = iter_source(f"{path}::a (2).png")
    assert again.read() == pictures[1]


@pytest.mark.parametrize(
    ("stated", "counted"),
    [
        ({"a.json": b'{"label": 1}'}, True),
        ({"a.png.json": b'{"is_ai": true}'}, True),
        ({"b.cls": b"1"}, True),
        ({"a.json": b'{"title": "x", "people": []}'}, False),
        ({"c.json": b'{"label": 1}', "b.json": b"[1, 2]", "a.json": b"{"}, False),
    ],
)
def test_labels_in_files_beside_pictures_are_counted_as_unread(
    tmp_path: Path, stated: dict[str, bytes], counted: bool
) -> None:
    folder = write_folder(tmp_path / "set", {"a.png": encoded("PNG"), "b.png": encoded("PNG"), **stated})
    report = SourceReport()
    assert [item.label for item in iter_source(folder, report=report)] == [None, None]
    assert ("labels beside pictures, in 1 of" in report.passed_over()) == counted
    archive = write_zip(tmp_path / "set.zip", {"a.png": encoded("PNG"), "b.png": encoded("PNG"), **stated})
    report = SourceReport()
    assert [item.label for item in iter_source(archive, report=report)] == [None, None]
    assert ("labels beside pictures, in 1 of" in report.passed_over()) == counted


@pytest.mark.parametrize(
    ("sidecars", "column", "labels"),
    [
        (('{"label": true}', '{"label": false}'), None, [None, None]),
        (('{"label": 1}', '{"label": 0}'), None, [1, 0]),
        (('{"is_ai": true}', '{"is_ai": false}'), "is_ai", [1, 0]),
        (('{"is_real": 1, "label": 7}', '{"is_real": 0, "label": 3}'), "is_real", [0, 1]),
        (('{"kind": "photo"}', '{"kind": "fake"}'), "kind", ["bad_sidecar", 1]),
        (('{"kind": null}', "{}"), "kind", [None, None]),
        (('{"label": NaN}', '{"label": -1, "generator": ["x"]}'), None, [None, None]),
    ],
)
def test_true_is_no_label_and_any_key_of_a_sidecar_may_be(
    tmp_path: Path, sidecars: tuple[str, str], column: str | None, labels: list[object]
) -> None:
    members = {f"{k}{end}": data for k, text in enumerate(sidecars) for end, data in
               ((".png", encoded("PNG")), (".json", text.encode()))}  # fmt: skip
    report = SourceReport()
    items = list(iter_source(write_tar(tmp_path / "s.tar", members), label_column=column, report=report))
    assert [item.problem.reason if item.problem else item.label for item in items] == labels
    assert ("'True'" in report.sentence()) == ("true" in sidecars[0] and column is None)
    assert report.classes == 2 * ("true" in sidecars[0] and column is None)
    assert not any(item.generator for item in items)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "m.csv",
            'path, label\n"u\u0308 1.png", "fake"\n',
        ),  # accents as a Mac writes them, quotes behind a space
        ("m.csv", 'label, path\nfake, "\u00fc 1.png"\n'),
        ("m.jsonl", '{"image": {"path": "\u00fc 1.png", "bytes": null}, "label": 1}\n'),
    ],
)
def test_a_path_is_found_however_it_is_written(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "\u00fc 1.png").write_bytes(encoded("PNG"))
    (tmp_path / name).write_text(text, encoding="utf-8")
    (item,) = iter_source(tmp_path / name)
    assert item.label == 1 and item.read() == encoded("PNG") and Path(item.uri).is_file()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**/*.png", ["a.png", "x/a.png", "x/real/2.png", "x/y.png/z.png"]),
        ("x/**/real/*", ["x/real/2.png"]),
        ("**", ["a.png", "x/a.png", "x/real/2.png", "x/y.png/z.png"]),
        ("**/.h/*.png", ["x/.h/c.png"]),
        ("*/**/[yz].png", ["x/y.png/z.png"]),
        ("**/*.jpg", []),
        ("**/fir*/*.png", ["first/2.png"]),  # another name of a folder that is read without this pattern
        ("**/fir*/**/*.png", ["first/2.png"]),
        ("**/x/**/**/real/**/2.png", ["x/real/2.png"]),
    ],
)
def test_a_pattern_ends_where_links_lead_in_a_circle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, expected: list[str]
) -> None:
    """Two links in a circle lead to more paths than there are atoms."""
    names = ("a.png", "x/a.png", "x/.h/c.png", "x/real/2.png", "x/y.png/z.png")
    folder = write_folder(tmp_path / "set", dict.fromkeys(names, encoded("PNG")))
    for link, to in (("loop", "."), ("x/up", ".."), ("x/again", "../x"), ("first", "x/real")):
        (folder / link).symlink_to(to)
    monkeypatch.chdir(folder)
    found = [item for item in iter_source(pattern) if item.problem is None]
    assert [item.uri for item in found] == expected


OUTPUTS = {
    "F.lance": ("_morelli/lock", "_versions/1.manifest"),
    "x.atlas": ("atlas.json", "images.lance/a"),
    "y.atlas": ("building.json", "distilled/a"),
    ".r.morelli-0123abcd.new": ("report.html",),
}
RESULTS = {
    "report": '{"format": "morelli-report",',
    "study": '{\n "format": "morelli-transfer-study",',
    "audit": '{\n "source": "set",\n "counts": {\n  "real": 1,',
    "explanation": '{\n "first": "sdxl",\n "second": "real",\n "kind": "final",',
    "analyses": '{\n "n": 12,\n "metadata_only": {',
}


def test_results_of_this_program_among_the_pictures_are_not_read(tmp_path: Path) -> None:
    """An audit written into the folder it looked at has charts, which are no pictures of the collection."""
    folder = tmp_path / "set"
    pictures = {name: encoded("PNG") for name in ("a.png", "audit/spectra.png", "mine/b.png", "sets/c.png")}
    results = {"audit/audit.json": RESULTS["audit"].encode(), "audit/audit.md": b"", "audit/SHA256SUMS": b""}
    others = dict.fromkeys(("mine/SHA256SUMS", "sets/SHA256SUMS", "sets/report.json"), b"{}")
    write_folder(folder, pictures | results | others)
    report = SourceReport()
    found = [Path(item.uri).name for item in iter_source(folder, report=report)]
    assert found == ["a.png", "b.png", "c.png"]  # another publisher's sums and report are no results of ours
    assert "1 of Morelli's own outputs" in report.passed_over() and "set/audit" in report.passed_over()
    assert [Path(item.uri).name for item in iter_source(folder / "audit")]  # given by its name it is read
    names = {f"{name}/{file}": b"{}" for name, files in OUTPUTS.items() for file in files}
    write_folder(folder, {"t/map.json": b'{"format": "morelli-map"}', **names, "d/bundle.json": b'{"a": 1}'})
    (folder / "d" / "d.png").write_bytes(encoded("PNG"))
    for name in ("t", *OUTPUTS):
        (folder / name / "e.png").write_bytes(encoded("PNG"))
    report = SourceReport()
    found = [Path(item.uri).name for item in iter_source(folder, report=report)]
    assert found == ["a.png", "d.png", "b.png", "c.png"] and len(report.passed.outputs) == 2 + len(OUTPUTS)


def test_many_members_of_one_name_are_named_in_linear_time() -> None:
    names = DistinctNames()
    assert len({names.of("s.tar::a.png") for _ in range(30_000)}) == 30_000
    assert names.of("s.tar::a (7).png") == "s.tar::a (7) (2).png"


@pytest.mark.parametrize("name", [*RESULTS, "recipe"])
def test_results_of_others_are_read(tmp_path: Path, name: str) -> None:
    """Data sets come with sums, a report and an audit of their own, and with a user's plan of a recipe."""
    folder = write_folder(tmp_path / "set", {"mine/a.png": encoded("PNG"), "mine/SHA256SUMS": b"1  a.png\n"})
    (folder / "mine" / f"{name}.md").touch()
    (folder / "mine" / f"{name}.json").write_text('{"format": "morelli-recipe", "version": 1}')
    assert [Path(item.uri).name for item in iter_source(folder)] == ["a.png"]
    if name in RESULTS:
        (folder / "mine" / f"{name}.json").write_text(RESULTS[name])
        assert not list(iter_source(folder))


@pytest.mark.parametrize("text", ["Morelli output", "Morelli outputs", "made with a Morelli output"])
def test_pictures_that_mention_this_program_are_read(tmp_path: Path, text: str) -> None:
    marks = PngInfo()
    marks.add_text("Software", text)
    named = {"a.png": encoded("PNG", pnginfo=marks), "b.jpg": encoded("JPEG", comment=text)}
    found = list(iter_source(write_folder(tmp_path, named)))
    assert len(found) == (0 if text == MARK else 2)


@pytest.mark.parametrize("kind", ["csv", "tar"])
def test_labels_that_say_the_opposite_of_their_folders_are_counted(tmp_path: Path, kind: str) -> None:
    """In many published lists 0 is fake: all is inverted then, and nothing else would say so."""
    names = {"train/real/a.png": "1", "train/0_real/b.png": "1", "test/1_fake/c.png": "0", "ai/d.png": "0"}
    folder = write_folder(tmp_path / "set", dict.fromkeys(names, encoded("PNG")))
    report = SourceReport()
    if kind == "csv":
        source = folder / "list.csv"
        source.write_text("path,label\n" + "".join(f"{name},{label}\n" for name, label in names.items()))
    else:
        members = {}
        for name, label in names.items():
            members |= {name: encoded("PNG"), name.replace(".png", ".cls"): label.encode()}
        source = write_tar(tmp_path / "set.tar", members)
    assert [item.label for item in iter_source(source, report=report)] == [1, 1, 0, 0]
    said = report.contradictions()
    assert said.startswith("labels of 3 images say the opposite of their folders") and "d.png" not in said
    agreeing = SourceReport()
    assert len(list(iter_source(folder, label_from="folders", report=agreeing))) == 4
    assert agreeing.contradictions() == ""
