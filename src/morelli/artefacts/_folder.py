"""An artefact as a folder: a manifest that names every other file, and those files, written and read whole.

The manifest is a JSON object with `format`, `version`, the document itself, `files` (tensors, JSON and
other files: SHA-256, bytes, and of every tensor shape and dtype), `texts` (pages for people, with
the same facts) and `digest`, which covers all of it.

The one version rule: a reader takes the versions from `oldest` to `version`; `version` goes up when an
earlier reader would misread what is written now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from numpy.typing import NDArray

from morelli.artefacts._json import LARGEST_JSON, document_digest, dump_json, parse_json, read_json
from morelli.artefacts._leftovers import real_path, set_aside
from morelli.artefacts._lock import WAIT, OnMessage, locked
from morelli.artefacts._reading import LARGEST, hash_file, inner_path, read_file
from morelli.artefacts._replace import replacing_folder
from morelli.artefacts._sync import create, finish, write_new
from morelli.artefacts.schema import COUNT, Each, Schema, check_schema
from morelli.artefacts.tensors import DTYPES, Tensors, declare_tensors, pack_tensors, unpack_tensors
from morelli.errors import ArtifactError

_LARGEST_MANIFEST = 64 << 20
_TRIES = 5
_FACTS = {"sha256": str, "bytes?": COUNT}
_FILES = Each({**_FACTS, "tensors?": Each({"shape": [COUNT], "dtype": str})})

Written = bytes | Callable[[IO[bytes]], object]
"""A file's content, or a function that writes it into an open binary file."""


@dataclass(frozen=True)
class Format:
    """What one kind of artefact folder is called and may hold.

    Attributes:
        name: the value of `format` in the manifest: "morelli-bundle".
        what: the word for people: "bundle".
        manifest: the manifest's file name.
        version: the version that is written.
        again: the user's next step where one cannot be read: "fit it again".
        oldest: the oldest version that is still read.
        schema: of the manifest; see `check_schema`.
        suffixes: of the files that may be named; others than .safetensors and .json are checked, not loaded.
        dtypes: dtypes that tensors may have.
        finite: refuse NaN and infinities in tensors.
        largest: bytes of one file at most.
        files_of: the files of a version that did not list them in `files`.
        known_by: further files by which a folder is known that may be written into: of an earlier form
            without a manifest, or of a kind that shares the folder.
    """

    name: str
    what: str
    manifest: str
    version: int
    again: str
    oldest: int = 1
    schema: Schema = field(default_factory=dict)
    suffixes: tuple[str, ...] = (".safetensors", ".json")
    dtypes: tuple[str, ...] = DTYPES
    finite: bool = True
    largest: int = LARGEST
    files_of: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    known_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Folder:
    """What was read, all of it checked.

    Attributes:
        document: the manifest.
        tensors: safetensors file → tensor → array.
        columns: JSON file → value.
        texts: file → text.
        paths: other files, checked where they lie; a writer that comes later replaces them.
    """

    document: dict[str, Any]
    tensors: dict[str, Tensors] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)


