"""Every damage to an artefact's folder is one `ArtifactError` that names the file, told at once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from morelli.artefacts._json import document_digest
from morelli.errors import ArtifactError
from tests.artefacts.kinds import KINDS, OLD


@pytest.fixture(params=[kind.name for kind in KINDS.values() if kind.manifest])
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Callable[[Path], float]]:
    """A fresh artefact and how to read it."""
    kind = KINDS[request.param]
    kind.write(tmp_path / "thing", OLD)
    assert kind.load(tmp_path / "thing") == OLD
    return tmp_path / "thing", kind.load


def flip_first(file: Path) -> None:
    flip(file, 0)


def flip_middle(file: Path) -> None:
    flip(file, file.stat().st_size // 2)


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(bytes(data))


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def grow(file: Path) -> None:
    os.truncate(file, 1 << 40)  # a sparse file far beyond memory and disk


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def link(file: Path) -> None:
    outside = file.parents[1] / "outside" / file.name
    outside.parent.mkdir(exist_ok=True)
    file.rename(outside)
    file.symlink_to(outside)


def endless(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def missing(file: Path) -> None:
    file.unlink()


DAMAGES = [flip_first, flip_middle, cut, empty, grow, pipe, link, endless, folder, missing]


@pytest.mark.parametrize("name", [kind.name for kind in KINDS.values() if kind.unnoticed is not None])
def test_damage_to_any_file_is_named(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    kind.write(tmp_path / "thing", OLD)
    assert kind.load(tmp_path / "thing") == OLD
    if (tmp_path / "thing").is_dir():
        files = sorted(one.relative_to(tmp_path) for one in (tmp_path / "thing").rglob("*") if one.is_file())
        assert len(files) >= (2 if kind.swapped else 1)
    else:
        files = [Path("thing")]
    for file in files:
        for damage in DAMAGES:
            if damage.__name__ in (kind.unnoticed or ()):
                continue
            copy = tmp_path / "copy" / "thing"
            copy.parent.mkdir()
            (shutil.copytree if (tmp_path / "thing").is_dir() else shutil.copyfile)(tmp_path / "thing", copy)
            try:
                damage(tmp_path / "copy" / file)
            except OSError as error:
                pytest.skip(f"this file system cannot: {error}")
            with pytest.raises(ArtifactError, match=file.name):
                found = kind.load(copy)
                pytest.fail(f"{damage.__name__} of {file} went unnoticed: {found}")
            shutil.rmtree(tmp_path / "copy")


def manifest_of(thing: Path) -> Path:
    (found,) = [
        file for file in thing.glob("*.json") if "digest" in (data := json.loads(file.read_text())) and data
    ]
    return found


OUTSIDE = [
    "../outside.json", "/etc/passwd", "inner/../../outside.json", "./inner.json", ".hidden.json", "",
    "C:/outside.json", "..\\outside.json", "inner//x.json", "in\0ner.json", "in\nner.json", "/", "..",
]  # fmt: skip


@pytest.mark.parametrize("key", ["files", "texts"])
@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_out_of_the_folder_are_refused_even_when_signed(
    damaged: tuple[Path, Callable[[Path], float]], name: str, key: str
) -> None:
    thing, load = damaged
    (thing.parent / "outside.json").write_text("{}")
    manifest = manifest_of(thing)
    document = json.loads(manifest.read_text())
    document.setdefault(key, {})[name] = {"sha256": "0" * 64, "bytes": 2}
    document["digest"] = document_digest(document)
    manifest.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=f"{manifest.name} names a file outside"):
        load(thing)


def test_a_link_in_place_of_a_subfolder_is_not_followed(tmp_path: Path) -> None:
    kind = KINDS["mixture"]
    kind.write(tmp_path / "thing", OLD)
    (tmp_path / "thing" / "inner").rename(tmp_path / "inner")
    (tmp_path / "thing" / "inner").symlink_to(tmp_path / "inner")
    with pytest.raises(ArtifactError, match="inner is a symbolic link"):
        kind.load(tmp_path / "thing")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested deeper"),
        ('{"a":' * 100_000, "nested deeper"),
        ('{"a":' * 100 + "1" + "}" * 100, "nested deeper"),
        ('{"format": NaN}', "not finite"),
        ('{"format": -Infinity}', "not finite"),
        ('{"format": 1e999}', "not finite"),
        ('{"format": ' + "9" * 5000 + "}", "5000 digits"),
        ('{"format": ' + "9" * 400 + "}", "400 digits"),
        ('{"format": "\udc80"}', "JSON"),
        ("[]", "not the manifest"),
        ("null", "not the manifest"),
        ('{"format": ["morelli-bundle"]}', "not the manifest"),
    ],
)
def test_hostile_manifests(damaged: tuple[Path, Callable[[Path], float]], text: str, words: str) -> None:
    thing, load = damaged
    manifest = manifest_of(thing)
    manifest.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ArtifactError, match=words):
        load(thing)


@pytest.mark.parametrize("version", [0, -1, 99, 10**30, 1.5, "1", None, True, [1]])
def test_unknown_versions(damaged: tuple[Path, Callable[[Path], float]], version: object) -> None:
    thing, load = damaged
    manifest = manifest_of(thing)
    document = json.loads(manifest.read_text())
    document["version"] = version
    document["digest"] = document_digest(document)
    manifest.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="this Morelli reads"):
        load(thing)


VALUES = [None, True, 1e308, -1, 10**200, "x", [], {"a": {}}]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: str(value)[:8])
def test_a_signed_field_of_any_wrong_type_is_an_artifact_error(
    damaged: tuple[Path, Callable[[Path], float]], value: object
) -> None:
    """Reading succeeds or raises an `ArtifactError`, whatever a field holds."""
    thing, load = damaged
    manifest = manifest_of(thing)
    refused = 0
    for path in places(json.loads(manifest.read_text())):
        document = json.loads(manifest.read_text())
        inner = document
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        document["digest"] = document_digest(document)
        changed = thing.with_name("changed")
        shutil.copytree(thing, changed, copy_function=os.link)
        (changed / manifest.name).unlink()
        (changed / manifest.name).write_text(json.dumps(document))
        try:
            load(changed)
        except ArtifactError:
            refused += 1
        except Exception:
            # What the test's own `load` expects of fields that hold anything.
            assert path[0] in {"metadata", "record"}, path
        shutil.rmtree(changed)
    assert refused


def places(value: dict[str, object] | list[object], path: tuple[object, ...] = ()) -> list[tuple]:
    """Paths of the fields down to the third level: all of the first, some of each of the others."""
    entries = list(value.items() if isinstance(value, dict) else enumerate(value))
    found = []
    for key, inner in entries[: 8 if path else None]:
        if key != "digest":
            found.append((*path, key))
            if len(path) < 3 and isinstance(inner, dict | list):
                found += places(inner, (*path, key))
    return found
