"""Manifests as spreadsheets and data-set tools write them: delimiters, classes, addresses, pictures."""

from __future__ import annotations

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from morelli.errors import ImageError, UsageError
from morelli.images import Limits, decode, iter_source
from tests.images.hostile import encoded, photo

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def jpeg(grey: int) -> bytes:
    return encoded("JPEG", photo((16, 16)).point(lambda v: v // 8 + grey))


def write_parquet(
    path: Path, columns: dict[str, Any], features: dict[str, Any] | None = None, **how: Any
) -> Path:
    table = pa.table(columns)
    if features is not None:
        info = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": info})
    pq.write_table(table, path, **how)
    return path


def class_label(*names: str) -> dict[str, Any]:
    return {"names": list(names), "_type": "ClassLabel"}


def labels(path: Path) -> list[int | None]:
    return [item.label for item in iter_source(path)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("FAKE", "REAL"), [1, 0, None]),
        (("ai_generated", "human"), [1, 0, None]),
        (("real", "fake"), [0, 1, None]),
        (("0", "1"), [0, 1, None]),
        (("airplane", "automobile"), [None, None, None]),
        (("0", "1", "2", "3"), [None, None, None]),
    ],
)
def test_a_class_number_means_what_the_file_says(
    tmp_path: Path, names: tuple[str, ...], expected: list[int | None]
) -> None:
    columns = {"path": ["a.jpg", "b.jpg", "c.jpg"], "label": [0, 1, -1]}
    path = write_parquet(tmp_path / "m.parquet", columns, {"label": class_label(*names)})
    assert labels(path) == expected
    if expected[0] is None:
        assert [item.metadata.get("label") for item in iter_source(path)] == [*names[:2], None]


def test_half_understood_classes_are_refused(tmp_path: Path) -> None:
    columns = {"path": ["a.jpg", "b.jpg"], "label": [0, 1]}
    path = write_parquet(tmp_path / "m.parquet", columns, {"label": class_label("real", "midjourney")})
    with pytest.raises(UsageError, match="row 2: label 'midjourney'"):
        labels(path)


def test_classes_name_generators(tmp_path: Path) -> None:
    columns = {"path": ["a.jpg", "b.jpg"], "label": [1, 1], "generator": [1, 0], "split": [0, 0]}
    features = {"generator": class_label("adm", "sdxl"), "split": class_label("train")}
    items = list(iter_source(write_parquet(tmp_path / "m.parquet", columns, features)))
    assert [(item.generator, item.metadata["split"]) for item in items] == [
        ("sdxl", "train"),
        ("adm", "train"),
    ]


def test_pictures_inside_parquet(tmp_path: Path) -> None:
    pictures = [jpeg(n) for n in range(40)]
    (tmp_path / "beside.jpg").write_bytes(jpeg(90))
    values = [{"bytes": data, "path": f"in/{n}.jpg"} for n, data in enumerate(pictures)]
    values.append({"bytes": None, "path": "beside.jpg"})
    columns = {"image": pa.array(values, type=STRUCT), "label": [n % 2 for n in range(41)], "era": ["x"] * 41}
    path = write_parquet(tmp_path / "set.parquet", columns, row_group_size=7)
    items = list(iter_source(path))
    assert [items[0].uri, items[39].uri] == [f"{path}::1/0.jpg", f"{path}::40/39.jpg"]
    assert [item.label for item in items[:3]] == [0, 1, 0]
    assert dict(items[0].metadata) == {"era": "x"}
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda item: item.read(), items[::-1]))[::-1]
    assert read == [*pictures, jpeg(90)]
    (one,) = iter_source(f"{path}::3/2.jpg")
    assert one.read() == pictures[2]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("image", pa.array([jpeg(1), jpeg(2)], type=pa.binary())),
        ("image", pa.array([jpeg(1), jpeg(2)], type=pa.large_binary())),
        ("img", pa.array([jpeg(1), jpeg(2)], type=pa.binary())),
        ("picture", pa.array([{"bytes": jpeg(1)}, {"bytes": jpeg(2)}])),
        ("image", pa.array([{"path": None, "bytes": jpeg(n)} for n in (1, 2)])),
    ],
)
def test_kinds_of_picture_columns(tmp_path: Path, column: str, values: pa.Array) -> None:
    for more in ({}, {"text": ["one", "two"]}):
        path = write_parquet(tmp_path / "set.parquet", {column: values, **more})
        items = list(iter_source(path))
        assert [item.read() for item in items] == [jpeg(1), jpeg(2)]
        assert [item.uri for item in items] == [f"{path}::1", f"{path}::2"]
        assert all(decode(item.read()).facts.format == "JPEG" for item in items)