def write_folder(
    path: str | Path,
    form: Format,
    document: Mapping[str, Any],
    *,
    tensors: Mapping[str, Mapping[str, NDArray[Any]]] | None = None,
    columns: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
    others: Mapping[str, Written] | None = None,
    unless_changed: str | None = None,
    wait: float = WAIT,
    on_message: OnMessage | None = None,
) -> dict[str, Any]:
    """Write an artefact's folder whole or not at all, synced and locked; one of its kind is replaced.

    Files of the user in an older folder, which no manifest names, go over into the new one. See
    `replacing_folder`.

    Args:
        tensors: safetensors file name → tensor name → array of any memory layout.
        columns: JSON file name → value.
        texts: file name → text for people.
        others: file name → its bytes, or a function that writes them.
        unless_changed: digest that a manifest at `path` must still have: what the change started from.
        wait, on_message: see `locked`.

    Returns: the manifest.

    Raises:
        UsageError: something else stands at `path`.
        ArtifactError: another program is writing there, or has changed it since (`unless_changed`).

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> form = Format("example", "example", "example.json", 1, "make it again", schema={"name": str})
        >>> with tempfile.TemporaryDirectory() as scratch:
        ...     arrays = {"x.safetensors": {"x": np.eye(2)}}
        ...     _ = write_folder(Path(scratch) / "one", form, {"name": "one"}, tensors=arrays)
        ...     read_folder(Path(scratch) / "one", form).tensors["x.safetensors"]["x"].sum()
        np.float64(2.0)
    """
    listed: dict[str, dict[str, Any]] = {}
    contents: dict[str, Written] = {}
    for name, arrays in (tensors or {}).items():
        contents[name] = pack_tensors(arrays)
        listed[name] = {"tensors": declare_tensors(arrays)}
    for name, value in (columns or {}).items():
        contents[name], listed[name] = dump_json(value), {}
    for name, written in (others or {}).items():
        contents[name], listed[name] = written, {}
    pages = {name: text.encode("utf-8", "backslashreplace") for name, text in (texts or {}).items()}
    with replacing_folder(
        path,
        what=form.what,
        ours=lambda folder: is_kind(folder, form),
        replaced=lambda folder: {form.manifest, *listed, *pages, *_top_names(folder, form)},
        wait=wait,
        on_message=on_message,
    ) as fresh:
        if unless_changed is not None:
            _require_unchanged(real_path(path), form, unless_changed)
        for name, content in contents.items():
            listed[name] |= _write(inner_path(fresh, name, what=form.what), content)
        described = {
            name: _write(inner_path(fresh, name, what=form.what), page) for name, page in pages.items()
        }
        full = {"format": form.name, "version": form.version, **document, "files": listed}
        if described:
            full["texts"] = described
        full["digest"] = document_digest(full)
        write_new(fresh / form.manifest, dump_json(full, indent=2))
    return full


def read_folder(path: str | Path, form: Format) -> Folder:
    """Read an artefact's folder and check everything about it; nothing in it is run or followed out of it.

    A folder that a killed writer had set aside is put back first. One that is replaced meanwhile is read
    again, so that old and new never mix.

    Raises:
        ArtifactError: names the file, and says what is missing, changed, of another size or kind than the
            manifest states, or of an unknown version.
    """
    path = Path(path)
    for attempt in range(_TRIES):
        before = _identity(path)
        if before is None and set_aside(real_path(path)) is not None:
            _put_back(path, form)
            before = _identity(path)
        try:
            return _read(path, form)
        except ArtifactError:
            if attempt == _TRIES - 1 or _identity(path) == before:
                raise
    raise AssertionError


def read_manifest(path: str | Path, form: Format) -> dict[str, Any]:
    """The manifest of an artefact's folder, with version, digest and schema checked; no other file is read.

    Raises:
        ArtifactError: see `read_folder`.
    """
    file = Path(path) / form.manifest
    if not file.parent.is_dir():
        raise ArtifactError(
            f"{path} is no {form.what}: there is no such folder; name another one, or {form.again}"
        )
    if not file.exists() and not file.is_symlink():
        raise ArtifactError(
            f"{path} is no {form.what}: it has no {form.manifest}; name another folder, or {form.again}"
        )
    document = read_json(file, largest=_LARGEST_MANIFEST, what=form.what)
    if not isinstance(document, dict) or document.get("format") != form.name:
        raise ArtifactError(f"{file} is not the manifest of a {form.what} (format {form.name!r} is missing)")
    version = document.get("version")
    if (
        isinstance(version, bool)
        or not isinstance(version, int)
        or not form.oldest <= version <= form.version
    ):
        known = str(form.version) if form.oldest == form.version else f"{form.oldest} to {form.version}"
        raise ArtifactError(
            f"{path} is a {form.what} of format version {ascii(version)[:20]}; this Morelli reads {known}. "
            f"Use the Morelli version that wrote it, or {form.again}"
        )
    signed = form.files_of is None or "digest" in document or "files" in document
    if signed and document_digest(document) != document.get("digest"):
        raise ArtifactError(
            f"{file} was changed or damaged (its digest differs); get it again, or {form.again}"
        )
    check_schema(document, form.schema, file)
    return document


