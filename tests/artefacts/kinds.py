"""Every kind of artefact, for the tests that kill its writer and damage its files.

A new kind is one more entry of `KINDS`: how to write it with one of two contents, and how to read which of
the two it holds. Reading must fail with an `ArtifactError` unless all of it is whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from morelli.errors import ArtifactError

OLD, NEW = 0.25, 0.75


@dataclass(frozen=True)
class Kind:
    """One kind of artefact: `write(path, OLD)` or `write(path, NEW)`, then `load(path)` gives the same.

    swapped: it is a folder that is replaced as a whole; otherwise one file, alone or in a folder.
    manifest: the folder has a manifest with a digest, see `write_folder`.
    unnoticed: damages (functions of test_damage.py) that reading cannot notice; None for all.
    modes: see killing.py.
    """

    name: str
    write: Callable[[Path, float], object]
    load: Callable[[Path], float]
    swapped: bool = True
    manifest: bool = False
    unnoticed: frozenset[str] | None = frozenset()
    modes: tuple[str, ...] = ("exchange", "first", "aside")


@cache
def _bundle():
    from morelli.detectors import Bundle, default_bundle_path

    whole = Bundle.load(default_bundle_path())
    bank, head = whole.bank, replace(whole.head, draws=None, draw_biases=None)  # small files, quickly written
    few = np.concatenate([np.flatnonzero(bank.labels == label)[:20] for label in (0, 1)])
    return replace(whole, bank=bank.removed(np.isin(np.arange(len(bank)), few)), head=head, origin=None)


def write_bundle(path: Path, value: float) -> None:
    _bundle().with_base_rate(value).save(path)


def load_bundle(path: Path) -> float:
    from morelli.detectors import Bundle

    return Bundle.load(path).base_rate


@cache
def _ensemble():
    from morelli.detectors import Ensemble
    from morelli.detectors._disagreement import Disagreement

    one = _bundle()
    return Ensemble(
        name="two",
        members=(one, replace(one, name="other")),
        weights=(0.5, 0.5),
        scales=(1.0, 2.0),
        ai=one.ai,
        real=one.real,
        calibration=one.calibration,
        disagreement=Disagreement(0.5, 0.05, 10, 2, 1, 1, 8, 0, 0.05),
        held_out=one.held_out,
    )


def write_ensemble(path: Path, value: float) -> None:
    _ensemble().with_base_rate(value).save(path)


def load_ensemble(path: Path) -> float:
    from morelli.detectors import Ensemble

    return Ensemble.load(path).base_rate


@cache
def _map():
    from morelli.atlas.distiller import DistilledMap, default_map_path

    return DistilledMap.load(default_map_path())


def write_map(path: Path, value: float) -> None:
    replace(_map(), w=np.full(16, value)).save(path)


def load_map(path: Path) -> float:
    from morelli.atlas.distiller import DistilledMap

    return float(DistilledMap.load(path).w[0])


def write_concepts(path: Path, value: float) -> None:
    from morelli.explanation.concepts import ConceptBank

    angle = np.pi * value
    directions = np.array([[np.cos(angle), np.sin(angle)], [0, 1]])
    ConceptBank.of(["one", "other"], directions, metadata={"value": value}).save(path)


def load_concepts(path: Path) -> float:
    from morelli.explanation.concepts import ConceptBank

    bank = ConceptBank.load(path)
    value = bank.metadata["value"]
    assert np.allclose(bank.directions[0], [np.cos(np.pi * value), np.sin(np.pi * value)])
    return value


@cache
def _mixed_form():
    from morelli.artefacts import Format

    return Format(
        "mixed", "mixture", "mixture.json", 1, "mix again", suffixes=(".safetensors", ".json", ".bin")
    )


def write_mixture(path: Path, value: float) -> None:
    """Every sort of content, in subfolders too."""
    from morelli.artefacts import write_folder

    write_folder(
        path,
        _mixed_form(),
        {"value": value},
        tensors={"inner/x.safetensors": {"x": np.full((3, 4), value).T}},
        columns={"columns.json": [value] * 3},
        texts={"pages/page.md": f"# {value}\n"},
        others={"inner/raw.bin": str(value).encode(), "streamed.bin": lambda file: file.write(b"%f" % value)},
    )


def load_mixture(path: Path) -> float:
    from morelli.artefacts import read_folder

    found = read_folder(path, _mixed_form())
    try:
        values = {
            found.document["value"],
            *found.tensors["inner/x.safetensors"]["x"].ravel().tolist(),
            *found.columns["columns.json"],
            float(found.texts["pages/page.md"][2:]),
            *(float(inner.read_bytes()) for inner in found.paths.values()),
        }
        (value,) = values
    except (KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is no mixture of one value: {error!r}") from error
    return value


@cache
def _atlas_record():
    from morelli.atlas import AtlasRecord
    from morelli.atlas.distiller import DistilledMap, default_map_path

    build = DistilledMap.load(default_map_path()).build
    return AtlasRecord(
        name="trial", build=build, kind="final", perturbation="", images=0, labelled=0, added=0, dimensions=1,
        patches=0, levels=0, thresholds=(0.5, 0.5), projection="pca", held_out="", versions={"images": 1},
    )  # fmt: skip


def write_atlas_record(path: Path, value: float) -> None:
    path.mkdir(parents=True, exist_ok=True)
    replace(_atlas_record(), audit={"auc": value}).write(path)


def load_atlas_record(path: Path) -> float:
    from morelli.atlas import AtlasRecord

    return AtlasRecord.read(path).audit["auc"]


def write_atlas_edits(path: Path, value: float) -> None:
    from morelli.atlas._edits import Edits

    path.mkdir(parents=True, exist_ok=True)
    Edits(path).change("dimensions", 3, {"note": str(value)})


def load_atlas_edits(path: Path) -> float:
    from morelli.atlas._edits import Edits

    return number(path, Edits(path).of("dimensions", 3).get("note"))


def write_feedback(path: Path, value: float) -> None:
    from morelli.atlas._edits import Edits

    path.mkdir(parents=True, exist_ok=True)
    Edits(path).add_feedback([{"path": "a.png", "sha256": "a", "note": value}])


def load_feedback(path: Path) -> float:
    from morelli.atlas._edits import Edits

    rows = Edits(path).read_feedback()
    return number(path, rows[0]["note"] if rows else None)


def number(path: Path, text: object) -> float:
    """The number that a file without a digest holds."""
    try:
        return float(str(text))
    except ValueError as error:
        raise ArtifactError(f"{path} holds no number") from error


def write_spelling(path: Path, value: float) -> None:
    from morelli.atlas.distiller._spelling import Spelling

    Spelling(np.eye(4)[:, :2], record={"value": value}).save(path, _atlas_record().build)


def load_spelling(path: Path) -> float:
    from morelli.atlas.distiller._spelling import Spelling

    return Spelling.load(path, _atlas_record().build).record["value"]


@cache
def _prototypes():
    import pyarrow as pa

    from morelli.atlas.patterns._presence import Presence
    from morelli.atlas.patterns._prototypes import Prototypes, prototype_schema
    from morelli.atlas.patterns._space import PatternSpace

    table = pa.Table.from_pylist([{"id": 0, "dimension": 0, "sign": 1, "name": "one"}], prototype_schema())
    zero = np.zeros(1, np.float32)
    space = PatternSpace(zero, np.eye(1, dtype=np.float32))
    return Prototypes(table, zero[:, None], np.zeros(1, np.int64), zero, (space,), Presence(zero, 0.5))


def write_prototypes(path: Path, value: float) -> None:
    replace(_prototypes(), options={"value": value}).save(path)


def load_prototypes(path: Path) -> float:
    from morelli.atlas.patterns._prototypes import Prototypes

    return Prototypes.load(path).options["value"]


@cache
def _predictions(value: float):
    from morelli.evaluation import Predictions

    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 12)
    logits = rng.normal(size=24) + labels
    return Predictions.from_columns(
        {"value": value},
        uri=[f"{k}.png" for k in range(24)],
        label=labels,
        logit=logits,
        generator=[None] * 12 + ["one"] * 6 + ["other"] * 6,
        source=["here"] * 6 + ["there"] * 6 + [None] * 12,
        detector="d",
    )


def write_predictions(path: Path, value: float) -> None:
    _predictions(value).write(path)


def load_predictions(path: Path) -> float:
    from morelli.evaluation import Predictions

    return Predictions.read(path).run["value"]


def write_report_folder(path: Path, value: float) -> None:
    from morelli.evaluation import MeasureOptions
    from morelli.reports import write_report

    options = MeasureOptions(rounds=2, threads=1)
    write_report(_predictions(value), path, options=options, name=str(value), thumbnails=False)


def load_report_folder(path: Path) -> float:
    from morelli.artefacts import check_results
    from morelli.reports._reproduce import read_report

    names = check_results(path)
    if not names:
        raise ArtifactError(f"{path} has no SHA256SUMS")
    folder, content = read_report(path)
    values = {number(folder, content["name"]), load_predictions(folder / "predictions.parquet")}
    assert f"# {values and max(values)}" in (folder / "report.md").read_text()
    assert names == tuple(sorted(names))
    assert len(values) == 1
    return values.pop()


def write_results(path: Path, value: float) -> None:
    """As audits, studies, analyses and explanations are written: one set of results in another."""
    from morelli.artefacts import replacing_results

    def fill(folder: Path) -> None:
        with replacing_results(folder, what="audit", known_by=["audit.json"]) as fresh:
            (fresh / "audit.json").write_text(str(value))
            (fresh / "plot.png").write_bytes(b"%f" % value)

    with replacing_results(path, what="audit", known_by=["audit.json"]) as fresh:
        fill(fresh)
        fill(fresh / "aligned")
        (fresh / "audit.html").write_text(str(value))


def load_results(path: Path) -> float:
    from morelli.artefacts import check_results

    names = [name for name in check_results(path, what="audit") if not name.endswith("SHA256SUMS")]
    if not names:
        raise ArtifactError(f"{path} holds no audit: it has no SHA256SUMS")
    assert len(names) == 5
    (value,) = {float((path / name).read_text()) for name in names}
    return value


def write_weights_record(path: Path, value: float) -> None:
    from morelli.encoders._cache import Record, write_record

    write_record(path, Record(f"source {value}", "0" * 64, str(path), ()), inside=True)


def load_weights_record(path: Path) -> float:
    from morelli.encoders._cache import read_record

    record = read_record(path)
    if record is None:
        raise ArtifactError(f"{path / 'record.json'} cannot be read")
    return number(path, record.source.removeprefix("source "))


def write_failure_file(path: Path, value: float) -> None:
    from morelli.features._failures import Failure, write_failures

    write_failures(path, [Failure("a.png", "broken", str(value))] * 3)


def load_failure_file(path: Path) -> float:
    from morelli.features._failures import read_failures

    found = read_failures(path)
    if not found:
        raise ArtifactError(f"{path} is not there")
    assert len(found) == 3
    (value,) = {one.message for one in found}
    return number(path, value)


def write_typical(path: Path, value: float) -> None:
    """As `save_typical` and every other single file of tensors."""
    from morelli.artefacts import write_file
    from morelli.artefacts.tensors import pack_tensors

    write_file(path, pack_tensors({"x": np.full(9000, value)}))


def load_typical(path: Path) -> float:
    from morelli.artefacts import read_file
    from morelli.artefacts.tensors import unpack_tensors

    (value,) = set(unpack_tensors(read_file(path), path)["x"].tolist())
    return value


def write_aligned_manifest(path: Path, value: float) -> None:
    from morelli.audit._align import _write_manifest

    _write_manifest(path, [{"path": "real/a.jpg", "label": "real", "align_scale": str(value)}])


def load_aligned_manifest(path: Path) -> float:
    import csv

    if not path.exists():
        raise ArtifactError(f"{path} is not there")
    (row,) = csv.DictReader(path.read_text().splitlines())
    return number(path, row["align_scale"])


def write_table(path: Path, value: float) -> None:
    """As `detect` and exports write."""
    from morelli.artefacts import write_file

    write_file(path, str(value) * 9000)


def load_table(path: Path) -> float:
    from morelli.artefacts import read_file

    return number(path, read_file(path).decode()[:4])


FLIPS = frozenset({"flip_first", "flip_middle"})
EMPTY_TOO = FLIPS | {"missing"}


LIKE_BUNDLE: dict[str, Any] = {"manifest": True, "modes": ("exchange",)}
FILE: dict[str, Any] = {"swapped": False, "modes": ("exchange", "first")}

KINDS = {
    kind.name: kind
    for kind in (
        Kind("bundle", write_bundle, load_bundle, manifest=True),
        # The other modes are the bundle's: all of these are written by the same function.
        Kind("ensemble", write_ensemble, load_ensemble, **LIKE_BUNDLE),
        Kind("distilled map", write_map, load_map, **LIKE_BUNDLE),
        Kind("forget-to-spell projection", write_spelling, load_spelling, **LIKE_BUNDLE),
        Kind("prototypes", write_prototypes, load_prototypes, **LIKE_BUNDLE),
        Kind("concept bank", write_concepts, load_concepts, **LIKE_BUNDLE),
        Kind("mixture", write_mixture, load_mixture, **LIKE_BUNDLE),
        Kind(
            "report", write_report_folder, load_report_folder, modes=("exchange",)
        ),  # the others: see results
        Kind("results", write_results, load_results),
        Kind("atlas record", write_atlas_record, load_atlas_record, **FILE),
        # Written by people as well, or read by other programs: without a digest.
        Kind("atlas edits", write_atlas_edits, load_atlas_edits, **FILE, unnoticed=FLIPS | {"missing"}),
        Kind("feedback", write_feedback, load_feedback, **FILE, unnoticed=EMPTY_TOO),
        Kind("weights record", write_weights_record, load_weights_record, **FILE, unnoticed=FLIPS),
        Kind("predictions", write_predictions, load_predictions, **FILE, unnoticed=FLIPS | {"link"}),
        Kind("failures", write_failure_file, load_failure_file, **FILE, unnoticed=FLIPS),
        Kind("tensors", write_typical, load_typical, **FILE, unnoticed=FLIPS),
        Kind("aligned manifest", write_aligned_manifest, load_aligned_manifest, **FILE, unnoticed=None),
        Kind("table", write_table, load_table, **FILE, unnoticed=None),
    )
}
