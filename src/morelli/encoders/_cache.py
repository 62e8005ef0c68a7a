"""The weights' place on disk: records of what was fetched, hashes, locks and atomic writes.

One folder per encoder and source, `<cache>/encoders/<name>/<source kind>/`, holds `record.json` and,
for converted weights, the files themselves in hub format. Files of the hub stay in the hub's own
cache, which other programs share; the record points there. A record pins what was fetched first.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from morelli.artefacts import read_json, replacing_folder, write_file
from morelli.artefacts.schema import COUNT, check_schema
from morelli.errors import ArtifactError, WeightsError

Progress = Callable[[str, float | None], None]
"""Called with a line for the user and the finished share of that step (0..1), None where unknown."""

RECORD = "record.json"
_CHUNK = 1 << 20
_LARGEST = 16 << 20
_SCHEMA = {
    "source": str,
    "sha256": str,
    "folder": str,
    "files": [{"path": str, "sha256": str, "size": COUNT, "mtime_ns": int}],
    "revision?": (str, None),
    "converter?": (COUNT, None),
    "fetched?": float,
    "pinned_by?": str,
}


def cache_root() -> Path:
    """`$MORELLI_CACHE`, else the user's cache folder of this platform."""
    from platformdirs import user_cache_path

    override = os.environ.get("MORELLI_CACHE")
    return Path(override).expanduser() if override else user_cache_path("morelli")


@dataclass(frozen=True)
class StoredFile:
    """A file of a record. Size and time are a quick check at each start, the hash the full one."""

    path: str
    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Record:
    """What one source gave: the pin that later downloads are held to."""

    source: str
    """`Source.id`."""
    sha256: str
    """Hash of the source's weights file (see `weights_id` for several files)."""
    folder: str
    """Folder in hub format: `config.json` and the weights."""
    files: tuple[StoredFile, ...]
    revision: str | None = None
    """Commit of the hub repository."""
    converter: int | None = None
    """Version of the conversion, for weights that are not stored as fetched."""
    fetched: float = 0.0
    """Unix time."""
    pinned_by: str = "registry"
    """`registry` (hash known beforehand) or `first use` (what the source stated at the first download)."""


@dataclass(frozen=True)
class CacheDirectory:
    """The cache's folder of one encoder."""

    name: str
    root: Path = field(default_factory=cache_root)

    @property
    def folder(self) -> Path:
        """Where this encoder's records are."""
        return self.root / "encoders" / self.name.replace("/", "--")

    def slot(self, kind: str) -> Path:
        """Where the record of one kind of source is."""
        return self.folder / kind

    def records(self) -> list[Record]:
        """All readable records, the first fetched first."""
        found = [read_record(path.parent) for path in sorted(self.folder.glob(f"*/{RECORD}"))]
        return sorted((record for record in found if record is not None), key=lambda record: record.fetched)

    @contextmanager
    def locked(self, progress: Progress) -> Iterator[None]:
        """Hold this encoder's folder against other processes."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / ".lock")
            try:
                lock.acquire(timeout=0.2)
            except Timeout:
                progress(f"Another process is fetching {self.name}; waiting for it", None)
                lock.acquire()
        except PermissionError as error:
            raise WeightsError(
                f"The weights of {self.name} are not in {self.folder} or not readable there by this user, "
                "who cannot fetch them into it either. Let its owner run "
                f"`morelli encoders pull {self.name}`, or name a cache of your own (MORELLI_CACHE)."
            ) from error
        try:
            # Left by processes that were killed: nobody else can be writing while we hold the lock.
            for stale in self.folder.glob(".partial-*"):
                shutil.rmtree(stale, ignore_errors=True)
            yield
        finally:
            lock.release()

    @contextmanager
    def writing(self, kind: str) -> Iterator[Path]:
        """A new folder that takes the place of `slot(kind)` once the block ends without an error."""
        with replacing_folder(
            self.slot(kind), what="slot of the cache", ours=lambda _: True, wait=math.inf
        ) as fresh:
            yield fresh

    def share(self, slot: Path) -> None:
        """Let whoever may open this encoder's folder read a slot that earlier versions kept for one user."""
        granted = stat.S_IMODE(self.folder.stat().st_mode) & 0o055
        found = slot.stat()
        if os.name != "posix" or found.st_uid != os.geteuid() or found.st_mode & granted == granted:
            return
        for path in (*slot.iterdir(), slot):  # the folder last: an interrupted pass is repeated
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) or path == slot:
                path.chmod(stat.S_IMODE(mode) | (granted if path == slot else granted & 0o044))

    def discard(self, kind: str) -> None:
        """Remove one source's slot; renamed first, so that no half-removed slot is ever seen."""
        if self.slot(kind).exists():
            trash = Path(tempfile.mkdtemp(prefix=".partial-", dir=self.folder))
            self.slot(kind).replace(trash / kind)
            shutil.rmtree(trash, ignore_errors=True)