def test_paths_in_binary_columns_and_pictures_beside_paths(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(5))
    mask = pa.array([{"bytes": jpeg(6), "path": "mask.png"}], type=STRUCT)
    path = write_parquet(tmp_path / "m.parquet", {"path": pa.array([b"a.jpg"]), "mask": mask})
    (item,) = iter_source(path)
    assert item.read() == jpeg(5)
    assert dict(item.metadata) == {"mask": "mask.png"}


def test_a_picture_column_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    one = {"bytes": jpeg(1), "path": None}
    lists = write_parquet(tmp_path / "l.parquet", {"image": pa.array([[one]], type=pa.list_(STRUCT))})
    two = write_parquet(
        tmp_path / "t.parquet", {k: pa.array([one], type=STRUCT) for k in ("before", "after")}
    )
    for path, words in ((lists, "one picture or one path a row"), (two, "before, after")):
        with pytest.raises(UsageError, match=words) as refused:
            list(iter_source(path))
        assert len(str(refused.value)) < 300
    empty = write_parquet(
        tmp_path / "e.parquet", {"image": pa.array([{"bytes": None, "path": None}], type=STRUCT)}
    )
    (item,) = iter_source(empty)
    with pytest.raises(ImageError, match="holds no picture"):
        item.read()
    large = write_parquet(tmp_path / "b.parquet", {"image": pa.array([one], type=STRUCT)})
    (item,) = iter_source(large, limits=Limits(max_bytes=100))
    with pytest.raises(ImageError, match="max_bytes"):
        item.read()


