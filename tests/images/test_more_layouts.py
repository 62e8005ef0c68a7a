"""Published and home-made collections in miniature: what is understood is right, and what is not is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from morelli.errors import ImageError, UsageError
from morelli.images import ImageItem, decode, iter_source
from morelli.images.layouts import SourceReport
from tests.images.hostile import encoded
from tests.images.test_collections import APPLE_DOUBLE, write_folder, write_tar, write_zip
from tests.images.test_layouts import png

R, F, U = 0, 1, None
Seen = tuple[int | None, str | None, str | None, str | None]

# Folder below the given one → (label, generator, source, split), with --layout auto.
COLLECTIONS: dict[str, dict[str, Seen]] = {
    "CIFAKE": {
        "train/REAL": (R, None, None, "train"),
        "train/FAKE": (F, None, None, "train"),
        "test/FAKE": (F, None, None, "test"),
    },
    "140k faces": {
        "real-vs-fake/train/real": (R, None, None, "train"),
        "real-vs-fake/valid/fake": (F, None, None, "validation"),
    },
    "tiny-genimage": {
        "imagenet_ai_0419_biggan/train/ai": (F, "biggan", None, "train"),
        "imagenet_ai_0424_wukong/val/ai": (F, "wukong", None, "validation"),
        "imagenet_glide/val/nature": (R, None, "imagenet", "validation"),
    },
    "GenImage": {
        "stable_diffusion_v_1_5/imagenet_ai_0424_sdv5/train/ai": (F, "stable_diffusion_v_1_5", None, "train"),
        "VQDM/imagenet_ai_0419_vqdm/val/nature": (R, None, "imagenet", "validation"),
        "BigGAN/imagenet_ai_0419_biggan/val/ai": (F, "BigGAN", None, "validation"),
    },
    "CNN_synth_testset": {
        "progan/cat/1_fake": (F, "progan", None, None),
        "progan/train/1_fake": (F, "progan", None, None),  # pictures of trains
        "seeingdark/0_real": (R, None, None, None),
        "san/1_fake": (F, "san", None, None),
    },
    "ForenSynths": {
        "test/progan/train/1_fake": (F, "progan", None, "test"),
        "train/progan/train/0_real": (R, None, None, "train"),
        "val/progan/person/1_fake": (F, "progan", None, "validation"),
    },
    "univfd diffusion": {
        "glide_50_27/1_fake": (F, "glide_50_27", None, None),
        "guided/1_fake": (F, "guided", None, None),
        "imagenet/0_real": (R, None, None, None),
    },
    "Chameleon": {
        "test/0_real": (R, None, None, "test"),
        "test/1_fake": (F, None, None, "test"),  # nobody says by which generators
    },
    "AIGIBench": {
        "test/R3GAN/1_fake": (F, "R3GAN", None, "test"),
        "test/Imagen3/0_real": (R, None, None, "test"),
    },
    "DRCT": {
        "MSCOCO/val2017": (R, None, "mscoco", "validation"),
        "DRCT-2M/controlnet-canny-sdxl-1.0/val2017": (F, "controlnet-canny-sdxl-1.0", None, "validation"),
    },
    "COCO captions drawn again": {
        "coco/val2017": (R, None, "mscoco", "validation"),
        "flux_dev/coco/val2017": (U, None, None, None),  # never the photographs' label
        "fake/sd3/coco/train2017": (F, "sd3", None, None),
    },
    "WildFake": {
        "fake/DMs/Midjourney/v5": (F, "Midjourney", None, None),
        "fake/GANs/stylegan3": (F, "stylegan3", None, None),
        "real/ffhq": (R, None, "ffhq", None),
    },
    "FakeBench": {
        "fake_imgs/DALLE2": (F, "DALLE2", None, None),
        "real_imgs": (R, None, None, None),
    },
    "split below the label": {
        "fake/train/sdxl": (F, "sdxl", None, "train"),
        "fake/test/flux": (F, "flux", None, "test"),
        "real/val": (R, None, None, "validation"),
        "fake/train": (F, None, None, "train"),
    },
    "split at the bottom": {
        "Fake/StyleGAN3/test": (F, "StyleGAN3", None, "test"),
        "Real/FFHQ/train": (R, None, "FFHQ", "train"),
    },
    "ArtiFact": {
        "big_gan/fake": (F, "big_gan", None, None),
        "coco/real": (R, None, None, None),
    },
    "ImageFolder of classes": {"n01440764": (U, None, None, None), "n02084071": (U, None, None, None)},
    "numbers": {"0": (U, None, None, None), "1": (U, None, None, None)},
    "Synthbuster": {
        "dalle3": (F, "dalle3", None, None),
        "raise": (R, None, "raise", None),
        "notes": (U, None, None, None),
    },
    "negations": {
        "not_fake": (U, None, None, None),
        "unreal": (U, None, None, None),
        "real_or_fake": (U, None, None, None),
        "before_ai": (U, None, None, None),
        "surreal/portraits": (U, None, None, None),
    },
    "other scripts": {
        "実写": (U, None, None, None),
        "生成": (U, None, None, None),
    },
    "Celeb-DF": {
        "Celeb-real/id0": (U, None, None, None),
        "Celeb-synthesis/id1": (U, None, None, None),
    },
}


def described(item: ImageItem) -> Seen:
    return item.label, item.generator, item.metadata.get("source"), item.metadata.get("split")


@pytest.mark.parametrize("name", COLLECTIONS)
def test_label_generator_source_and_split_or_a_line_that_says_none(name: str, tmp_path: Path) -> None:
    expected = COLLECTIONS[name]
    root = write_folder(tmp_path / name, {f"{folder}/a.jpg": encoded("JPEG") for folder in expected})
    report = SourceReport()
    items = {
        str(Path(i.uri).parent.relative_to(root)): i for i in iter_source(root, layout="auto", report=report)
    }
    assert {folder: described(item) for folder, item in items.items()} == expected
    unlabelled = sum(seen[0] is None for seen in expected.values())
    words = f"{unlabelled} of {len(expected)} images without a label" if unlabelled else "all labelled"
    assert words in report.sentence()


# Their folders have no label's name.
BY_LAYOUT_ALONE = ("COCO captions drawn again", "DRCT", "Synthbuster")


@pytest.mark.parametrize("name", [name for name in COLLECTIONS if name not in BY_LAYOUT_ALONE])
def test_folders_alone_give_the_same_labels_and_generators(name: str, tmp_path: Path) -> None:
    expected = {folder: seen[:2] for folder, seen in COLLECTIONS[name].items()}
    files = {f"{folder}/a.jpg": encoded("JPEG") for folder in expected}
    root = write_folder(tmp_path / name, files)
    archive = write_zip(tmp_path / "a.zip", {f"{name}/{member}": data for member, data in files.items()})
    for source in (root, archive):
        found = {}
        for item in iter_source(source, label_from="folders"):
            folder = Path(item.uri.split("::")[-1]).parent
            below = folder.relative_to(root if source == root else name)
            found[str(below)] = (item.label, item.generator)
        assert found == expected


def test_what_is_not_read_is_counted(tmp_path: Path) -> None:
    files = {
        **{
            "a.jpg": encoded("JPEG"),
            "._a.jpg": APPLE_DOUBLE,
            "Thumbs.db": b"x",
            "@eaDir/a.jpg": encoded("JPEG"),
        },
        **{"notes.txt": b"x", "metadata.csv": b"path\n", "more.zip": b"PK\5\6" + bytes(18), "shard.tar": b""},
    }
    root = write_folder(tmp_path / "set", files)
    report = SourceReport()
    for _ in range(2):  # listed twice, counted once
        assert [Path(item.uri).name for item in iter_source(root, report=report)] == ["a.jpg"]
    assert {Path(path).name for path in report.passed.left} == {"._a.jpg", "Thumbs.db", "@eaDir"}
    assert {Path(path).name for path in report.passed.unread} == {"metadata.csv", "more.zip", "shard.tar"}
    said = report.passed_over()
    assert "3 left by systems" in said
    assert f"3 manifests and archives inside a folder ({root}/metadata.csv" in said
    for write, name in ((write_zip, "b.zip"), (write_tar, "b.tar")):
        inside = SourceReport()
        archive = write(tmp_path / name, {"__MACOSX/._a.jpg": APPLE_DOUBLE, "a.jpg": encoded("JPEG")})
        assert len(list(iter_source(archive, report=inside))) == 1
        assert "1 left by systems" in inside.passed_over()
    assert not SourceReport().passed_over()


STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def pictures(*shades: int, labels: list[Any], names: list[str] | None = None) -> pa.Table:
    """A table as `datasets` makes it; with `names`, the labels are numbers of these classes."""
    values = [{"bytes": png(shade), "path": f"{shade}.png"} for shade in shades]
    table = pa.table({"image": pa.array(values, type=STRUCT), "label": labels})
    if names is None:
        return table
    return table.replace_schema_metadata({"huggingface": json.dumps(features(names))})


def features(names: list[str]) -> dict[str, Any]:
    label = {"_type": "ClassLabel", "names": names}
    return {"info": {"features": {"label": label, "image": {"_type": "Image"}}}}


def write_parquet(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
        (
            "data/train-00000-of-00001-0a1b2c3d4e5f6071.parquet",
            "data/test-00000-of-00002-ff00ff00ff00ff00.parquet",
        ),
        ("default/train/0000.parquet", "default/test/0000.parquet"),
        ("train/00000.parquet", "test/00000.parquet"),
        ("Train-00000-of-00001.parquet", "Test-00000-of-00001.parquet"),
    ],
)
def test_the_folder_of_a_data_set_is_read_with_its_splits(first: str, second: str, tmp_path: Path) -> None:
    root = tmp_path / "hub"
    write_parquet(root / first, pictures(1, 2, labels=[0, 1], names=["FAKE", "REAL"]))
    write_parquet(root / second, pictures(3, labels=[0], names=["FAKE", "REAL"]))
    (root / "README.md").write_text("# A set")
    found = [(i.label, i.metadata["split"], decode(i.read()).image.size) for i in iter_source(root)]
    assert sorted(found) == [(R, "train", (40, 40)), (F, "test", (40, 40)), (F, "train", (40, 40))]


def write_arrow(path: Path, table: pa.Table, *, stream: bool, rows: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as sink, make(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("declared", ["in the file", "beside it"])
def test_a_data_set_saved_to_a_disk_is_read(stream: bool, declared: str, tmp_path: Path) -> None:
    names = ["AI", "human"]
    table = pictures(1, 2, 3, labels=[0, 1, 0], names=names if declared == "in the file" else None)
    folder = tmp_path / "disk" / "train"
    write_arrow(folder / "data-00000-of-00001.arrow", table, stream=stream)
    (folder / "state.json").write_text("{}")
    (folder / "dataset_info.json").write_text(json.dumps(features(names)["info"]))
    (tmp_path / "disk" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    for source in (tmp_path / "disk", folder, folder / "data-00000-of-00001.arrow"):
        items = list(iter_source(source))
        assert [i.label for i in items] == [F, R, F]
        assert [i.read() for i in items[::-1]] == [png(3), png(2), png(1)]
        assert {i.metadata["split"] for i in items} == {"train"}
        assert items[1].uri.endswith(".arrow::2/2.png")


@pytest.mark.parametrize("damage", [b"", b"ARROW1\0\0", bytes(500), bytes(range(256)) * 4])
def test_a_damaged_arrow_file_is_one_sentence(damage: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.arrow").write_bytes(damage)
    with pytest.raises(UsageError, match=r"a\.arrow is not a readable Arrow file"):
        list(iter_source(tmp_path / "a.arrow"))


def test_an_arrow_file_with_offsets_outside_it_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "data-00000-of-00001.arrow"
    write_arrow(path, pictures(*range(40), labels=[0] * 40), stream=True, rows=40)
    whole = path.read_bytes()
    for at in range(64, 2400, 29):
        path.write_bytes(whole[:at] + b"\xff\xff\xff\x7f" + whole[at + 4 :])
        try:
            for item in list(iter_source(path))[:3]:
                item.read()
        except (UsageError, ImageError):
            continue


def test_shards_without_pictures_do_not_end_the_reading_of_a_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", {"a.jpg": encoded("JPEG")})
    write_parquet(tmp_path / "set" / "train-00000-of-00001.parquet", pa.table({"text": ["a", "b"]}))
    report = SourceReport()
    assert [Path(i.uri).name for i in iter_source(tmp_path / "set", report=report)] == ["a.jpg"]
    assert "train-00000-of-00001.parquet" in report.passed_over()


LINES = {
    "plain": '{"path": "a.jpg", "label": "fake", "generator": "sdxl"}\n{"path": "b.jpg", "label": 0}\n',
    "of an image folder": '{"file_name": "a.jpg", "label": 1, "generator": "sdxl"}\n\n'
    '{"file_name": "b.jpg", "label": "real", "text": null}\n',
    "with further columns": '{"image": "a.jpg", "label": "AI", "generator": "sdxl"}\r\n'
    '{"extra": [1, 2], "label": "human", "image": "b.jpg"}',
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("suffix", ["jsonl", "ndjson"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_json_lines_are_a_manifest(name: str, suffix: str, mark: str, tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.jpg": encoded("JPEG"), "b.jpg": encoded("JPEG")})
    (tmp_path / f"m.{suffix}").write_text(mark + LINES[name], encoding="utf-8")
    items = list(iter_source(tmp_path / f"m.{suffix}"))
    assert [(i.label, i.generator, decode(i.read()).facts.format) for i in items] == [
        (F, "sdxl", "JPEG"),
        (R, None, "JPEG"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ('{"path": "a.jpg"}\n[1]\n', "row 2 is no JSON object"),
        ('{"path": "a.jpg"', "row 1 is not readable as JSON"),
        ('{"url": "a.jpg"}\n', "no column 'path'"),
        ('{"path": "a.jpg", "label": "maybe"}\n', "row 1: label 'maybe'"),
        ('{"path": "a.jpg", "label": true}\n', "row 1: label 'true'"),
        ('{"path": "a.jpg", "label": "real", "label": "fake"}\n', "'label' more than once"),
        ("[" * 100_000 + "\n", "row 1 is not readable as JSON"),
    ],
)
def test_json_lines_that_cannot_be_read_say_where(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(text)
    with pytest.raises(UsageError, match=words):
        list(iter_source(tmp_path / "m.jsonl"))


@pytest.mark.parametrize("column", ["label", "path", "generator", "Label"])
def test_two_columns_of_one_name_are_refused(column: str, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(f"path,label,generator,{column},{column}\na.jpg,real,,fake,real\n")
    with pytest.raises(UsageError, match=f"several columns called '{column}'"):
        list(iter_source(tmp_path / "m.csv"))


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_tables_with_two_columns_of_one_name_are_refused(suffix: str, tmp_path: Path) -> None:
    table = pictures(1, labels=[0])
    table = table.append_column("label", [[1]])
    if suffix == "parquet":
        write_parquet(tmp_path / "m.parquet", table)
    else:
        write_arrow(tmp_path / "m.arrow", table, stream=True)
    with pytest.raises(UsageError, match="several columns called 'label'"):
        list(iter_source(tmp_path / f"m.{suffix}"))


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_path_beside_a_picture_may_be_bytes(suffix: str, tmp_path: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.binary())])
    rows = [{"bytes": png(1), "path": b"in/a.png"}, {"bytes": png(2), "path": b"\xff\xfe"}]
    path = tmp_path / f"m.{suffix}"
    table = pa.table({"image": pa.array(rows, type=kind), "label": [0, 1]})
    write_parquet(path, table) if suffix == "parquet" else write_arrow(path, table, stream=False)
    items = list(iter_source(path))
    assert [(i.uri, i.label, i.read()) for i in items] == [
        (f"{path}::1/a.png", R, png(1)),
        (f"{path}::2", F, png(2)),
    ]


@pytest.mark.parametrize("name", ["list.txt", "list.json", "book.xlsx", "book.ods", "old.XLS"])
def test_what_is_given_as_a_list_and_is_none_says_which_lists_are_read(name: str, tmp_path: Path) -> None:
    book = write_zip(tmp_path / "x.zip", {"xl/media/image1.png": encoded("PNG")}).read_bytes()
    (tmp_path / name).write_bytes(book if name.startswith("book") else b"a.jpg\n")
    (item,) = iter_source(tmp_path / name)
    assert item.problem is not None
    assert item.problem.reason == "not_an_image"
    assert "CSV, JSON Lines or Parquet" in str(item.problem)
    (tmp_path / name).write_bytes(encoded("PNG"))  # the content decides
    (item,) = iter_source(tmp_path / name)
    assert decode(item.read()).facts.format == "PNG"


def test_a_member_without_a_name_ends_no_archive(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"ab.png": encoded("PNG"), "x": b"x"})
    path.write_bytes(path.read_bytes().replace(b"ab.png", b"\0b.png"))
    assert [item.problem and item.problem.reason for item in iter_source(path)] == ["unsafe_name"]


@pytest.mark.parametrize("again", ["a.jpg", "./a.jpg", "sub/../a.jpg"])
def test_one_image_with_both_labels_is_refused(again: str, tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.jpg": encoded("JPEG"), "sub/b.jpg": encoded("JPEG")})
    rows = f"path,label\na.jpg,real\nsub/b.jpg,\n{again},fake\n"
    (tmp_path / "m.csv").write_text(rows)
    with pytest.raises(UsageError, match=r"row 3: .*a\.jpg has the opposite label in an earlier row"):
        list(iter_source(tmp_path / "m.csv"))
    for same in ("real", ""):  # twice the same is one image
        (tmp_path / "m.csv").write_text(rows.replace("fake", same))
        assert [item.label for item in iter_source(tmp_path / "m.csv")] == [R, U]
