"""The folder of an atlas while it is written: its lock, its state, what an interrupted build has left."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.artefacts import locked, read_json, write_file
from morelli.atlas._digests import rows_digest
from morelli.atlas._embeddings import FOLDER as EMBEDDINGS
from morelli.atlas._held_out import HeldOut
from morelli.atlas._pixels import PixelTable
from morelli.atlas._place import STATE, refuse_taken
from morelli.atlas._record import MANIFEST
from morelli.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from morelli.atlas.distiller import DistilledMap
    from morelli.features import Features, FeatureTable

HELD_OUT = "held-out.safetensors"
HASHED = (
    *("distilled/*", "cells-*/*", "layout/*", "prototypes/*", "pattern-basis.safetensors"),
    f"{EMBEDDINGS}/*",
)
MOST_LISTED = 1000
"""Unreadable images that the record lists."""
_WAIT = 10.0


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Hold an atlas against other builds and additions, which is there or becomes one.

    Of a build that is refused no folder is left: nothing in it would be of use to the next one.
    """
    made = not folder.exists()
    if not made and not folder.is_dir():
        raise UsageError(f"{folder} exists and is no atlas; choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder / MANIFEST, wait=_WAIT):
            yield
    except UsageError:
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def silent(step: str, done: int, total: int) -> None:
    """Progress that nobody wants to see."""


def default_workers() -> int:
    """Threads for decoding, where none are asked for."""
    return min(16, os.cpu_count() or 1)


def prepare(out: Path, state: dict[str, Any]) -> bool:
    """Make the folder, or say that a build with the same inputs can go on in it; anything else is refused."""
    refuse_taken(out)
    try:
        before = read_json(out / STATE, what="atlas")
    except ArtifactError:
        before = None
    if before == json.loads(json.dumps(state)):
        return True
    # What follows belongs to other inputs. The note comes first: with it the folder is known as a build's,
    # whatever else is there when the process ends.
    write_file(out / STATE, "{}")
    for name in ("pixels.lance", "images.lance", "prototypes", "layout", EMBEDDINGS):
        shutil.rmtree(out / name, ignore_errors=True)
    for cells in out.glob("cells-*"):
        shutil.rmtree(cells, ignore_errors=True)
    (out / "pattern-basis.safetensors").unlink(missing_ok=True)
    return False


def held_out_of(out: Path, fitted: DistilledMap) -> HeldOut:
    """The held-out readings that an interrupted build has left.

    Raises:
        ArtifactError: they are damaged.
    """
    from safetensors import SafetensorError

    try:
        return HeldOut.load(out / HELD_OUT, fitted)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"{out / HELD_OUT} is damaged ({error}); remove {out / STATE}, and the build starts over"
        ) from error


def pixels_version(out: Path) -> int:
    """The version of the folder's table of pixels."""
    return PixelTable.open(out / "pixels.lance").version


def source_record(table: FeatureTable, features: Features) -> dict[str, Any]:
    """Which rows of which table came in, for the record."""
    return {"table": str(table.path), "rows": rows_digest(features), "images": len(features)}
