"""Taking a part of a collection: shard by shard, in a seeded order, until each class has what was asked for.

The images are kept as they were delivered, named by their content, with a manifest beside them. A shard is
the unit of resuming: what was taken of it is noted when it is through, and a run that was ended in the middle
of one takes the same images of it again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from morelli.artefacts import locked, read_file, write_file
from morelli.artefacts.schema import Each, check_schema
from morelli.artefacts.text import csv_table
from morelli.errors import ArtifactError, ImageError, SourceError
from morelli.images import ImageItem, Limits, iter_source, read_bytes
from morelli.recipes._pieces import head_of_tar, is_tar, pieces
from morelli.recipes._shards import Shards
from morelli.recipes.plans import Collection

MANIFEST = "manifest.csv"
JOURNAL = "shards.jsonl"
_COLUMNS = ("path", "label", "generator", "source", "era", "split", "collection", "original_path", "sha256")
_WORDS = {0: "real", 1: "fake"}
_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")
_YEAR = re.compile(r"(19|20)\d\d")
Row = dict[str, str]


@dataclass
class CollectedImages:
    """What has been taken so far."""

    rows: list[Row] = field(default_factory=list)
    failed: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    groups: Counter[tuple[str, str]] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)

    def add(self, row: Row) -> None:
        """Count a row that was taken."""
        self.rows.append(row)
        self.labels[row["label"]] += 1
        self.groups[row["label"], _group(row["label"], row["generator"], row["source"])] += 1
        self.seen.add(row["sha256"])


def collect(
    collection: Collection,
    shards: Shards,
    out: Path,
    *,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> CollectedImages:
    """Take a part of a collection into the folder `out`.

    Args:
        collection: what to take.
        shards: where it is.
        out: gets ``images/`` and ``manifest.csv``; a run that was broken off is carried on.
        seed: of the order of shards and of the images in them.
        on_progress: called with (images taken, images wanted).

    Raises:
        SourceError: a shard cannot be read, or one of the classes is missing.
    """
    wanted = collection.real + collection.fake
    out.mkdir(parents=True, exist_ok=True)
    taken = CollectedImages()
    with locked(out / JOURNAL):
        done = _read_journal(out / JOURNAL, taken)
        for left in out.glob(".shard-*"):  # of a run that was ended
            shutil.rmtree(left, ignore_errors=True)
        with (out / JOURNAL).open("a", encoding="utf-8") as journal:
            if journal.tell():
                journal.write("\n")  # ends a line that was cut; an empty one means nothing
            for name in _order(shards, seed):
                if _full(collection, taken):
                    break
                if name in done:
                    continue
                before, failed = len(taken.rows), taken.failed
                for item, where in _items(collection, shards, name, out, seed):
                    if _take(collection, item, where, taken, out, since=before) and on_progress:
                        on_progress(len(taken.rows), wanted)
                    if _full(collection, taken) or _shard_done(collection, shards, taken, before):
                        break
                entry = {"shard": name, "rows": taken.rows[before:], "failed": str(taken.failed - failed)}
                journal.write(json.dumps(entry, ensure_ascii=False) + "\n")
                journal.flush()
                os.fsync(journal.fileno())
        for label, asked in (("real", collection.real), ("fake", collection.fake)):
            if asked and not taken.labels[label]:
                raise SourceError(
                    f"{collection.name} ({shards.origin}) gave no {label} image: its labels were not "
                    "understood, or they lie elsewhere. `morelli audit` on a part of it shows what is read."
                )
        rows = sorted(taken.rows, key=lambda row: row["path"])
        text = csv_table(_COLUMNS, ([row[name] for name in _COLUMNS] for row in rows), mark=False)
        write_file(out / MANIFEST, text)
    return taken


def _order(shards: Shards, seed: int) -> Iterable[str]:
    if shards.folder is not None:
        return ("",)
    order = np.random.default_rng(seed).permutation(len(shards.names))
    return [shards.names[i] for i in order]


def _full(collection: Collection, taken: CollectedImages) -> bool:
    return taken.labels["real"] >= collection.real and taken.labels["fake"] >= collection.fake


def _shard_done(collection: Collection, shards: Shards, taken: CollectedImages, before: int) -> bool:
    return shards.folder is None and len(taken.rows) - before >= collection.per_shard


def _items(
    collection: Collection, shards: Shards, name: str, out: Path, seed: int
) -> Iterator[tuple[ImageItem, str]]:
    """The images of a shard in a seeded order, with the name of the part they are in."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if shards.folder is not None:
        for item in _shuffled(_read(collection, shards.folder), rng):
            yield item, ""
        return
    with tempfile.TemporaryDirectory(prefix=".shard-", dir=out) as scratch, shards.open(name) as shard:
        if is_tar(name):
            samples = 4 * collection.per_shard  # some are of a class or a group that is full
            path = head_of_tar(shard, name, Path(scratch) / "part.tar", samples)
            for item in _shuffled(_read(collection, path), rng):
                yield item, name
            return
        for path, part in pieces(shard, name, Path(scratch), rng):
            for item in _shuffled(_read(collection, path), rng):
                yield item, part


