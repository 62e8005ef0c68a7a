"""A distilled map's files: `map.json` and `map.safetensors`, written whole, read only after checks."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas.distiller._map import DistilledMap
from morelli.detectors import Calibration
from morelli.encoders import Build
from morelli.errors import ArtifactError, UsageError

FORMAT = "morelli-distilled-map"
VERSION = 1
MANIFEST, TENSORS = "map.json", "map.safetensors"


def write_map(distilled: DistilledMap, folder: Path) -> None:
    """Write `distilled` to `folder`, replacing a map that is there."""
    from safetensors.numpy import save

    if (
        folder.exists()
        and not (folder / MANIFEST).is_file()
        and not (folder.is_dir() and not any(folder.iterdir()))
    ):
        raise UsageError(f"{folder} exists and is no distilled map; name another folder, or remove it")
    # float32 would halve the file, but the impacts would no longer sum to the logit as exactly.
    data = save({name: np.ascontiguousarray(getattr(distilled, name)) for name in ("A", "b", "w")})
    document = {
        "format": FORMAT,
        "version": VERSION,
        "kind": distilled.kind,
        "unit": distilled.unit,
        "activation": distilled.activation,
        "bias": float(distilled.bias),
        "names": list(distilled.names),
        "build": distilled.build.to_json(),
        "calibration": distilled.calibration.to_json(),
        "record": dict(distilled.record),
        "shape": list(distilled.A.shape),
        "tensors_sha256": hashlib.sha256(data).hexdigest(),
    }
    document["digest"] = _digest(document)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    aside = fresh.with_name(f"{fresh.name}.old")
    try:
        (fresh / TENSORS).write_bytes(data)
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        (fresh / MANIFEST).write_text(text + "\n", encoding="utf-8")
        fresh.chmod(0o755)
        # A folder cannot take the place of another in one step, so the old one steps aside.
        if folder.exists():
            folder.rename(aside)
        try:
            fresh.rename(folder)
        except OSError:
            if aside.exists():
                aside.rename(folder)
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def read_map(folder: Path) -> DistilledMap:
    """The map in `folder`, all of it checked."""
    document = _document(folder)
    tensors = _tensors(folder / TENSORS, document)
    try:
        return DistilledMap(
            kind=str(document["kind"]),
            unit=bool(document["unit"]),
            A=tensors["A"],
            b=tensors["b"],
            activation=document["activation"],
            w=tensors["w"],
            bias=float(document["bias"]),
            build=Build.from_json(document["build"]),
            names=tuple(map(str, document["names"])),
            calibration=Calibration.from_json(document["calibration"]),
            record=dict(document["record"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise ArtifactError(f"{folder} is a damaged distilled map ({error}); make it again") from error


def _document(folder: Path) -> dict[str, Any]:
    file = folder / MANIFEST
    if not file.is_file():
        raise ArtifactError(f"{folder} is no distilled map: it has no {MANIFEST}")
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ArtifactError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ArtifactError(f"{file} is not the manifest of a distilled map (format {FORMAT!r} is missing)")
    if document.get("version") != VERSION:
        raise ArtifactError(
            f"{folder} is a distilled map of format version {document.get('version')}; this Morelli reads "
            f"{VERSION}. Use the Morelli version that wrote it, or fit the distiller again"
        )
    try:
        unchanged = _digest(document) == document.get("digest")
    except ValueError as error:
        raise ArtifactError(f"{file} holds a number that is not finite: {error}") from error
    if not unchanged:
        raise ArtifactError(
            f"{file} was changed after it was written (its digest differs); make the map again"
        )
    return document


def _tensors(file: Path, document: dict[str, Any]) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        data = file.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{file} is missing or unreadable ({error.strerror}); make the map again"
        ) from error
    if hashlib.sha256(data).hexdigest() != document.get("tensors_sha256"):
        raise ArtifactError(
            f"{file} was changed or damaged (its SHA-256 differs from {MANIFEST}); get it again"
        )
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{file} is no valid safetensors file: {error}") from error
    if set(tensors) != {"A", "b", "w"} or list(tensors["A"].shape) != document.get("shape"):
        raise ArtifactError(f"{file} does not hold the tensors that {MANIFEST} declares; make the map again")
    return tensors


def _digest(document: dict[str, Any]) -> str:
    """SHA-256 (hex) of the document's canonical JSON without its own `digest`."""
    rest = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
