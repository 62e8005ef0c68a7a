"""Are the files of an atlas as they were written? `atlas.json` has the SHA-256 of each of them.

Small files are checked whenever an atlas is opened, all of them by `verify_atlas`, and so before anything is
exported or added. What people say (`edits.json`, `tags.json`, `feedback.csv`) changes after the atlas is
built and may be edited by hand, so it has no digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.errors import ArtifactError
from morelli.features import is_panic, open_dataset

if TYPE_CHECKING:
    import pyarrow as pa

SMALL = 4 << 20
"""Files of at most so many bytes are checked on opening: some 30 MB of an atlas of a million images."""
LISTED = 5
_HINT = "_versions/latest_version_hint.json"
_NEXT = "restore it from a copy, or build the atlas again"


@dataclass(frozen=True)
class Verified:
    """What `verify_atlas` found whole: `files` with `size` bytes in all.

    `unrecorded` are tables of an atlas that an earlier Morelli wrote, without digests of them: they were read
    from end to end, which finds much damage but not all.
    """

    files: int
    size: int
    unrecorded: tuple[str, ...] = ()


def verify_atlas(folder: Path | str) -> Verified:
    """Check every file of an atlas, its tables' data included; a million images are some ten gigabytes.

    Raises:
        ArtifactError: files are damaged or missing: one line that names them.
    """
    from morelli.atlas._record import AtlasRecord

    folder = Path(folder)
    record = AtlasRecord.read(folder)
    found = list(_damage(folder, record.files))
    tables = {f"{name}.lance": version for name, version in record.versions.items()}
    found += [bad for name, version in tables.items() if (bad := _hint_damage(folder, name, version))]
    _raise(folder, found)
    unrecorded = [name for name in tables if not any(f.startswith(f"{name}/data/") for f in record.files)]
    for name in unrecorded:
        for _ in GuardedTable(open_dataset(folder / name, tables[name]), folder / name).to_batches():
            pass
    return Verified(
        len(record.files), sum((folder / file).stat().st_size for file in record.files), tuple(unrecorded)
    )


def require_small_files(folder: Path, files: Mapping[str, str]) -> None:
    """Raise `ArtifactError` unless all recorded files are there and the small ones are as recorded."""
    _raise(folder, list(_damage(folder, files, largest=SMALL)))


def file_hashes(folder: Path, patterns: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 of the files in an atlas that match, by their path within it."""
    found = sorted(path for pattern in patterns for path in folder.glob(pattern) if _is_own(path))
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in found}


def _is_own(path: Path) -> bool:
    """A file that is no lock or leftover of a writer."""
    return path.is_file() and not path.name.startswith(".")


def table_hashes(
    folder: Path, versions: Mapping[str, int], known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """SHA-256 of the files that the tables of an atlas consist of in these versions, by their path within it.

    Args:
        folder: of the atlas.
        versions: of the tables `images` and `pixels`.
        known: digests of files that were checked already; a table's files are written once and never again.
    """
    known = known or {}
    result = {}
    for name, version in versions.items():
        table = folder / f"{name}.lance"
        for path in _table_files(table, version):
            file = path.relative_to(folder).as_posix()
            result[file] = known.get(file) or _sha256(path)
    return dict(sorted(result.items()))


class GuardedTable:
    """A Lance dataset whose errors of reading are one line, with the damaged file where that is known.

    A damaged data file gives an error of the system, of Arrow, or a panic of the reader. Everything else is
    the dataset's own.
    """

    def __init__(self, dataset: Any, path: Path) -> None:
        self._dataset, self._path = dataset, path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def count_rows(self) -> int:
        """Number of rows."""
        return int(self._dataset.count_rows())

    def to_table(self, **how: Any) -> pa.Table:
        """As the dataset's."""
        try:
            return self._dataset.to_table(**how)
        except BaseException as error:
            self._explain(error)
            raise

    def take(self, rows: list[int], **how: Any) -> pa.Table:
        """As the dataset's."""
        try:
            return self._dataset.take(rows, **how)
        except BaseException as error:
            self._explain(error)
            raise

    def to_batches(self, **how: Any) -> Iterator[pa.RecordBatch]:
        """As the dataset's."""
        try:
            yield from self._dataset.to_batches(**how)
        except GeneratorExit:
            raise
        except BaseException as error:
            self._explain(error)
            raise

    def _explain(self, error: BaseException) -> None:
        """Raise `ArtifactError` where an error comes of damaged data."""
        import pyarrow as pa

        if not (
            isinstance(error, OSError | ValueError | RuntimeError | pa.ArrowException) or is_panic(error)
        ):
            return
        from morelli.atlas._record import AtlasRecord

        folder = self._path.parent
        own = {k: v for k, v in AtlasRecord.read(folder).files.items() if k.startswith(f"{self._path.name}/")}
        try:
            _raise(folder, list(_damage(folder, own)))
        except ArtifactError as found:
            raise found from error
        line = next(iter(str(error).splitlines()), type(error).__name__)
        raise ArtifactError(f"{self._path} cannot be read ({line[:300]}); {_NEXT}") from error


def _table_files(table: Path, version: int) -> list[Path]:
    """The files that one version of a Lance table consists of."""
    dataset = open_dataset(table, version)
    found = []
    for fragment in dataset.get_fragments():
        found += [table / "data" / data.path for data in fragment.metadata.files]
        deleted = fragment.deletion_file()
        found += [table / deleted] if deleted else []
    # The older naming and the present one, in which later versions sort first.
    names = (f"{version}.manifest", f"{(1 << 64) - 1 - version:020d}.manifest")
    found += [path for name in names if (path := table / "_versions" / name).is_file()]
    transaction = getattr(dataset, "read_transaction", lambda version: None)(version)
    if transaction is not None:
        found += (table / "_transactions").glob(f"*-{transaction.uuid}.txn")
    return found


def _hint_damage(folder: Path, name: str, version: int) -> str | None:
    """What is wrong with Lance's note of a table's newest version, which changes with every version."""
    path = folder / name / _HINT
    try:
        hint = json.loads(path.read_bytes())
        if set(hint) == {"version"} and type(hint["version"]) is int and hint["version"] >= version:
            newest = hint["version"]
            names = (f"{newest}.manifest", f"{(1 << 64) - 1 - newest:020d}.manifest")
            if any((path.parent / name).is_file() for name in names):
                return None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError):
        pass
    return f"{name}/{_HINT} (it names no version that is there)"


def _damage(folder: Path, files: Mapping[str, str], largest: int | None = None) -> Iterator[str]:
    """Recorded files that are missing or, as far as they have at most `largest` bytes, changed; and why."""
    for file, digest in sorted(files.items()):
        path = folder / file
        try:
            facts = path.stat()
            if not stat.S_ISREG(facts.st_mode):
                yield f"{file} (it is no file)"
            elif (largest is None or facts.st_size <= largest) and _sha256(path) != digest:
                yield f"{file} (its SHA-256 differs)"
        except FileNotFoundError:
            yield f"{file} (it is missing)"
        except OSError as error:
            yield f"{file} ({os.strerror(error.errno or 0)})"


def _raise(folder: Path, found: list[str]) -> None:
    if not found:
        return
    shown = ", ".join(found[:LISTED]) + (f" and {len(found) - LISTED} more" if len(found) > LISTED else "")
    what = "a damaged file" if len(found) == 1 else f"{len(found)} damaged files"
    this = _NEXT if len(found) == 1 else _NEXT.replace("it", "them", 1)
    raise ArtifactError(f"{folder} has {what}: {shown}; {this}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
