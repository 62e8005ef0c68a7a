"""Small parts of a bundle: the rule of neighbours, the held-out scores, and where it was read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from morelli.detectors._neighborhood import Voting


@dataclass(frozen=True)
class NeighborRule:
    """The bank itself as the detector: k neighbours under one of the voting rules."""

    k: int = 1
    voting: Voting = "mean_similarity"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Out-of-fold logits (n,) and labels (n,) that calibration and thresholds came from.

    groups: (n,) number of each image's lineage or source where thresholds are for an image of a new one,
    see `conformal_threshold`; None where they are for a new image.
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.int8]
    groups: NDArray[np.int32] | None = None


class Origin(NamedTuple):
    """The folder that a bundle was read from, and the digest that it had then."""

    path: Path
    digest: str
