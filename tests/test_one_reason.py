"""One file, one reason: every command that reads images reports a bad file with the same word.

A command joins by an entry in `COMMANDS`: a function from the setting to the reason of every uri that it
reported as unusable.
"""

from __future__ import annotations

import csv
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from morelli.atlas import AtlasOptions, build_atlas
from morelli.audit import audit
from morelli.detectors import Bundle, LinearProbe, Recipe, fit_bundle
from morelli.encoders import Encoder, load_encoder
from morelli.features import FeatureTable, extract
from morelli.images import ImageItem, iter_source
from morelli.inspection._stream import detect
from morelli.server import ServerSettings
from tests.images.hostile import Hostile, encoded, write_hostile_files
from tests.server.running import Running, running

ARCHIVES = {".zip", ".tar", ".gz", ".xz", ".csv", ".tsv", ".parquet"}


@dataclass(frozen=True)
class Setting:
    """What the commands work on; `known` is a table of good images' features, `folder` a place to write."""

    manifest: Path
    expected: dict[str, str]
    known: FeatureTable
    encoder: Encoder
    weights: Path
    folder: Path

    @property
    def items(self) -> list[ImageItem]:
        return list(iter_source(self.manifest))


@pytest.fixture(scope="module")
def setting(
    tmp_path_factory: pytest.TempPathFactory, planted_atlas_dir: Path, tiny_clip_dir: Path
) -> Iterator[Setting]:
    """Hostile files of every kind in one manifest, with a missing one, a folder, and good ones between."""
    with tempfile.TemporaryDirectory() as name:  # open to other users, unlike pytest's own folders
        folder = Path(name)
        folder.chmod(0o755)
        files = [h for h in write_hostile_files(folder / "hostile") if is_single(h)]
        (folder / "a-folder.png").mkdir()
        (folder / "locked.jpg").write_bytes(encoded("JPEG"))
        files += [
            Hostile(folder / "a-folder.png", "not_a_file"),
            Hostile(folder / "below.jpg" / "nothing.jpg", "missing"),
        ]
        if os.geteuid() != 0:  # root may read everything
            (folder / "locked.jpg").chmod(0)
            files.append(Hostile(folder / "locked.jpg", "unreadable"))
        manifest = folder / "manifest.csv"
        with manifest.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["path"])
            rows.writerows([h.path] for h in files)
        expected = {str(h.path): h.expected_reason for h in files if h.expected_reason is not None}
        assert len(expected) > 60 and len(files) > len(expected) + 5
        yield Setting(
            manifest,
            expected,
            FeatureTable.open(planted_atlas_dir.parent / "F.lance"),
            load_encoder(tiny_clip_dir),
            tiny_clip_dir,
            tmp_path_factory.mktemp("one-reason"),
        )


def is_single(h: Hostile) -> bool:
    """True for a single file of a name that a manifest can hold."""
    return str(h.path).isprintable() and h.path.suffix not in ARCHIVES and not h.path.is_dir()


def small_bundle(setting: Setting) -> Bundle:
    recipe = Recipe(name="small", kinds=("final",), estimator=LinearProbe(), bank_kinds=("final",), n_draws=8)
    return fit_bundle(setting.known.load(kinds=["final"]), recipe).bundle


def by_detect(setting: Setting) -> dict[str, str]:
    found = detect(setting.items, small_bundle(setting), setting.encoder, thumbnails=True)
    return {one.uri: one.failure.reason for one in found if one.failure is not None}


def by_extract(setting: Setting) -> dict[str, str]:
    report = extract(setting.items, setting.folder / "extract.lance", encoder=setting.encoder)
    return {failure.uri: failure.reason for failure in report.failed}


def by_perturbed_extract(setting: Setting) -> dict[str, str]:
    out = setting.folder / "perturbed.lance"
    report = extract(setting.items, out, encoder=setting.encoder, perturbation="noise:4")
    return {failure.uri: failure.reason for failure in report.failed}


def by_audit(setting: Setting) -> dict[str, str]:
    return {one.uri: one.reason for one in audit(setting.items).failed}


def by_atlas(setting: Setting) -> dict[str, str]:
    """The files stood in the table, as if they had become bad after they were encoded."""
    known = setting.known
    table = FeatureTable.create(setting.folder / "F.lance", known.build, known.spec.kinds, "float32")
    meta, vectors = known.metadata(), {kind: known.vectors(kind) for kind in known.kinds}
    table.append_batch(meta, vectors)
    rows = meta.slice(0, 1).to_pylist() * len(setting.items)
    bad = [
        row | {"uri": item.uri, "sha256": sha256_of(Path(item.uri)), "label": None}
        for row, item in zip(rows, setting.items, strict=True)
    ]
    again = np.arange(len(bad)) % len(known)
    table.append_batch(
        meta.from_pylist(bad, schema=meta.schema),
        {kind: matrix[again] for kind, matrix in vectors.items()},
    )
    options = AtlasOptions(dimensions=2, projection="pca")
    out = setting.folder / "bad.atlas"
    return dict(build_atlas(table, out, options, encoder=setting.encoder, workers=2).record.unreadable)


@contextmanager
def served(setting: Setting) -> Iterator[Running]:
    """A server of the same detector that may read the files' folder."""
    bundle = setting.folder / "bundle"
    if not bundle.is_dir():
        small_bundle(setting).save(bundle)
    settings = ServerSettings(
        bundle=bundle,
        weights=setting.weights,
        device="cpu",
        offline=True,
        roots=(setting.manifest.parent,),
    )
    with running(settings) as server:
        yield server


def sha256_of(path: Path) -> str:
    """The digest of what the file holds; of a file that cannot be read, any."""
    readable = path.is_file() and path.stat().st_size < 1 << 24 and os.access(path, os.R_OK)
    return hashlib.sha256(path.read_bytes() if readable else b"").hexdigest()


COMMANDS: dict[str, Callable[[Setting], dict[str, str]]] = {
    "detect": by_detect,
    "extract": by_extract,
    "extract --perturb": by_perturbed_extract,
    "audit": by_audit,
    "atlas build": by_atlas,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_gives_a_bad_file_the_same_reason(setting: Setting, command: str) -> None:
    assert COMMANDS[command](setting) == setting.expected


def test_over_http_a_bad_file_has_the_same_reason(setting: Setting) -> None:
    """Uploaded, and in a job; a job says nothing of what does not lie in its roots as a plain file."""
    sent = {
        uri: Path(uri).read_bytes()
        for uri in setting.expected
        if Path(uri).is_file() and os.access(uri, os.R_OK) and Path(uri).stat().st_size < 1 << 24
    }
    assert len(sent) > 60
    expected = {uri: setting.expected[uri] for uri in sent}
    with served(setting) as server:
        uploaded = {}
        for uri, data in sent.items():
            (failure,) = server.upload((uri, data)).json()["failures"]
            uploaded[uri] = failure["reason"]
        job = server.post("/jobs", json={"path": str(setting.manifest)}).json()
        while server.get(f"/jobs/{job['id']}").json()["state"] in ("waiting", "running"):
            time.sleep(0.02)
        rows = server.get(f"/jobs/{job['id']}/results").json()["rows"]
    assert uploaded == expected
    assert {row["uri"]: row["failure"] for row in rows if row["uri"] in sent} == expected
