"""Where a collection's files are: a repository of the Hugging Face hub, or a folder on this machine.

A shard is never fetched whole where that can be helped: of a Parquet file only the row groups that are needed
are read (`morelli.recipes._pieces`), of a tar only its beginning.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

from morelli.errors import SourceError, UsageError
from morelli.recipes.plans import Collection

Opener = Callable[[str], AbstractContextManager[IO[bytes]]]
_BLOCK = 8 << 20
"""Bytes of one request to the hub."""


@dataclass(frozen=True)
class Shards:
    """The shards of a collection.

    Attributes:
        names: in alphabetical order; empty for a folder of images.
        open: opens a shard for reading, seekable.
        origin: what they are: `hub:owner/name@commit`, or `folder:/path`.
        folder: the folder of images, where there are no shards.
    """

    names: tuple[str, ...]
    open: Opener
    origin: str
    folder: Path | None = None


def shards_of(collection: Collection, data: Path | None, *, fetch: bool, commit: str | None = None) -> Shards:
    """Find a collection's shards.

    Args:
        collection: of a recipe.
        data: a folder on this machine that has them; None for the hub.
        fetch: whether the hub may be asked.
        commit: of the repository, where an earlier run has met one; else the newest.

    Raises:
        UsageError: the collection has to be given with `data`, or nothing fits its pattern.
        SourceError: the hub cannot be asked.
    """
    if data is not None:
        return _in_folder(collection, data)
    if collection.repository is None:
        raise UsageError(
            f"{collection.name} is not fetched by a recipe: get it from {collection.page} and name its "
            f"folder with --data {_quoted(collection.name)}=FOLDER."
        )
    if not fetch:
        raise UsageError(
            f"{collection.name} would be fetched from the hub's repository {collection.repository}, which is "
            "not allowed here: leave --offline out, and for a recipe of your own give --remote; or name a "
            f"folder that has its files with --data {_quoted(collection.name)}=FOLDER."
        )
    return _on_hub(collection, commit)


def _in_folder(collection: Collection, data: Path) -> Shards:
    if not data.is_dir():
        raise UsageError(f"{data} is no folder; --data names the folder that holds {collection.name}.")
    pattern = collection.files
    found = [] if pattern is None else _matching(data, pattern)
    if pattern is not None and not found:
        raise UsageError(
            f"{data} holds no file that fits {pattern!r}, the pattern of {collection.name}; copy the "
            "repository's files with their folders, or those of its last folder."
        )
    origin = f"folder:{data.resolve()}"
    return Shards(tuple(found), lambda name: (data / name).open("rb"), origin, None if found else data)


def _matching(data: Path, pattern: str) -> list[str]:
    """Files that fit the pattern below `data`; a copy of the pattern's last folder alone will do."""
    names = sorted(
        Path(root, name).relative_to(data).as_posix() for root, _, files in os.walk(data) for name in files
    )
    whole = [name for name in names if fnmatchcase(name, pattern)]
    return whole or [name for name in names if fnmatchcase(name, pattern.rpartition("/")[2])]


def _on_hub(collection: Collection, commit: str | None) -> Shards:
    from huggingface_hub import HfApi, HfFileSystem

    repository, pattern = str(collection.repository), str(collection.files)
    try:
        if commit is None:
            commit = HfApi().dataset_info(repository, timeout=30.0).sha or "main"
        system = HfFileSystem(skip_instance_cache=True)
        root = f"datasets/{repository}@{commit}"
        below = sorted(name.removeprefix(f"{root}/") for name in system.find(root))
    except Exception as error:  # the hub's and its HTTP client's errors have no common root
        raise SourceError(
            f"{repository}, which holds {collection.name}, cannot be listed on the hub "
            f"({next(iter(str(error).splitlines()), type(error).__name__)}). Check the network, run "
            "`hf auth login` where the data set asks for consent, or name a local copy with --data."
        ) from error
    found = tuple(name for name in below if fnmatchcase(name, pattern))
    if not found:
        raise SourceError(
            f"The hub's {repository} has no file that fits {pattern!r} at {commit[:12]}: the collection was "
            "rearranged. Name a local copy with --data, or write a recipe of your own with other `files`."
        )
    return Shards(
        found,
        lambda name: system.open(f"{root}/{name}", "rb", block_size=_BLOCK),
        f"hub:{repository}@{commit}",
    )


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name
