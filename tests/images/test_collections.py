"""Collections as people have them: what systems leave, folder names of data sets, labels of other tasks."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from morelli.images import ImageItem, decode, iter_source
from tests.images.hostile import encoded

APPLE_DOUBLE = bytes.fromhex("0005160700020000") + b"Mac OS X        " + bytes(82)
LEFT = {
    "set/._a.jpg": APPLE_DOUBLE,
    "__MACOSX/set/._a.jpg": APPLE_DOUBLE,
    "__MACOSX/set/a.jpg": APPLE_DOUBLE,
    "set/Thumbs.db": bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504),
    "set/.DS_Store": b"\0\0\0\1Bud1" + bytes(64),
    "set/desktop.ini": b"[.ShellClassInfo]\r\n",
    "set/@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg": encoded("JPEG"),
    "set/.ipynb_checkpoints/a-checkpoint.jpg": encoded("JPEG"),
    "set/$RECYCLE.BIN/$R1.png": encoded("PNG"),
    "lost+found/#12.jpg": b"",
}


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def members(items: list[ImageItem]) -> list[str]:
    """Names of the listed members, all of which must be pictures."""
    assert all(decode(item.read()).image.size for item in items)
    return [item.uri.split("::")[1] for item in items]


def test_what_systems_leave_in_folders_is_no_picture(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "all", {**LEFT, "set/a.jpg": encoded("JPEG"), "set/b.png": encoded("PNG")})
    items = list(iter_source(root))
    assert [Path(item.uri).relative_to(root).as_posix() for item in items] == ["set/a.jpg", "set/b.png"]
    items = list(iter_source(str(root / "set" / "*")))
    assert [Path(item.uri).name for item in items] == ["a.jpg", "b.png"]


@pytest.mark.parametrize("name", ["all.zip", "all.tar", "all.tar.gz"])
def test_what_systems_leave_in_archives_is_no_picture(tmp_path: Path, name: str) -> None:
    files = {**LEFT, "set/a.jpg": encoded("JPEG")}
    path = (write_zip if name.endswith("zip") else write_tar)(tmp_path / name, files)
    assert members(list(iter_source(path))) == ["set/a.jpg"]


@pytest.mark.parametrize("name", ["all.zip", "all.tar", "all.tar.gz"])
def test_a_picture_may_be_named_like_a_resource_fork(tmp_path: Path, name: str) -> None:
    path = (write_zip if name.endswith("zip") else write_tar)(tmp_path / name, {"._a.jpg": encoded("JPEG")})
    assert members(list(iter_source(path))) == ["._a.jpg"]
    root = write_folder(tmp_path / "all", {"._a.jpg": encoded("JPEG")})
    assert [Path(item.uri).name for item in iter_source(root)] == ["._a.jpg"]


def test_resource_forks_do_not_split_a_webdataset_sample(tmp_path: Path) -> None:
    files = {"._1.jpg": APPLE_DOUBLE, "1.jpg": encoded("JPEG"), "._1.cls": APPLE_DOUBLE, "1.cls": b"1"}
    (item,) = iter_source(write_tar(tmp_path / "shard.tar", files))
    assert item.label == 1


@pytest.mark.parametrize("above", ["ai", "real", "fake"])
def test_the_way_to_a_source_gives_no_label(tmp_path: Path, above: str) -> None:
    root = write_folder(tmp_path / above / "photos", {"a.jpg": encoded("JPEG")})
    archives = [
        write_zip(tmp_path / above / "a.zip", {"a.jpg": encoded("JPEG")}),
        write_tar(tmp_path / above / "a.tar", {"a.jpg": encoded("JPEG")}),
    ]
    (tmp_path / above / "list.csv").write_text("path\nphotos/a.jpg\n")
    for source in [root, root / "a.jpg", str(root / "*.jpg"), *archives, tmp_path / above / "list.csv"]:
        assert [item.label for item in iter_source(source, label_from="folders")] == [None]


def test_folders_of_a_glob_and_of_rows_give_labels(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", {f"{n}/x/a.jpg": encoded("JPEG") for n in ("fake", "real")})
    (root / "list.csv").write_text("path\nfake/x/a.jpg\nreal/x/a.jpg\n")
    for source in ("*/x/a.jpg", "*", "**/*.jpg", "list.csv"):
        items = list(iter_source(str(root / source), label_from="folders"))
        assert [(i.label, i.generator) for i in items] == [(1, "x"), (0, None)]
    (item,) = iter_source(root / "fake" / "x" / "a.jpg", label_from="folders", generator="x")
    assert item.label is None
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "b.jpg").write_bytes(encoded("JPEG"))
    for own in (tmp_path / "fake", tmp_path / "fake" / "b.jpg", str(tmp_path / "fake" / "*.jpg")):
        assert [item.label for item in iter_source(own, label_from="folders")] == [1]


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("Fakes", 1),
        ("fake_images", 1),
        ("AI-generated", 1),
        ("training_fake", 1),
        ("synthetic", 1),
        ("1_generated", 1),
        ("deepfakes", 1),
        ("REALS", 0),
        ("real photos", 0),
        ("human", 0),
        ("authentic", 0),
        ("real-vs-fake", None),
        ("human_faces", None),
        ("photos", None),
        ("fake/sdxl/human", 1),  # a class of pictures
        ("real/coco/synthetic", 0),
    ],
)
def test_spellings_of_folders(tmp_path: Path, folder: str, label: int | None) -> None:
    root = write_folder(tmp_path / "set", {f"{folder}/a.png": encoded("PNG")})
    assert [item.label for item in iter_source(root, label_from="folders")] == [label]


@pytest.mark.parametrize(
    ("path", "generator"),
    [
        ("GenImage/ADM/imagenet_ai_0508_adm/val/ai", "ADM"),
        ("ADM/imagenet_ai_0508_adm/val/ai", "ADM"),
        ("GenImage/unheard/imagenet_unheard/train/ai", "unheard"),
        ("ForenSynths/test/stylegan/bedroom/1_fake", "stylegan"),
        ("ForenSynths/crn/1_fake", "crn"),
        ("progan/car/1_fake", "progan"),
        ("biggan/1_fake", "biggan"),
        ("sets/sdxl/fake", "sdxl"),
        ("sets/fake/sdxl", "sdxl"),
        ("sets/1_fake", None),
        ("sets/train/fake", None),
        ("sets/faces/fake", None),
        ("GenImage/ADM/imagenet_ai_0508_adm/val/nature", None),
        ("ForenSynths/crn/0_real", None),
    ],
)
def test_the_generator_of_known_layouts(tmp_path: Path, path: str, generator: str | None) -> None:
    write_folder(tmp_path, {f"{path}/a.png": encoded("PNG")})
    (item,) = iter_source(tmp_path / Path(path).parts[0], label_from="folders")
    assert item.label is not None
    assert item.generator == generator
    (item,) = iter_source(
        write_zip(tmp_path / "a.zip", {f"{path}/a.png": encoded("PNG")}), label_from="folders"
    )
    assert item.generator == generator


def shard(path: Path, sidecars: dict[str, bytes]) -> Path:
    """A shard with one picture for each key of the sidecars, before them."""
    files: dict[str, bytes] = {}
    for name, data in sidecars.items():
        files.setdefault(name.rpartition(".")[0] + ".jpg", encoded("JPEG"))
        files[name] = data
    return write_tar(path, files)


@pytest.mark.parametrize("name", ["s.tar", "s.tar.gz"])
@pytest.mark.parametrize(
    "other", [{"3.cls": b"207"}, {"3.json": b'{"label": "cat"}'}, {"3.json": b'{"label": 7}'}]
)
def test_class_indices_are_no_labels(tmp_path: Path, name: str, other: dict[str, bytes]) -> None:
    sidecars = {"1.cls": b"0", "2.cls": b"1\n", **other, "4.json": b'{"label": 1}', "5.cls": b"fake"}
    items = list(iter_source(shard(tmp_path / name, sidecars)))
    assert [item.label for item in items] == [None, None, None, None, 1]
    assert [(item.metadata.get("cls"), item.metadata.get("label")) for item in items[:2]] == [
        ("0", None),
        ("1", None),
    ]
    assert items[3].metadata["label"] == "1"
    assert all(decode(item.read()).image.size for item in items)


def test_a_label_that_the_caller_knows_beats_a_bare_number_but_no_word(tmp_path: Path) -> None:
    path = shard(
        tmp_path / "s.tar", {"1.cls": b"0", "2.cls": b"1", "3.cls": b"fake", "4.json": b'{"label": "ai"}'}
    )
    assert [item.label for item in iter_source(path)] == [0, 1, 1, 1]
    assert [item.label for item in iter_source(path, label=0)] == [0, 0, 1, 1]


def test_an_unknown_label_says_nothing_of_the_others(tmp_path: Path) -> None:
    sidecars = {"1.cls": b"0", "2.cls": b"-1", "3.cls": b"1", "4.json": b'{"label": "unknown"}', "5.cls": b""}
    items = list(iter_source(shard(tmp_path / "s.tar", sidecars)))
    assert [item.label for item in items] == [0, None, 1, None, None]


def test_sidecars_of_names_with_dots(tmp_path: Path) -> None:
    sidecars = {}
    for n in range(150):
        sidecars[f"a.b/run-0.5_{n:03}.cls"] = str(n % 2).encode()
        sidecars[f"a.b/run-0.5_{n:03}.json"] = f'{{"seed": {n}}}'.encode()
    items = list(iter_source(shard(tmp_path / "s.tar", sidecars)))
    assert [(item.label, item.metadata["seed"]) for item in items] == [(n % 2, str(n)) for n in range(150)]


def test_sidecars_count_for_the_pictures_of_their_name(tmp_path: Path) -> None:
    files = {"1.left.jpg": b"", "1.right.jpg": b"", "1.right.json": b'{"generator": "g"}', "1.cls": b"1"}
    files = {name: data or encoded("JPEG") for name, data in files.items()}
    items = list(iter_source(write_tar(tmp_path / "s.tar", files)))
    assert [(item.label, item.generator) for item in items] == [(1, None), (1, "g")]


@pytest.mark.parametrize("name", ["s.tar", "s.tar.gz", "s.zip"])
def test_a_member_is_a_picture_by_its_content(tmp_path: Path, name: str) -> None:
    files = {
        "1.image": encoded("JPEG"),
        "1.bin": bytes(300),
        "2.input.dat": encoded("PNG"),
        "3": encoded("WEBP"),
    }
    path = (write_zip if name.endswith("zip") else write_tar)(tmp_path / name, files)
    assert members(list(iter_source(path))) == ["1.image", "2.input.dat", "3"]


@pytest.mark.parametrize(
    "sidecars",
    [
        {"1.cls": b"1", "1.json": b'{"label": "real"}'},
        {"1.cls": b"real", "1.json": b'{"label": "fake"}'},
        {"1.json": b'{"label": 1, "label_name": "real"}'},
        {"1.json": b'{"label": "fake", "is_ai": false}'},
        {"1.json": b'{"label": "fake", "generator": "real"}'},
    ],
)
def test_sidecars_that_contradict_each_other_are_no_label(tmp_path: Path, sidecars: dict[str, bytes]) -> None:
    (item,) = iter_source(write_tar(tmp_path / "s.tar", {"1.jpg": encoded("JPEG"), **sidecars}))
    assert item.problem is not None and item.problem.reason == "bad_sidecar" and item.label is None


def test_keys_of_a_sidecar_are_read_in_any_case(tmp_path: Path) -> None:
    said = b'{"Label": "Fake", "GENERATOR": "sdxl", "Source": "web", "Width": 5}'
    (item,) = iter_source(write_tar(tmp_path / "s.tar", {"1.jpg": encoded("JPEG"), "1.json": said}))
    assert (item.label, item.generator) == (1, "sdxl")
    assert dict(item.metadata) == {"source": "web", "Width": "5"}
