"""What an encoder asks of its runtime."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from morelli.encoders._kinds import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ConcurrentPasses:
    """How many passes a tower runs at once, and what ends that arrangement."""

    count: int
    close: Callable[[], None]


class Tower(Protocol):
    """What does the work: an OpenVINO graph, CLIP's forward in torch, or a model of transformers."""

    @property
    def runtime(self) -> str:
        """Library and version, such as `openvino 2026.4.1`."""

    def trace(self, pixels: NDArray[np.float32], kinds: Collection[Kind]) -> dict[Kind, NDArray[np.float32]]:
        """Features of these kinds, one row per image; arrays of the caller's own. No image: no rows."""

    def get_ready(self, kinds: Collection[Kind]) -> None:
        """Do what a first `trace` of these kinds would do before it computes; it waits where this runs."""

    def share(self, *, most: int, processes: int) -> ConcurrentPasses:
        """Get ready for several passes at once, at most `most`, by threads that call `trace`.

        `processes` is how many processes share the machine's cores in the same way.
        """
