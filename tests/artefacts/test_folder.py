"""Folders of artefacts: syncing, replacing, versions, and readers beside writers."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import morelli.artefacts._replace as replacing
from morelli.artefacts import Format, read_folder, replacing_folder, write_folder
from morelli.artefacts._json import document_digest
from morelli.artefacts.schema import Number
from morelli.artefacts.tensors import pack_tensors, unpack_tensors
from morelli.atlas.distiller import DistilledMap, default_map_path
from morelli.detectors import Bundle, default_bundle_path
from morelli.errors import ArtifactError, UsageError
from morelli.explanation.concepts import ConceptBank, default_concepts_path
from tests.artefacts.kinds import KINDS, NEW, OLD

ROOT = Path(__file__).parents[2]
FORM = Format("toy", "toy", "toy.json", 3, "make it again", oldest=2, schema={"size": Number(0, 10)})


@pytest.mark.parametrize("can_exchange", [True, False])
def test_everything_is_synced_before_it_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to name a descriptor")
    kind = KINDS["mixture"]
    kind.write(tmp_path / "thing", OLD)
    events: list[tuple[str, str]] = []
    real_sync, real_rename, real_exchange = os.fsync, os.rename, replacing.exchange

    def sync(descriptor: int) -> None:
        events.append(("sync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        real_sync(descriptor)

    def rename(source: Path, target: Path) -> None:
        events.append(("rename", f"{source.name} {target.name}"))
        real_rename(source, target)

    def exchange(one: Path, other: Path) -> bool:
        done = can_exchange and real_exchange(one, other)
        if done:
            events.append(("rename", f"{one.name} {other.name}"))
        return done

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(replacing, "exchange", exchange)
    kind.write(tmp_path / "thing", NEW)
    assert kind.load(tmp_path / "thing") == NEW
    shown = next(i for i, (what, names) in enumerate(events) if what == "rename" and names.endswith(" thing"))
    fresh = events[shown][1].split()[0]
    synced = {Path(name) for what, name in events[:shown] if what == "sync"}
    expected = {
        tmp_path / fresh / inner.relative_to(tmp_path / "thing") for inner in (tmp_path / "thing").rglob("*")
    }
    assert expected | {tmp_path / fresh} <= synced
    assert ("sync", str(tmp_path)) in events[shown:]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_reader_beside_a_writer_meets_one_of_the_two(tmp_path: Path, can_exchange: bool) -> None:
    script = """
import sys
import time
from pathlib import Path
import morelli.artefacts._replace as replacing
from tests.artefacts.kinds import KINDS
if sys.argv[2] == "False":
    replacing.exchange = lambda one, other: False
write = KINDS["distilled map"].write
write(Path(sys.argv[1]), 0)
print("everything is loaded", flush=True)
for number in range(1, 40):
    write(Path(sys.argv[1]), number)
    time.sleep(0.03)  # a reader sees several of them, however quick the disk is
