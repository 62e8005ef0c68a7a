"""A bundle's files: written whole or not at all, read only after everything about them was checked.

`bundle.json` names every other file with its SHA-256 and every tensor with its shape and number
format, and carries a digest of itself. Nothing is unpickled; nothing in a bundle can run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.errors import ArtifactError, UsageError

FORMAT = "morelli-bundle"
VERSION = 1
MANIFEST = "bundle.json"
CARD = "MODEL_CARD.md"
_DTYPES = {"float16", "float32", "float64", "uint8", "int8"}

Tensors = dict[str, NDArray[Any]]


def digest(document: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the document's canonical JSON without its own `digest`."""
    rest = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_bundle(
    path: Path,
    document: dict[str, Any],
    tensors: Mapping[str, Tensors],
    columns: Mapping[str, Any],
    card: str,
) -> None:
    """Write a bundle folder atomically; an older bundle at `path` is replaced.

    Args:
        tensors: safetensors file name → tensor name → array. columns: JSON file name → content.

    Raises:
        UsageError: something that is no bundle stands at `path`.
    """
    from safetensors.numpy import save

    if path.exists() and not (path / MANIFEST).is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise UsageError(f"{path} exists and is no bundle; name another folder, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    files: dict[str, dict[str, Any]] = {}
    contents: dict[str, bytes] = {}
    for name, arrays in tensors.items():
        contents[name] = save({key: np.ascontiguousarray(value) for key, value in arrays.items()})
        described = {k: {"shape": list(v.shape), "dtype": str(v.dtype)} for k, v in arrays.items()}
        files[name] = {"tensors": described}
    for name, content in columns.items():
        contents[name] = (json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n").encode()
        files[name] = {}
    for name, data in contents.items():
        files[name] |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    document = {"format": FORMAT, "version": VERSION, **document, "files": files}
    document["digest"] = digest(document)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        for name, data in contents.items():
            (temporary / name).write_bytes(data)
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        (temporary / MANIFEST).write_text(text + "\n", encoding="utf-8")
        (temporary / CARD).write_text(card, encoding="utf-8")
        temporary.chmod(0o755)
        _replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(fresh: Path, path: Path) -> None:
    """Put the folder `fresh` at `path`; folders cannot be swapped in one step, so the old one steps aside."""
    if not path.exists():
        fresh.rename(path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    try:
        path.replace(aside)
        try:
            fresh.rename(path)
        except OSError:
            aside.rename(path)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def read_bundle(path: Path) -> tuple[dict[str, Any], dict[str, Tensors], dict[str, Any]]:
    """The manifest, the tensors and the JSON columns of a bundle, all checked.

    Raises:
        ArtifactError: says which file or tensor is missing, changed, misshapen or not finite.
    """
    document = _manifest(path)
    files = document.get("files")
    if not isinstance(files, dict):
        raise ArtifactError(f"{path / MANIFEST} lists no files; the bundle is damaged, make it again")
    tensors: dict[str, Tensors] = {}
    columns: dict[str, Any] = {}
    for name, facts in files.items():
        data = _checked_bytes(path, name, facts)
        if name.endswith(".safetensors"):
            tensors[name] = _tensors(path / name, data, facts.get("tensors"))
        elif name.endswith(".json"):
            try:
                columns[name] = json.loads(data)
            except ValueError as error:
                raise ArtifactError(f"{path / name} is no JSON: {error}") from error
        else:
            raise ArtifactError(f"{path / MANIFEST} lists {name}, a kind of file that bundles do not have")
    return document, tensors, columns


def _manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    if not file.is_file():
        raise ArtifactError(f"{path} is no bundle: it has no {MANIFEST}")
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ArtifactError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ArtifactError(f"{file} is not the manifest of a bundle (format {FORMAT!r} is missing)")
    if document.get("version") != VERSION:
        raise ArtifactError(
            f"{path} is a bundle of format version {document.get('version')}; this Morelli reads {VERSION}. "
            "Use the Morelli version that wrote it, or fit the bundle again"
        )
    try:
        unchanged = digest(document) == document.get("digest")
    except ValueError as error:
        raise ArtifactError(f"{file} holds a number that is not finite: {error}") from error
    if not unchanged:
        raise ArtifactError(
            f"{file} was changed after it was written (its digest differs); make the bundle again"
        )
    return document


def _checked_bytes(path: Path, name: str, facts: Any) -> bytes:
    if Path(name).name != name or name.startswith(".") or not isinstance(facts, dict):
        raise ArtifactError(f"{path / MANIFEST} names a file outside the bundle: {name!r}")
    file = path / name
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{file} is missing or unreadable ({error.strerror}); the bundle is incomplete"
        ) from error
    if hashlib.sha256(data).hexdigest() != facts.get("sha256"):
        raise ArtifactError(
            f"{file} was changed or damaged (its SHA-256 differs from {MANIFEST}); get it again"
        )
    return data


def _tensors(file: Path, data: bytes, declared: Any) -> Tensors:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{file} is no valid safetensors file: {error}") from error
    if not isinstance(declared, dict) or set(found) != set(declared):
        raise ArtifactError(f"{file} holds the tensors {sorted(found)}, not those that {MANIFEST} declares")
    for name, array in found.items():
        facts = declared[name]
        if list(array.shape) != facts.get("shape") or str(array.dtype) != facts.get("dtype"):
            raise ArtifactError(
                f"{file}: tensor {name} is {array.dtype} {list(array.shape)}, declared as "
                f"{facts.get('dtype')} {facts.get('shape')}"
            )
        if str(array.dtype) not in _DTYPES:
            raise ArtifactError(
                f"{file}: tensor {name} has number format {array.dtype}, which bundles do not use"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtifactError(f"{file}: tensor {name} holds values that are not finite")
    return found