@pytest.mark.parametrize(
    "text",
    [
        "path;label\na.jpg;real\nb.jpg;fake\n",
        '"path";"label"\r\n"a.jpg";"real"\r\n"b.jpg";"fake"\r\n',
        '"path"\t"label"\n"a.jpg"\t"real"\n"b.jpg"\t"fake"\n',
        "sep=;\r\npath;label\r\na.jpg;real\r\nb.jpg;fake\r\n",
        '"sep=\t"\npath\tlabel\na.jpg\treal\nb.jpg\tfake\n',
        "sep=,\npath,label\na.jpg,real\nb.jpg,fake\n",
        "path\tlabel\na.jpg\treal\nb.jpg\tfake\n",
        "File;LABEL\na.jpg;real\nb.jpg;fake\n",
        " Path , Label \na.jpg,real\nb.jpg,fake\n",
        "\n,,\nPath,Label\na.jpg,real\n,\n\n  ,  \nb.jpg,fake\n,,\n",
        "path,label\na.jpg,real,,\nb.jpg,fake,,\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_spreadsheets_write(tmp_path: Path, text: str, encoding: str) -> None:
    for name in ("m.csv", "m.tsv"):
        (tmp_path / name).write_bytes(text.encode(encoding))
        items = list(iter_source(tmp_path / name))
        assert [(Path(item.uri).name, item.label) for item in items] == [("a.jpg", 0), ("b.jpg", 1)]


def test_the_row_in_a_message_counts_empty_rows_with_delimiters(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,label\na.jpg,real\n,\nb.jpg,maybe\n")
    with pytest.raises(UsageError, match="row 3: label 'maybe'"):
        list(iter_source(tmp_path / "m.csv"))
    (tmp_path / "m.csv").write_text("name;label\na.jpg;real\n")
    with pytest.raises(UsageError, match="no column 'path'"):
        list(iter_source(tmp_path / "m.csv"))


def test_a_column_named_exactly_comes_before_one_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("Path,path,Year\nother.jpg,a.jpg,2020\n")
    (item,) = iter_source(tmp_path / "m.csv")
    assert Path(item.uri).name == "a.jpg"
    assert dict(item.metadata) == {"Path": "other.jpg", "Year": "2020"}


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/a.jpg",
        "s3://bucket/a.jpg",
        "hf://datasets/x/a.png",
        f"https://x.org/{'y' * 300}.jpg",
    ],
)
def test_remote_addresses_in_manifests_have_one_reason(tmp_path: Path, address: str) -> None:
    (tmp_path / "m.csv").write_text(f'path,label\n"{address}",fake\n')
    (item,) = iter_source(tmp_path / "m.csv")
    assert item.problem is not None
    assert item.problem.reason == "remote_address"
    assert item.uri == address
    assert item.label == 1
    with pytest.raises(ImageError, match=r"is a remote address; download it first"):
        item.read()


def test_local_addresses_and_windows_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for place in ("home/a b.jpg", "sub/c.jpg"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_bytes(jpeg(7))
    rows = [f"file://{tmp_path}/home/a%20b.jpg", "~/a b.jpg", "sub\\c.jpg", "absent\\d.jpg"]
    (tmp_path / "m.csv").write_text("\n".join(["path", *rows, ""]))
    first, second, third = iter_source(tmp_path / "m.csv")
    assert first.uri == str(tmp_path / "home" / "a b.jpg")  # its second address is the same file
    assert first.read() == second.read() == jpeg(7)
    with pytest.raises(ImageError, match="does not exist"):
        third.read()


@pytest.mark.parametrize("own", [1000, 131_072, 64 << 20])
def test_a_program_that_reads_a_manifest_keeps_its_own_limit_of_cells(tmp_path: Path, own: int) -> None:
    """The csv module has one limit for the whole process; prompts and workflows are longer than Python's."""
    rows = [f"{name}.png,real,{'x' * 200_000}" for name in "abc"]
    (tmp_path / "set.csv").write_text("path,label,prompt\n" + "\n".join(rows))
    before = csv.field_size_limit(own)
    try:
        lengths = []
        for item in iter_source(tmp_path / "set.csv"):
            lengths.append(len(item.metadata["prompt"]))
            assert csv.field_size_limit() == own
        assert lengths == [200_000] * 3
        (tmp_path / "bad.csv").write_text('path\n"a.png')
        with pytest.raises(UsageError):
            list(iter_source(tmp_path / "bad.csv"))
        assert csv.field_size_limit() == own
    finally:
        csv.field_size_limit(before)


def test_columns_that_evaluation_reads_are_found_in_any_case(tmp_path: Path) -> None:
    """Else every image would be a group of its own, and figures would not be held out."""
    (tmp_path / "m.csv").write_text(
        "Path,Label,Generator,Lineage,SOURCE,Era,Split\na.png,fake,SDXL,sd,,2023,Train\nb.png,Real,,,coco,,val\n"
    )
    fake, real = iter_source(tmp_path / "m.csv")
    assert (fake.label, fake.generator) == (1, "SDXL") and real.label == 0
    assert dict(fake.metadata) == {"lineage": "sd", "era": "2023", "split": "Train"}
    assert dict(real.metadata) == {"source": "coco", "split": "val"}
    (tmp_path / "n.csv").write_text("path,Source,source\na.png,one,two\n")
    (item,) = iter_source(tmp_path / "n.csv")
    assert dict(item.metadata) == {"Source": "one", "source": "two"}


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("label,label_name", "1,real"),
        ("label,Label Text", "0,AI-generated"),
        ("label,is_ai", "0,yes"),
        ("label,is_real", "fake,TRUE"),
        ("label,class", "1,Real"),
        ("label,target_name", "real,fake"),
        ("label,generator", "fake,real"),
        ("label,generator", "1,Photograph"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_two_columns_that_contradict_each_other_are_refused(
    tmp_path: Path, header: str, row: str, kind: str
) -> None:
    """A class number 1 may well be the class real."""
    names, values = ["path", *header.split(",")], ["a.png", *row.split(",")]
    file = tmp_path / f"m.{kind}"
    if kind == "csv":
        file.write_text(",".join(names) + "\n" + ",".join(values) + "\n")
    elif kind == "jsonl":
        file.write_text(json.dumps(dict(zip(names, values, strict=True))) + "\n")
    else:
        pq.write_table(pa.table(dict(zip(names, [[v] for v in values], strict=True))), file)
    with pytest.raises(UsageError, match=r"row 1.*says the opposite.*--label-column"):
        list(iter_source(file))
    (item,) = iter_source(file, label_column="label")
    assert item.label in (0, 1)


@pytest.mark.parametrize(
    ("header", "row", "label"),
    [
        ("label,label_name", "1,fake", 1),
        ("label,label_name", "0,cat", 0),
        ("label,class", "fake,human", 1),
        ("label,class", "1,0", 1),
        ("label,category", "fake,nature", 1),
        ("label,is_ai", "1,1", 1),
        ("label,real", "1,1", 1),
        ("label,generator", "real,real", 0),
        ("label,generator", "real,progan", 0),
        ("label,is_real", ",1", None),
        ("label,is_human", "fake,yes", 1),
        ("label,is_photo", "1,True", 1),
        ("label,Is_Natural", "real,0", 0),
        ("label,is_artificial", "fake,no", 1),
    ],
)
def test_columns_that_agree_or_are_about_something_else_are_kept(
    tmp_path: Path, header: str, row: str, label: int | None
) -> None:
    (tmp_path / "m.csv").write_text(f"path,{header}\na.png,{row}\n")
    (item,) = iter_source(tmp_path / "m.csv")
    assert item.label == label


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (("a.png,fake,sdxl", "x/../a.png,fake,flux"), "another generator"),
        (("a.png,fake,sdxl", "a.png,real,"), "opposite label"),
    ],
)
def test_an_image_that_two_rows_describe_differently_is_refused(
    tmp_path: Path, rows: tuple[str, str], said: str
) -> None:
    (tmp_path / "m.csv").write_text("path,label,generator\n" + "\n".join(rows))
    with pytest.raises(UsageError, match=f"row 2.*{said}"):
        list(iter_source(tmp_path / "m.csv"))
    (tmp_path / "m.csv").write_text(
        "path,label,generator,caption\na.png,fake,sdxl,one\na.png,fake,sdxl,two\n"
    )
    assert len(list(iter_source(tmp_path / "m.csv"))) == 1


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("a.png,,", "a.png,fake,"), (1, None)),
        (("a.png,fake,", "./a.png,,"), (1, None)),
        (("a.png,unknown,", "x/../a.png,real,"), (0, None)),
        (("a.png,fake,", "./a.png,fake,flux"), (1, "flux")),
        (("a.png,,", "a.png,fake,", "b.png,,", "a.png,,flux"), (1, "flux")),
        (("b c.png,,", "b%20c.png,fake,"), (1, None)),
        ((r"d\c.png,,", "d/c.png,fake,"), (1, None)),
    ],
)
def test_a_row_that_says_nothing_adds_nothing(
    tmp_path: Path, kind: str, rows: tuple[str, ...], expected: tuple[int | None, str | None]
) -> None:
    """A list of all pictures joined with a list of labels, in any order and spelling."""
    (tmp_path / "d").mkdir()
    for name in ("b c.png", "d/c.png"):
        (tmp_path / name).touch()
    columns = [dict(zip(("path", "label", "generator"), row.split(","), strict=True)) for row in rows]
    if kind == "csv":
        text = "path,label,generator\n" + "\n".join(rows)
    else:
        text = "\n".join(json.dumps(row) for row in columns)
    (tmp_path / f"m.{kind}").write_text(text)
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(columns), tmp_path / "m.parquet")
    first, *others = iter_source(tmp_path / f"m.{kind}")
    assert (first.label, first.generator) == expected
    assert [(item.label, item.generator) for item in others] == [(None, None)] * ("b.png,," in rows)


