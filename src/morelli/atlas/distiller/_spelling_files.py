"""A forget-to-spell projection's files, `spelling.json` and `spelling.safetensors`, checked when read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from morelli.atlas.distiller._spelling import Spelling
from morelli.encoders import Build
from morelli.errors import ArtifactError, UsageError

FORMAT, VERSION = "morelli-spelling", 1
MANIFEST, TENSORS = "spelling.json", "spelling.safetensors"


def write_spelling(spelling: Spelling, folder: Path, build: Build, kind: str) -> None:
    """Write the numbers in float16; the basis is made orthonormal again when it is read."""
    from safetensors.numpy import save

    parts = {"basis": spelling.basis, "before": spelling.before, "after": spelling.after}
    data = save({k: np.ascontiguousarray(v, dtype=np.float16) for k, v in parts.items() if v is not None})
    document = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "build": build.to_json(),
        "record": dict(spelling.record),
        "tensors_sha256": hashlib.sha256(data).hexdigest(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TENSORS).write_bytes(data)
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def spelling_fits(folder: Path, build: Build, kind: str) -> bool:
    """Whether a projection for this build and kind stands in `folder`."""
    if not (folder / MANIFEST).is_file():
        return False
    document = _document(folder)
    return document.get("kind") == kind and _build(document, folder) == build


def read_spelling(folder: Path, build: Build, kind: str) -> Spelling:
    """The projection in `folder`, checked."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    document = _document(folder)
    _build(document, folder).require_same(build, what="the features to be projected")
    if document.get("kind") != kind:
        raise ArtifactError(f"{folder} holds a projection of {document.get('kind')}, not of {kind}")
    file = folder / TENSORS
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{file} is missing or unreadable ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != document.get("tensors_sha256"):
        raise ArtifactError(f"{file} was changed or damaged (its SHA-256 differs from {MANIFEST})")
    try:
        tensors = {name: part.astype(np.float64) for name, part in load(data).items()}
        basis, triangle = np.linalg.qr(tensors["basis"])
        basis *= np.where(np.diag(triangle) < 0, -1.0, 1.0)
        return Spelling(basis, tensors.get("before"), tensors.get("after"), dict(document["record"]))
    except (SafetensorError, KeyError, TypeError, ValueError, UsageError) as error:
        raise ArtifactError(f"{folder} holds a damaged projection ({error}); make it again") from error


def _document(folder: Path) -> dict[str, Any]:
    file = folder / MANIFEST
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ArtifactError(f"{file} cannot be read: {error}") from error
    if (
        not isinstance(document, dict)
        or document.get("format") != FORMAT
        or document.get("version") != VERSION
    ):
        raise ArtifactError(f"{file} is no forget-to-spell projection of version {VERSION}")
    return document


def _build(document: dict[str, Any], folder: Path) -> Build:
    try:
        return Build.from_json(document["build"])
    except (KeyError, AttributeError, TypeError) as error:
        raise ArtifactError(f"{folder} holds a projection without a build") from error
