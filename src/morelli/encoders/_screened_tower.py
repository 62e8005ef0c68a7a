"""Two towers of the same weights: a quick one for every image, an exact one for those where it matters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from morelli.encoders._kinds import Kind
from morelli.encoders._tower import ConcurrentPasses, Tower

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from morelli.encoders._vit_weights import Floats

Unsure = Callable[[Mapping[str, "Floats"]], "NDArray[np.bool_]"]
"""From quick features by kind, one row an image, to the rows that have to be computed exactly."""


class ScreenedTower:
    """Quick features, and exact ones for images of which `unsure` says that rounding could matter.

    Which images these are depends on each image alone, so that an image's vector does not depend on the
    batch around it.
    """

    def __init__(self, quick: Tower, exact: Tower, kinds: Collection[Kind], unsure: Unsure | None) -> None:
        self.quick, self.exact = quick, exact
        self._kinds, self._unsure = tuple(kinds), unsure

    @property
    def runtime(self) -> str:
        """That of the quick tower."""
        return self.quick.runtime

    def trace(self, pixels: Floats, kinds: Collection[Kind]) -> dict[Kind, Floats]:
        """Features of these kinds."""
        if self._unsure is None or not len(pixels):
            return self.quick.trace(pixels, kinds)
        found = self.quick.trace(pixels, self._with_screened(kinds))
        rows = np.flatnonzero(self._unsure({str(kind): found[kind] for kind in self._kinds}))
        if len(rows):
            for kind, exact in self.exact.trace(pixels[rows], kinds).items():
                found[kind][rows] = exact
        return {kind: found[kind] for kind in kinds}

    def get_ready(self, kinds: Collection[Kind]) -> None:
        """The quick tower's part; the exact one may never be needed."""
        self.quick.get_ready(kinds if self._unsure is None else self._with_screened(kinds))

    def _with_screened(self, kinds: Collection[Kind]) -> tuple[Kind, ...]:
        return tuple(dict.fromkeys([*kinds, *self._kinds]))

    def share(self, *, most: int, processes: int) -> ConcurrentPasses:
        """As many passes at once as both towers are ready for."""
        both = [tower.share(most=most, processes=processes) for tower in (self.quick, self.exact)]

        def close() -> None:
            for one in both:
                one.close()

        return ConcurrentPasses(min(one.count for one in both), close)