def test_a_folder_may_be_called_as_addresses_begin(tmp_path: Path) -> None:
    (tmp_path / "data:1").mkdir()
    (tmp_path / "data:1" / "a.png").write_bytes(b"x")
    (tmp_path / "m.csv").write_text("path\ndata:1/a.png\n")
    (item,) = iter_source(tmp_path / "m.csv")
    assert item.read() == b"x"


def test_rows_of_one_image_are_one_however_its_path_is_written(tmp_path: Path) -> None:
    rows = [{"path": "a.png", "label": None}, {"path": {"path": "./a.png", "bytes": None}, "label": "fake"}]
    (tmp_path / "m.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert [item.label for item in iter_source(tmp_path / "m.jsonl")] == [1]


@pytest.mark.parametrize(
    "rows",
    [
        ("a.png,fake,SDXL", "a.png,fake,sdxl "),
        ("a.png,real,sdxl", "a.png,real,flux"),  # a list of pairs: one photograph beside each generator
        ("a.png,real,", "a.png,real,progan"),
    ],
)
def test_one_generator_spelt_twice_and_photographs_beside_generators_are_kept(
    tmp_path: Path, rows: tuple[str, str]
) -> None:
    (tmp_path / "m.csv").write_text("path,label,generator\n" + "\n".join(rows))
    (item,) = iter_source(tmp_path / "m.csv")
    assert item.label == (rows[0].split(",")[1] == "fake")


def test_addresses_and_percent_signs_lead_to_the_file(tmp_path: Path) -> None:
    for name in ("two words.png", "50%25 off.png", "50% off.png", "grün.png"):
        (tmp_path / name).write_bytes(encoded("PNG"))
    rows = [
        "two%20words.png",
        "50%25 off.png",
        "50%2525%20off.png",
        "gr%C3%BCn.png",
        f"file:{tmp_path}/50%25%20off.png",
    ]
    (tmp_path / "m.csv").write_text("path\n" + "\n".join(rows))
    names = [Path(item.uri).name for item in iter_source(tmp_path / "m.csv")]
    assert names == ["two words.png", "50%25 off.png", "grün.png", "50% off.png"]
    assert all(item.read() for item in iter_source(tmp_path / "m.csv"))
