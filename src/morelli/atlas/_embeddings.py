"""The encoder's embeddings of an atlas's images, for search: which images look like a picture or fit a text.

One array (n, d) of float16 rows of length 1, in the order of the images and memory-mapped.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.atlas._single_flight_cache import SingleFlightCache
from morelli.atlas.cells._files import read_array, write_array
from morelli.errors import UsageError

FOLDER = "embeddings"
BLOCK = 16_384
KEPT_SEARCHES = 8
MOST_AVERAGED = 20_000
"""Images of a selection whose mean is searched for; of more, evenly spaced ones."""


def write_embeddings(folder: Path, matrix: ArrayLike) -> None:
    """Write the embeddings (n, d) of an atlas's images; those that are there already come first."""
    path = folder / FOLDER / "vectors.npy"
    path.parent.mkdir(exist_ok=True)
    write_array(path, unit(np.asarray(matrix, np.float32)).astype(np.float16))


def append_embeddings(folder: Path, matrix: ArrayLike, before: int) -> None:
    """Add the embeddings of further images behind the `before` first; an atlas that has none gets none."""
    path = folder / FOLDER / "vectors.npy"
    if path.is_file():
        known = read_array(path, np.float16, 2)[:before]
        write_array(path, np.concatenate([known, unit(np.asarray(matrix, np.float32)).astype(np.float16)]))


class Embeddings:
    """Embeddings of all images, and the latest searches among them."""

    def __init__(self, vectors: NDArray[np.float16]) -> None:
        self.vectors = vectors
        self._wanted: dict[str, NDArray[np.float32]] = {}
        self._found: SingleFlightCache[str, NDArray[np.float32]] = SingleFlightCache(KEPT_SEARCHES)

    @classmethod
    def open(cls, folder: Path, images: int) -> Embeddings | None:
        """Those of an atlas; None where it was built before atlases had any."""
        path = folder / FOLDER / "vectors.npy"
        if not path.is_file():
            return None
        vectors = read_array(path, np.float16, 2)
        return cls(vectors[:images]) if len(vectors) >= images else None

    def of(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """(d,) the mean direction of some images.

        Raises:
            UsageError: there is no image.
        """
        if not len(rows):
            raise UsageError("Nothing is selected, so nothing can be like it.")
        some = rows[:: -(-len(rows) // MOST_AVERAGED)]
        return np.asarray(self.vectors[some].astype(np.float32).mean(axis=0))

    def search(self, wanted: ArrayLike) -> str:
        """Look for a direction (d,); what is returned stands for the search in `similarities`.

        Raises:
            UsageError: it has another length than the embeddings, or none.
        """
        vector = np.asarray(wanted, np.float32).reshape(-1)
        if len(vector) != self.vectors.shape[1] or not np.linalg.norm(vector) > 0:
            raise UsageError(f"Embeddings here have {self.vectors.shape[1]} components; got {len(vector)}.")
        vector = unit(vector[None])[0]
        key = hashlib.sha256(vector.tobytes()).hexdigest()[:16]
        self._wanted = {**dict(list(self._wanted.items())[-255:]), key: vector}
        return key

    def similarities(self, search: str) -> NDArray[np.float32]:
        """(n,) cosine of each image's embedding to what was searched for.

        Raises:
            UsageError: the search is not known any more.
        """
        vector = self._wanted.get(search)
        if vector is None:
            raise UsageError("This search is not known any more; search again.")
        return self._found.get(search, lambda: self._cosines(vector))

    def _cosines(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.empty(len(self.vectors), np.float32)
        for start in range(0, len(out), BLOCK):
            out[start : start + BLOCK] = self.vectors[start : start + BLOCK].astype(np.float32) @ vector
        return out


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (n, d) at length 1; rows of zeros stay.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
