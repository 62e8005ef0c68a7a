"""Which images are there already: a set of content hashes that takes 17 bytes an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

UNKNOWN, ABSENT = -1, -2
"""Labels beside 0 and 1: of an image whose label nobody knows, and of an image that is not there."""


@dataclass(frozen=True)
class Keys:
    """The first 128 bits of SHA-256 of n images, high and low half (n,) each: no other image's."""

    high: npt.NDArray[np.uint64]
    low: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, digests: Sequence[bytes]) -> Keys:
        """The keys of SHA-256 digests."""
        halves = np.frombuffer(b"".join(digest[:16] for digest in digests), dtype=">u8").reshape(-1, 2)
        return cls(halves[:, 0].astype(np.uint64), halves[:, 1].astype(np.uint64))

    def __len__(self) -> int:
        return len(self.high)

    def take(self, index: npt.NDArray[np.int64]) -> Keys:
        """The keys at `index`, in that order."""
        return Keys(self.high[index], self.low[index])


@dataclass(frozen=True)
class SortedRun:
    """Keys in the order of their high halves, with the label of each image, (n,) int8."""

    keys: Keys
    labels: npt.NDArray[np.int8]

    @classmethod
    def of(cls, keys: Keys, labels: npt.NDArray[np.int8]) -> SortedRun:
        """Sort keys and their labels."""
        order = np.argsort(keys.high, kind="stable")
        return cls(keys.take(order), labels[order])

    def find(self, keys: Keys) -> npt.NDArray[np.int8]:
        """(n,) the label of each image, `ABSENT` where it is not in this run.

        Example:
            >>> run = SortedRun.of(Keys.of([bytes(32), b"x" * 32]), np.array([1, UNKNOWN], np.int8))
            >>> run.find(Keys.of([b"x" * 32, b"y" * 32, bytes(32)])).tolist()
            [-1, -2, 1]
        """
        found = np.full(len(keys), ABSENT, dtype=np.int8)
        at = np.searchsorted(self.keys.high, keys.high)
        open_ = np.flatnonzero(at < len(self.keys))
        while len(open_):
            here = at[open_]
            open_, here = (part[self.keys.high[here] == keys.high[open_]] for part in (open_, here))
            same = self.keys.low[here] == keys.low[open_]
            found[open_[same]] = self.labels[here[same]]
            open_ = open_[~same]  # another image with the same high half: look at the next
            at[open_] += 1
            open_ = open_[at[open_] < len(self.keys)]
        return found


class Identities:
    """A growing set of images and their labels: a few sorted runs, each at least twice as long as the next.

    Example:
        >>> seen = Identities()
        >>> seen.add(Keys.of([b"a" * 32, b"b" * 32]), np.array([0, 1], np.int8))
        >>> seen.find(Keys.of([b"b" * 32, b"c" * 32])).tolist(), len(seen)
        ([1, -2], 2)
    """

    def __init__(self) -> None:
        self._runs: list[SortedRun] = []

    def __len__(self) -> int:
        return sum(len(run.keys) for run in self._runs)

    def add(self, keys: Keys, labels: npt.NDArray[np.int8]) -> None:
        """Add images that are not in the set."""
        if not len(keys):
            return
        self._runs.append(SortedRun.of(keys, labels))
        while len(self._runs) > 1 and len(self._runs[-2].keys) < 2 * len(self._runs[-1].keys):
            self._join(2)

    def find(self, keys: Keys) -> npt.NDArray[np.int8]:
        """(n,) the label of each image, `ABSENT` where it is not in the set."""
        found = np.full(len(keys), ABSENT, dtype=np.int8)
        for run in self._runs:
            np.maximum(found, run.find(keys), out=found)
        return found

    def whole(self) -> SortedRun:
        """All of the set as one run."""
        if len(self._runs) > 1:
            self._join(len(self._runs))
        return self._runs[0] if self._runs else SortedRun(Keys.of([]), np.empty(0, np.int8))

    def _join(self, count: int) -> None:
        """Replace the last `count` runs by one."""
        runs = self._runs[-count:]
        del self._runs[-count:]
        keys = Keys(
            np.concatenate([run.keys.high for run in runs]), np.concatenate([run.keys.low for run in runs])
        )
        labels = np.concatenate([run.labels for run in runs])
        runs.clear()
        self._runs.append(SortedRun.of(keys, labels))
