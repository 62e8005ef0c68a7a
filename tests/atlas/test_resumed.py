"""A build goes on where an earlier one was ended, whatever that left; a folder of others is not touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from morelli.atlas import Atlas, AtlasOptions, build_atlas, verify_atlas
from morelli.errors import ArtifactError, UsageError
from morelli.features import FeatureTable

OPTIONS = AtlasOptions(dimensions=4, projection="pca")


def before_anything(out: Path) -> None:
    (out / ".building.json.lock").touch()
    (out / ".building.json.morelli-0123abcd.part").write_text('{"ro')


def while_the_map_was_written(out: Path) -> None:
    (out / "building.json").write_text("{}")
    (out / ".distilled.morelli-0123abcd.new").mkdir()
    (out / ".distilled.morelli-0123abcd.new" / "map.json").write_text("{")


def of_an_earlier_morelli(out: Path) -> None:
    (out / ".distilled.morelli-0123abcd.new").mkdir()


def while_cells_were_written(out: Path) -> None:
    (out / "building.json").write_text("{}")
    (out / ".cells-72.morelli-0123abcd.new").mkdir()
    (out / "layout").mkdir()
    (out / "layout" / ".xy.npy.morelli-0123abcd.part").write_bytes(b"\x93NUM")


STATES = [before_anything, while_the_map_was_written, of_an_earlier_morelli, while_cells_were_written]


@pytest.mark.parametrize("left", STATES)
def test_a_build_takes_what_an_ended_one_left(
    table: FeatureTable, tmp_path: Path, left: Callable[[Path], None]
) -> None:
    out = tmp_path / "small.atlas"
    out.mkdir()
    left(out)
    atlas = build_atlas(table, out, OPTIONS)
    assert len(atlas) == len(table)
    assert verify_atlas(out).files > 10
    names = {path.name for path in out.iterdir()}
    assert "building.json" not in names
    assert not any(name.endswith(".part") for name in (path.name for path in out.rglob(".*")))
    assert Atlas.open(out).record == atlas.record
    with pytest.raises(UsageError, match="finished atlas"):
        build_atlas(table, out, OPTIONS)


def test_a_folder_of_others_is_refused(table: FeatureTable, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / ".hidden").write_text("mine")
    with pytest.raises(UsageError, match="is no atlas"):
        build_atlas(table, tmp_path / "photos", OPTIONS)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == [".hidden"]


def test_a_damaged_file_of_an_unfinished_build_is_named(table: FeatureTable, tmp_path: Path) -> None:
    out = tmp_path / "small.atlas"

    def stop(step: str, done: int, total: int) -> None:
        if step == "prototypes":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_atlas(table, out, OPTIONS, progress=stop)
    (out / "held-out.safetensors").write_bytes(b"cut")
    with pytest.raises(ArtifactError, match=r"held-out\.safetensors is damaged"):
        build_atlas(table, out, OPTIONS)
    (out / "building.json").unlink()
    assert len(build_atlas(table, out, OPTIONS)) == len(table)


def test_cells_of_a_build_with_other_inputs_do_not_stay(table: FeatureTable, tmp_path: Path) -> None:
    """Interrupted behind its cells, then built of fewer images: the finished atlas holds one set of cells."""
    out = tmp_path / "small.atlas"

    def stop(step: str, done: int, total: int) -> None:
        if (step, done) == ("cells", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_atlas(table, out, OPTIONS, progress=stop)
    assert (out / f"cells-{len(table)}").is_dir()
    known = [name for name in table.metadata(["generator"]).column("generator").to_pylist() if name]
    some = f"generator IS NULL OR generator != '{known[0]}'"
    fewer = AtlasOptions(dimensions=4, projection="pca", where=some)
    atlas = build_atlas(table, out, fewer)
    assert len(atlas) < len(table)
    assert [path.name for path in out.glob("cells-*")] == [atlas.record.cells]
    assert not [name for name in atlas.record.files if name.startswith(f"cells-{len(table)}/")]
