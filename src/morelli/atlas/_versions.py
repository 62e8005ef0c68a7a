"""Versions of an atlas's tables: rows behind a version, and what only older versions refer to."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.atlas._pixels import PixelTable

KEPT = timedelta(days=1)


def write_images(folder: Path, rows: pa.Table, *, behind: int | None = None) -> int:
    """Write `images.lance` from scratch, or rows behind its version `behind`; returns the new version."""
    import lance

    path = folder / "images.lance"
    if behind is None:
        mode = "overwrite" if path.is_dir() else "create"
        return int(lance.write_dataset(rows, path, schema=rows.schema, mode=mode).version)
    dataset = at_version(path, behind)
    dataset = lance.write_dataset(rows, dataset, schema=rows.schema, mode="append")
    dataset.optimize.compact_files(target_rows_per_fragment=1024 * 1024, num_threads=1)
    return int(lance.dataset(path).version)


def append_pixels(path: Path, behind: int, fresh: PixelTable) -> int:
    """Copy the rows of another pixel table behind version `behind` of the one at `path`; the new version."""
    import lance

    at_version(path, behind)
    lance.write_dataset(fresh.reader(), path, schema=fresh.spec.schema(), mode="append")
    return int(lance.dataset(path).version)


def at_version(path: Path, version: int) -> Any:
    """A Lance dataset whose latest version is `version`, or equal to it: what came later is taken back."""
    import lance

    dataset = lance.dataset(path)
    if dataset.version != version:
        dataset = lance.dataset(path, version=version)
        dataset.restore()
    return lance.dataset(path)


def drop_old_versions(folder: Path, current: str) -> None:
    """Remove what only older versions of an atlas's tables refer to, and cells other than the `current` ones.

    Those of the last day stay, for whoever has the atlas open still reads them.
    """
    import shutil
    import time

    import lance

    for name in ("images.lance", "pixels.lance"):
        if (folder / name).is_dir():
            lance.dataset(folder / name).cleanup_old_versions(older_than=KEPT)
    for cells in folder.glob("cells-*"):
        if cells.name != current and time.time() - cells.stat().st_mtime > KEPT.total_seconds():
            shutil.rmtree(cells)
