"""Tags that people give to images: any number of names an image, kept beside the atlas's other edits.

Images are known by their SHA-256, so that tags survive a rebuild. `tags.json` is written whole or not at all;
every change reads it again under a lock, so that two people who tag at once lose nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection as Several
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.artefacts import locked, read_json, write_file
from morelli.artefacts.schema import Each, check_schema
from morelli.atlas._collection import Collection
from morelli.atlas._single_flight_cache import SingleFlightCache
from morelli.errors import ArtifactError, UsageError

COLUMN = "tag"
"""Name of the column of tags in selections; a manifest column of that name is found by text only."""
LONGEST = 100
MOST_TAGS = 500
_LARGEST = 256 << 20
_WAIT = 10.0
_SCHEMA = {"tags": Each([str])}

Stamp = tuple[int, int, int] | None


class Tags:
    """The tags of one atlas, in `tags.json` of its folder."""

    def __init__(self, folder: Path, collection: Collection) -> None:
        self.path = folder / "tags.json"
        self.collection = collection
        self._masks: SingleFlightCache[Stamp, dict[str, NDArray[np.bool_]]] = SingleFlightCache(2)

    def stamp(self) -> Stamp:
        """What changes whenever this or another process writes the tags; None where there are none."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def read(self) -> dict[str, list[str]]:
        """Each tag's images as SHA-256 sums.

        Raises:
            ArtifactError: the file is damaged.
        """
        if not os.path.lexists(self.path):
            return {}
        try:
            found = read_json(self.path, largest=_LARGEST, what="atlas")
            check_schema(found, _SCHEMA, self.path)
        except ArtifactError as error:
            raise ArtifactError(f"{error}; restore it or remove it") from error
        tags: dict[str, list[str]] = found["tags"]
        return tags

    def masks(self) -> Mapping[str, NDArray[np.bool_]]:
        """(n,) of each tag, in alphabetical order: which images have it."""
        return self._masks.get(self.stamp(), self._read_masks)

    def _read_masks(self) -> dict[str, NDArray[np.bool_]]:
        import pyarrow as pa
        import pyarrow.compute as pc

        found = self.read()
        if not found:
            return {}
        sums = self.collection.sums
        return {
            name: np.asarray(
                pc.is_in(sums, value_set=pa.array(found[name], sums.type)).to_numpy(zero_copy_only=False),
                dtype=bool,
            )
            for name in sorted(found, key=str.casefold)
        }

    def of(self, rows: NDArray[np.integer]) -> list[list[str]]:
        """The tags of each of some rows."""
        found: list[list[str]] = [[] for _ in rows]
        for name, mask in self.masks().items():
            for i in np.flatnonzero(mask[rows]).tolist():
                found[i].append(name)
        return found

    def mask(self, names: Several[str | None]) -> NDArray[np.bool_]:
        """(n,) images that have one of some tags; None stands for images without any."""
        known = self.masks()
        chosen = np.zeros(len(self.collection), dtype=bool)
        for name in names:
            if name is None:
                chosen |= ~np.logical_or.reduce([np.zeros_like(chosen), *known.values()])
            elif name in known:
                chosen |= known[name]
        return chosen

    def change(self, rows: NDArray[np.integer], add: Sequence[str], remove: Sequence[str]) -> None:
        """Give images some tags and take others from them, in one step; a tag that no image has is gone.

        Spaces around a name are not part of it.

        Raises:
            UsageError: a name that cannot be one, or too many tags.
        """
        names = [checked_name(name) for name in add]
        sums = set(self.collection.sums.take(np.asarray(rows, np.int64)).to_pylist())
        with locked(self.path, wait=_WAIT):
            found = {name: set(images) for name, images in self.read().items()}
            for name in names:
                found[name] = found.get(name, set()) | sums
            for name in map(str.strip, remove):
                found[name] = found.get(name, set()) - sums
            kept = {name: sorted(images) for name, images in found.items() if images}
            if len(kept) > MOST_TAGS:
                raise UsageError(f"An atlas has at most {MOST_TAGS} tags; remove some.")
            write_file(self.path, json.dumps({"tags": kept}, indent=1, sort_keys=True, allow_nan=False))

    def view(self, selected: NDArray[np.bool_] | None) -> dict[str, Any] | None:
        """The tags as a column with counts, see `Fields.view`; None where there are none."""
        known = self.masks()
        if not known:
            return None

        def count(mask: NDArray[np.bool_]) -> int:
            return int(np.count_nonzero(mask if selected is None else mask & selected))

        without = self.mask([None])
        return {
            "name": COLUMN,
            "kind": "category",
            "group": "tags",
            "missing": int(np.count_nonzero(without)),
            "missing_selected": count(without),
            "distinct": len(known),
            "names": [
                {"name": name, "n": int(np.count_nonzero(mask)), "selected": count(mask)}
                for name, mask in known.items()
            ],
        }


def checked_name(name: str) -> str:
    """A tag's name without spaces around it.

    Raises:
        UsageError: it is empty, too long, or holds a semicolon, which divides tags in an export.

    >>> checked_name(" to check ")
    'to check'
    """
    found = name.strip()
    if not found or len(found) > LONGEST or not found.isprintable() or ";" in found:
        raise UsageError(
            f"A tag has 1 to {LONGEST} printable characters and no semicolon; {name[:40]!r} is none."
        )
    return found