"""
    kind = KINDS["distilled map"]
    kind.write(tmp_path / "thing", -1)
    command = [sys.executable, "-c", script, str(tmp_path / "thing"), str(can_exchange)]
    seen = []
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        while writer.poll() is None:
            seen.append(kind.load(tmp_path / "thing"))
        assert writer.stderr is not None
        assert writer.returncode == 0, writer.stderr.read()
    assert seen == sorted(seen)
    assert len(set(seen)) > 5
    assert kind.load(tmp_path / "thing") == 39
    assert list(tmp_path.iterdir()) == [tmp_path / "thing"]


def test_a_folder_set_aside_is_put_back_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kind = KINDS["mixture"]
    thing = tmp_path / "thing"
    kind.write(thing, OLD)
    kind.write(tmp_path / "thing.more", OLD)
    (tmp_path / "thing.more").rename(tmp_path / ".thing.more.morelli-00000000.old")
    thing.rename(tmp_path / ".thing.morelli-0123abcd.old")
    (tmp_path / ".thing.morelli-11111111.new").mkdir()
    (tmp_path / ".thing.morelli-mine.new").mkdir()
    assert kind.load(thing) == OLD
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        ".thing.more.morelli-00000000.old",  # another artefact's
        ".thing.morelli-mine.new",  # no name that is given
        "thing",
    ]
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert f"{thing} was put back" in said
    assert "removed" in said and ".thing.morelli-11111111.new" in said
    with pytest.raises(ArtifactError, match="no such folder"):
        kind.load(tmp_path / "never")


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    kind = KINDS["mixture"]
    kind.write(tmp_path / "versions" / "one", OLD)
    (tmp_path / "current").symlink_to(tmp_path / "versions" / "one")
    kind.write(tmp_path / "current", NEW)
    assert (tmp_path / "current").is_symlink()
    assert kind.load(tmp_path / "versions" / "one") == NEW


def test_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "letter").write_text("precious")
    for name in ("file", "folder"):
        with pytest.raises(UsageError, match="is no mixture"):
            KINDS["mixture"].write(tmp_path / name, OLD)
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "letter").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    KINDS["mixture"].write(tmp_path / "empty", OLD)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["empty", "file", "folder"]


def test_what_only_the_former_manifest_names_goes_with_it(tmp_path: Path) -> None:
    write_folder(tmp_path / "t", FORM, {"size": 1}, columns={"a.json": 1, "b.json": 2}, texts={"c.md": "c"})
    (tmp_path / "t" / "mine.json").write_text("3")
    (tmp_path / "t" / "link").symlink_to("mine.json")
    write_folder(tmp_path / "t", FORM, {"size": 2}, columns={"a.json": 4})
    assert {entry.name for entry in (tmp_path / "t").iterdir()} == {"toy.json", "a.json", "mine.json", "link"}
    assert (tmp_path / "t" / "link").is_symlink()
    assert read_folder(tmp_path / "t", FORM).columns == {"a.json": 4}


def test_a_block_that_fails_changes_nothing(tmp_path: Path) -> None:
    KINDS["mixture"].write(tmp_path / "thing", OLD)
    with (
        pytest.raises(OSError, match="No space"),
        replacing_folder(tmp_path / "thing", what="mixture", ours=lambda _: True) as fresh,
    ):
        (fresh / "half").write_text("half")
        raise OSError(28, "No space left on device")
    assert KINDS["mixture"].load(tmp_path / "thing") == OLD
    assert list(tmp_path.iterdir()) == [tmp_path / "thing"]


@pytest.mark.parametrize("failing", [1, 2])
def test_a_rename_that_fails_leaves_the_former(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    kind = KINDS["mixture"]
    kind.write(tmp_path / "thing", OLD)
    real, calls = os.rename, []

    def rename(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == failing:
            raise PermissionError(13, "Permission denied")
        real(source, target)

    monkeypatch.setattr(replacing, "exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(PermissionError):
        kind.write(tmp_path / "thing", NEW)
    assert kind.load(tmp_path / "thing") == OLD
    assert list(tmp_path.iterdir()) == [tmp_path / "thing"]


def test_versions_between_the_oldest_and_the_own_are_read(tmp_path: Path) -> None:
    for version in (1, 2, 3, 4):
        write_folder(tmp_path / str(version), replace(FORM, version=version), {"size": 1})
    assert read_folder(tmp_path / "2", FORM).document["version"] == 2
    assert read_folder(tmp_path / "3", FORM).document["size"] == 1
    for version in (1, 4):
        with pytest.raises(ArtifactError, match=f"version {version}; this Morelli reads 2 to 3"):
            read_folder(tmp_path / str(version), FORM)


def test_a_declared_size_is_looked_at_before_the_file(tmp_path: Path) -> None:
    small = replace(FORM, largest=1000)
    arrays = {"x.safetensors": {"x": np.zeros(1000)}}
    write_folder(tmp_path / "t", FORM, {"size": 1}, tensors=arrays)
    with pytest.raises(ArtifactError, match="at most 1,000"):
        read_folder(tmp_path / "t", small)


BASE = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
LAYOUTS: dict[str, np.ndarray] = {
    "transposed": BASE.T,
    "sliced": BASE[:, ::2, 1:4],
    "backwards": BASE[::-1],
    "fortran": np.asfortranarray(BASE),
    "repeated": np.broadcast_to(np.float32(3), (4, 5)),
    "swapped axes": BASE.swapaxes(0, 1),
    "single": np.array(2.5),
    "none": np.empty((0, 3), dtype=np.int8),
    "halves": BASE.astype(np.float16)[..., 2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_of_any_memory_layout_come_back(layout: str, tmp_path: Path) -> None:
    array = LAYOUTS[layout]
    write_folder(tmp_path / "t", FORM, {"size": 1}, tensors={"x.safetensors": {"x": array}})
    read = read_folder(tmp_path / "t", FORM).tensors["x.safetensors"]["x"]
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_where_declared(value: float, tmp_path: Path) -> None:
    data = pack_tensors({"x": np.array([0, value])})
    with pytest.raises(ArtifactError, match="not finite"):
        unpack_tensors(data, tmp_path / "x.safetensors")
    assert len(unpack_tensors(data, tmp_path / "x.safetensors", finite=False)["x"]) == 2


def test_what_ships_is_read_in_its_version_and_unchanged() -> None:
    bundle = Bundle.load(default_bundle_path())
    document = json.loads((default_bundle_path() / "bundle.json").read_text())
    assert bundle.digest == document["digest"] == document_digest(document)
    assert DistilledMap.load(default_map_path()).n_dimensions == 16
    assert len(ConceptBank.load(default_concepts_path())) == 22
    for file, version in (
        (default_map_path() / "map.json", 2),
        (default_concepts_path() / "concepts.json", 1),
    ):
        assert json.loads(file.read_text())["version"] == version


def first_version(thing: Path) -> None:
    """Make a written map or concept bank what version 1 wrote."""
    (manifest,) = [thing / name for name in ("map.json", "concepts.json") if (thing / name).exists()]
    document: dict[str, Any] = json.loads(manifest.read_text())
    ((name, facts),) = document.pop("files").items()
    key = "tensors_sha256" if manifest.name == "map.json" else "sha256"
    document |= {"version": 1, key: facts["sha256"], "shape": next(iter(facts["tensors"].values()))["shape"]}
    del document["digest"]
    if manifest.name == "map.json":
        document["digest"] = document_digest(document)
    manifest.write_text(json.dumps(document))
    assert hashlib.sha256((thing / name).read_bytes()).hexdigest() == document[key]


@pytest.mark.parametrize("name", ["distilled map", "concept bank"])
def test_the_first_version_is_read_checked_and_replaced(name: str, tmp_path: Path) -> None:
    kind, thing = KINDS[name], tmp_path / "thing"
    kind.write(thing, OLD)
    first_version(thing)
    assert kind.load(thing) == OLD
    (tensors,) = thing.glob("*.safetensors")
    shutil.copytree(thing, tmp_path / "flipped")
    data = bytearray(tensors.read_bytes())
    data[-2] ^= 1
    (tmp_path / "flipped" / tensors.name).write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match=f"{tensors.name} was changed"):
        kind.load(tmp_path / "flipped")
    os.truncate(tmp_path / "flipped" / tensors.name, 2 << 40)
    with pytest.raises(ArtifactError, match=f"{tensors.name} has"):
        kind.load(tmp_path / "flipped")
    kind.write(thing, NEW)
    assert kind.load(thing) == NEW


def test_a_bundle_of_before_lets_its_card_be_edited(tmp_path: Path) -> None:
    """Its manifest does not cover the card; one that is written now does."""
    shutil.copytree(default_bundle_path(), tmp_path / "b")
    manifest = tmp_path / "b" / "bundle.json"
    document = json.loads(manifest.read_text())
    del document["texts"]
    manifest.write_text(json.dumps(document | {"digest": document_digest(document)}))
    (tmp_path / "b" / "MODEL_CARD.md").write_text("mine")
    bundle = Bundle.load(tmp_path / "b")
    bundle.save(tmp_path / "b")
    (tmp_path / "b" / "MODEL_CARD.md").write_text("mine")
    with pytest.raises(ArtifactError, match=r"MODEL_CARD\.md was changed"):
        Bundle.load(tmp_path / "b")


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
@pytest.mark.parametrize(("mask", "rights"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_whoever_may_open_the_folder_may_read_its_files(tmp_path: Path, mask: int, rights: int) -> None:
    before = os.umask(mask)
    try:
        with replacing_folder(tmp_path / "cache", what="cache", ours=lambda _: True) as fresh:
            save_file({"a": np.zeros(3, np.float32)}, fresh / "weights.safetensors")  # writes 0600
            (fresh / "below").mkdir()
            (fresh / "below" / "private.json").write_text("{}")
            (fresh / "below" / "private.json").chmod(0o600)
    finally:
        os.umask(before)
    for path in (tmp_path / "cache").rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == rights, path