def sha256_file(path: Path, progress: Progress | None = None) -> str:
    """SHA-256 (hex) of a file's bytes."""
    digest = hashlib.sha256()
    size, done = max(path.stat().st_size, 1), 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(f"Checking {path.name}", done / size)
    return digest.hexdigest()


def weights_id(hashes: dict[str, str]) -> str:
    """One id for the weights: the hash of a single file, the hash over names and hashes of several."""
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def describe(path: Path, sha256: str) -> StoredFile:
    """A file as a record holds it."""
    found = path.stat()
    return StoredFile(path=str(path), sha256=sha256, size=found.st_size, mtime_ns=found.st_mtime_ns)


def read_record(slot: Path) -> Record | None:
    """The record of a slot; None when there is none or it cannot be read."""
    try:
        data = read_json(slot / RECORD, largest=_LARGEST, what="record of weights")
        check_schema(data, _SCHEMA, slot / RECORD)
        files = tuple(StoredFile(**entry) for entry in data.pop("files"))
        record = Record(files=files, **data)
    except (ArtifactError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if record.folder == ".":
        # Converted weights travel with their slot, so that a cache can be copied to another machine.
        files = tuple(StoredFile(**{**asdict(entry), "path": str(slot / entry.path)}) for entry in files)
        record = Record(**{**record.__dict__, "files": files, "folder": str(slot)})
    return record


def write_record(slot: Path, record: Record, *, inside: bool) -> None:
    """Write a slot's record atomically; `inside` says that its files lie in the slot itself."""
    data = asdict(record)
    data["fetched"] = record.fetched or time.time()
    if inside:
        data["folder"] = "."
        for entry in data["files"]:
            entry["path"] = Path(entry["path"]).name
    write_file(slot / RECORD, json.dumps(data, indent=2) + "\n")


def damage(record: Record, *, thorough: bool, progress: Progress | None = None) -> str | None:
    """What is wrong with a record's files, in words; None when nothing is.

    Unless `thorough`, a file whose size and time are as recorded counts as unchanged; one whose time
    differs (a copied cache) is hashed.
    """
    for entry in record.files:
        path = Path(entry.path)
        try:
            found = path.stat()
        except OSError:
            return f"{path} is gone"
        if found.st_size != entry.size:
            return f"{path} has {found.st_size} bytes instead of {entry.size}"
        if thorough or found.st_mtime_ns != entry.mtime_ns:
            digest = sha256_file(path, progress)
            if digest != entry.sha256:
                return f"{path} has SHA-256 {digest[:12]}… instead of {entry.sha256[:12]}…"
    return None


def touch_record(record: Record) -> Record:
    """The record with the present times of its files, after a hash check found them whole."""
    files = tuple(describe(Path(entry.path), entry.sha256) for entry in record.files)
    return Record(**{**record.__dict__, "files": files})


def require_hash(path: Path, found: str, expected: str, *, what: str) -> None:
    """Raise `WeightsError` unless the hash is the expected one."""
    if found != expected:
        raise WeightsError(
            f"{what} has SHA-256 {found}, but {expected} is pinned ({path}). It is not the file that was "
            "checked before: do not use it. Try again on a trusted network, or report it if it stays so."
        )