def _read(collection: Collection, path: Path) -> list[ImageItem]:
    found = iter_source(path, limits=Limits(), layout=collection.layout, label_from=collection.label_from)
    return [item for item in found if item.label is not None]


def _shuffled(items: list[ImageItem], rng: np.random.Generator) -> Iterator[ImageItem]:
    for index in rng.permutation(len(items)):
        yield items[index]


def _take(
    collection: Collection, item: ImageItem, part: str, taken: CollectedImages, out: Path, *, since: int
) -> bool:
    """Keep an image if its class and its group still need one; True if it was kept."""
    label = _WORDS[int(item.label or 0)]
    generator, source = item.generator or "", item.metadata.get("source", "")
    group = (label, _group(label, generator, source))
    most = collection.per_source if label == "real" else collection.per_generator
    if taken.labels[label] >= (collection.real if label == "real" else collection.fake):
        return False
    if most is not None and taken.groups[group] >= most:
        return False
    try:
        data = read_bytes(item)
    except ImageError:
        taken.failed += 1
        return False
    digest = hashlib.sha256(data).hexdigest()
    if digest in taken.seen:
        return False
    ending = PurePosixPath(item.uri.rpartition("::")[2]).suffix.lower()
    path = f"images/{digest[:2]}/{digest[:24]}{ending if _SUFFIX.fullmatch(ending) else ''}"
    if not (out / path).is_file():
        write_file(out / path, data, lock=False)
    taken.add(
        {
            "path": path,
            "label": label,
            "generator": generator,
            "source": source,
            "era": _era(collection, item, generator) if label == "fake" else "",
            "split": item.metadata.get("split", ""),
            "collection": collection.name,
            "original_path": f"{part}::{item.uri.rpartition('::')[2]}" if part else item.uri,
            "sha256": digest,
        }
    )
    return True


def _group(label: str, generator: str, source: str) -> str:
    return generator if label == "fake" else source


def _era(collection: Collection, item: ImageItem, generator: str) -> str:
    """The year of a generator: of the collection's own column, else by the recipe's patterns."""
    if collection.era_column is not None:
        found = _YEAR.search(item.metadata.get(collection.era_column, ""))
        if found:
            return found.group()
    return next((era for pattern, era in collection.eras.items() if re.search(pattern, generator)), "")


_ENTRY = {"shard": str, "rows": [Each(str)], "failed": str}


def _read_journal(path: Path, taken: CollectedImages) -> set[str]:
    """The shards that are through; a half-written last line is ignored."""
    if not os.path.lexists(path):
        return set()
    done: set[str] = set()
    for line in read_file(path, what="recipe's folder").decode("utf-8", "replace").splitlines():
        try:
            entry: Any = json.loads(line)
        except (ValueError, RecursionError):
            continue
        check_schema(entry, _ENTRY, path)
        if any(set(row) != set(_COLUMNS) for row in entry["rows"]):
            raise ArtifactError(f"{path} is of another version; remove its folder and run the recipe again.")
        done.add(entry["shard"])
        taken.failed += int(entry["failed"])
        for row in entry["rows"]:
            taken.add(row)
    return done