def is_kind(folder: Path, form: Format) -> bool:
    """Whether a folder may be replaced by an artefact of this kind."""
    return any((folder / name).is_file() for name in (form.manifest, *form.known_by))


def _read(path: Path, form: Format) -> Folder:
    document = read_manifest(path, form)
    file = path / form.manifest
    listed = document.get("files")
    if listed is None and form.files_of is not None:
        listed = form.files_of(document)
    if listed is None:
        raise ArtifactError(f"{file} lists no files; the {form.what} is damaged, {form.again}")
    texts = document.get("texts", {})
    check_schema({"files": listed, "texts": texts}, {"files": _FILES, "texts": Each(_FACTS)}, file)
    found = Folder(document)
    for name, facts in listed.items():
        inner = inner_path(path, name, what=form.what, named_by=file)
        suffix = next((one for one in form.suffixes if name.endswith(one)), None)
        if suffix == ".safetensors":
            found.tensors[name] = unpack_tensors(
                _checked(inner, facts, form),
                inner,
                declared=facts.get("tensors"),
                declared_by=form.manifest,
                dtypes=form.dtypes,
                finite=form.finite,
            )
        elif suffix == ".json":
            found.columns[name] = parse_json(_checked(inner, facts, form, LARGEST_JSON), inner)
        elif suffix is not None:
            _compare(
                inner, hash_file(inner, size=facts.get("bytes"), largest=form.largest, what=form.what), facts
            )
            found.paths[name] = inner
        else:
            raise ArtifactError(f"{file} lists {name!r}, a kind of file that a {form.what} does not have")
    for name, facts in texts.items():
        inner = inner_path(path, name, what=form.what, named_by=file)
        found.texts[name] = _checked(inner, facts, form, LARGEST_JSON).decode("utf-8", "replace")
    return found


def _checked(file: Path, facts: Mapping[str, Any], form: Format, largest: int | None = None) -> bytes:
    data = read_file(file, size=facts.get("bytes"), largest=largest or form.largest, what=form.what)
    _compare(file, hashlib.sha256(data).hexdigest(), facts)
    return data


def _compare(file: Path, digest: str, facts: Mapping[str, Any]) -> None:
    if digest != facts["sha256"]:
        raise ArtifactError(
            f"{file} was changed or damaged (its SHA-256 differs from the manifest); get it again"
        )


def _write(file: Path, content: Written) -> dict[str, Any]:
    """Write a new file; its facts for the manifest."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        write_new(file, content)
        return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    with open(create(file), "wb") as stream:  # noqa: PTH123
        content(stream)
        finish(stream)
    return {"sha256": hash_file(file, largest=file.stat().st_size), "bytes": file.stat().st_size}


def _top_names(folder: Path, form: Format) -> set[str]:
    """What an older manifest says is its own; none where it cannot be read."""
    try:
        document = read_json(folder / form.manifest, largest=_LARGEST_MANIFEST)
    except ArtifactError:
        return set()
    if not isinstance(document, dict):
        return set()
    named = [document.get(key) for key in ("files", "texts")]
    return {str(name).split("/")[0] for one in named if isinstance(one, dict) for name in one}


def _require_unchanged(path: Path, form: Format, digest: str) -> None:
    if not path.exists():
        return
    try:
        current = read_json(path / form.manifest, largest=_LARGEST_MANIFEST)
    except ArtifactError:
        current = None
    if not isinstance(current, dict) or current.get("digest") != digest:
        raise ArtifactError(
            f"{path} was changed since it was read, and saving would undo that; nothing was written. "
            "Read it again and repeat the change, or save to another folder"
        )


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns  # numbers of removed folders are used again


def _put_back(path: Path, form: Format) -> None:
    """Wait for the writer that set the folder aside, or put it back if that writer is gone."""
    try:
        with locked(path):
            return
    except ArtifactError as error:
        former = set_aside(real_path(path))
        raise ArtifactError(
            f"{path} is missing; the {form.what} that was there lies in {former}. Rename it to {path.name} "
            f"({error})"
        ) from error
