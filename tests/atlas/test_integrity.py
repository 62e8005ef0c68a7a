"""A damaged atlas says so: every file has a digest, and no damage is a traceback or another figure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import lance
import pytest

from morelli.atlas import Atlas, add_images, build_atlas, verify_atlas
from morelli.atlas import _integrity as integrity
from morelli.encoders import Encoder
from morelli.errors import ArtifactError
from morelli.features import FeatureTable, extract
from morelli.images import iter_source
from morelli.reports import export_atlas
from tests.atlas.conftest import OPTIONS
from tests.cli.conftest import morelli


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy of the atlas, to be damaged."""
    return Path(shutil.copytree(built, tmp_path / "own.atlas"))


def flip(path: Path, at: float = 0.5) -> None:
    """Change one bit of one byte."""
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 1
    path.write_bytes(data)


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def data_file(folder: Path, table: str) -> Path:
    return next((folder / table / "data").glob("*.lance"))


def rewrite(folder: Path, change: Callable[[dict], object]) -> None:
    """Change `atlas.json` as an older Morelli, or somebody, would have written it: without its own digest."""
    path = folder / "atlas.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["digest"]
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def without_tables(document: dict) -> None:
    document["files"] = {k: v for k, v in document["files"].items() if ".lance/" not in k}


def test_a_whole_atlas_is_verified(folder: Path) -> None:
    verified = verify_atlas(folder)
    assert verified.unrecorded == ()
    recorded = set(Atlas.open(folder).record.files)
    found = {path.relative_to(folder).as_posix() for path in files_of(folder)}
    # Its own digest is inside, and Lance's note of the newest version changes with every version.
    assert found - recorded == {"atlas.json"} | {
        f"{table}/_versions/latest_version_hint.json" for table in ("images.lance", "pixels.lance")
    }
    assert verified.files == len(recorded)
    assert verified.size == sum((folder / name).stat().st_size for name in recorded)


@pytest.mark.parametrize("at", [0.0, 0.37, 0.5, 1.0])
def test_one_bit_of_any_file_is_told_with_its_name(folder: Path, at: float) -> None:
    for path in files_of(folder):
        name = path.relative_to(folder).as_posix()
        whole = path.read_bytes()
        flip(path, at)
        with pytest.raises(ArtifactError) as error:
            verify_atlas(folder)
        assert path.name in str(error.value), name
        assert len(str(error.value).splitlines()) == 1
        if not name.endswith("hint.json") and len(whole) <= integrity.SMALL:
            with pytest.raises(ArtifactError) as error:
                Atlas.open(folder)
            assert path.name in str(error.value), name
        path.write_bytes(whole)
    verify_atlas(folder)


def test_a_missing_file_is_told_on_opening(folder: Path) -> None:
    for name in ("prototypes", "layout"):
        gone = files_of(folder / name)[0]
        whole = gone.read_bytes()
        gone.unlink()
        with pytest.raises(ArtifactError, match=rf"{gone.name} \(it is missing\)"):
            Atlas.open(folder)
        gone.write_bytes(whole)


def test_many_damaged_files_are_one_short_line(folder: Path) -> None:
    for path in (folder / "distilled", folder / "layout", folder / "prototypes"):
        shutil.rmtree(path)
    with pytest.raises(ArtifactError, match=r"damaged files: .* and \d+ more; restore them") as error:
        verify_atlas(folder)
    assert len(str(error.value)) < 1000


def test_opening_checks_small_files_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million images have gigabytes of data, which no opening may read."""
    monkeypatch.setattr(integrity, "SMALL", 2000)
    large = data_file(folder, "pixels.lance")
    assert large.stat().st_size > 2000
    flip(large)
    Atlas.open(folder)
    with pytest.raises(ArtifactError, match=large.name):
        verify_atlas(folder)


def views(folder: Path) -> None:
    """What reads both tables."""
    atlas = Atlas.open(folder)
    atlas.info()
    atlas.dimensions()
    atlas.rows(limit=50)
    atlas.image(3)
    for row in range(0, len(atlas), 7):
        atlas.thumbnail(row)
        atlas.relevance(row)
    atlas.tile(2)


@pytest.mark.parametrize("part", ["images.lance", "pixels.lance"])
@pytest.mark.parametrize("damage", ["noise", "zeros", "short", "empty", "gone"])
def test_damaged_data_is_one_line_that_names_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, part: str, damage: str
) -> None:
    """Where opening did not read the file: the reader fails later, in its own way."""
    monkeypatch.setattr("morelli.atlas._atlas.require_small_files", lambda folder, files: None)
    path = data_file(folder, part)
    data = path.read_bytes()
    changed = {
        "noise": bytes((7 * i * i + 13) % 256 for i in range(len(data))),
        "zeros": bytes(len(data)),
        "short": data[: len(data) // 2],
        "empty": b"",
    }
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(changed[damage])
    with pytest.raises(ArtifactError) as error:
        views(folder)
    assert f"{part}/data/{path.name}" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("part", ["images.lance", "pixels.lance"])
def test_damaged_data_of_an_older_atlas_is_no_traceback(folder: Path, part: str) -> None:
    """Without a digest some damage shows in no way but another figure; what shows is one line."""
    rewrite(folder, without_tables)
    path = data_file(folder, part)
    data = path.read_bytes()
    told = 0
    for place in range(25):
        damaged = bytearray(data)
        start = len(data) * place // 25
        damaged[start : start + 64] = b"\xff" * len(damaged[start : start + 64])
        path.write_bytes(damaged)
        try:
            views(folder)
            verify_atlas(folder)
        except ArtifactError as error:
            told += 1
            assert len(str(error).splitlines()) == 1
            assert part in str(error)
    assert told


def test_an_older_atlas_opens_and_is_read_through(folder: Path) -> None:
    rewrite(folder, without_tables)
    views(folder)
    verified = verify_atlas(folder)
    assert verified.unrecorded == ("images.lance", "pixels.lance")
    rewrite_none = json.loads((folder / "atlas.json").read_text(encoding="utf-8"))
    rewrite_none["files"] = {}
    (folder / "atlas.json").write_text(json.dumps(rewrite_none), encoding="utf-8")
    views(folder)
    assert verify_atlas(folder).files == 0


def test_what_people_say_is_no_damage(folder: Path) -> None:
    atlas = Atlas.open(folder)
    atlas.edit_dimension(0, {"name": "sky"})
    atlas.edits.save_selection("reals", {"column": "label", "in": ["real"]})
    atlas.feedback(2, "real", "a friend took it")
    verify_atlas(folder)
    assert Atlas.open(folder).dimension_names()[0] == "sky"


def test_an_addition_that_was_cut_short_is_no_damage(folder: Path) -> None:
    """It leaves newer versions of the tables, which the next addition takes back."""
    dataset = lance.dataset(folder / "images.lance")
    lance.write_dataset(dataset.to_table(limit=3), dataset, mode="append")
    verify_atlas(folder)
    assert len(Atlas.open(folder)) == dataset.count_rows()


def test_nothing_is_exported_from_a_damaged_atlas(folder: Path, tmp_path: Path) -> None:
    atlas = Atlas.open(folder)
    export_atlas(atlas, tmp_path / "whole.csv")
    flip(data_file(folder, "images.lance"))
    for name in ("a.csv", "a.html", "a.png"):
        with pytest.raises(ArtifactError, match=r"images\.lance"):
            export_atlas(atlas, tmp_path / name)
        assert not (tmp_path / name).exists()


def test_an_atlas_grows_with_its_digests_and_not_over_damage(
    tmp_path: Path, table: FeatureTable, collection: Path, tiny_encoder: Encoder
) -> None:
    out, some = tmp_path / "grown.atlas", tmp_path / "some.lance"
    items = list(iter_source(collection, label_from="folders"))
    extract(items[::2], some, encoder=tiny_encoder, kinds=["final", "layer:3", "tokens:3"])
    build_atlas(FeatureTable.open(some), out, OPTIONS, encoder=tiny_encoder, workers=1)
    before = verify_atlas(out)
    path = data_file(out, "pixels.lance")
    whole = path.read_bytes()
    flip(path)
    with pytest.raises(ArtifactError, match=path.name):
        add_images(out, table, encoder=tiny_encoder, workers=1)
    path.write_bytes(whole)
    assert len(add_images(out, table, encoder=tiny_encoder, workers=1)) > len(items[::2])
    after = verify_atlas(out)
    assert after.size > before.size
    for name in Atlas.open(out).record.files:
        whole = (out / name).read_bytes()
        flip(out / name)
        with pytest.raises(ArtifactError, match=Path(name).name):
            verify_atlas(out)
        (out / name).write_bytes(whole)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["files"].update({"../secret": "00"}),
        lambda d: d["files"].update({"/etc/passwd": "00"}),
        lambda d: d["files"].update({"a/../../b": "00"}),
        lambda d: d["files"].update({"layout": 3}),
        lambda d: d.update(files=[]),
        lambda d: d.update(images="1/../../elsewhere"),
        lambda d: d.update(images=-1),
        lambda d: d.update(levels=None),
        lambda d: d.update(versions={"../../x": 1, "images": 1}),
        lambda d: d.update(versions={"images": "1"}),
        lambda d: d.update(versions={}),
        lambda d: d.pop("images"),
    ],
)
def test_a_record_that_leads_elsewhere_is_refused(folder: Path, change: Callable[[dict], object]) -> None:
    rewrite(folder, change)
    with pytest.raises(ArtifactError, match=r"atlas\.json is damaged"):
        Atlas.open(folder)


@pytest.mark.parametrize("text", ["[]", "3", "null", "[" * 200_000, '{"a":' * 200_000])
def test_a_record_that_is_no_object_is_one_line(folder: Path, text: str) -> None:
    (folder / "atlas.json").write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"atlas\.json is (damaged|nested)"):
        Atlas.open(folder)


def test_the_program_verifies(folder: Path, tmp_path: Path) -> None:
    run = morelli("atlas", "info", folder, "--verify")
    assert run.code == 0, run.err
    assert "are as they were written" in run.err
    flip(data_file(folder, "pixels.lance"))
    flip(folder / "layout" / "grid.safetensors")
    for command in (["info", folder, "--verify"], ["export", folder, "-o", tmp_path / "x.csv"]):
        run = morelli("atlas", *command)
        assert run.code == 4
        assert "grid.safetensors" in run.err
        assert len(run.err.strip().splitlines()) == 1
