"""One inspected image as it is kept: its file, its picture and its features, for questions that follow."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from morelli.explanation.deciding import Reading
    from morelli.features import Features
    from morelli.images import ImageFacts
    from morelli.inspection.answers import ProvenanceFinding


@dataclass(eq=False)
class StoredCase:
    """One image: the file's bytes, what the encoder was fed, and the features.

    Attributes:
        id: SHA-256 of the file, or of the file and its edits.
        name: the client's name for it.
        data: the file as it came; for an edited picture, a lossless file of it.
        judged: JPEG of exactly what the encoder saw, the transform's crop.
        seen: the same without loss, (s, s, 3); the transform gives of it what the encoder was fed.
        facts: of the original file.
        features: one row, all kinds that verdicts, distilled values and relevance need.
        edits: canonical perturbation, empty for a picture as it came.
        derived_from: id of the original's case.
        maps: relevance of the distilled map (K + 1, g, g), filled when first asked for.
        reading: where the encoder read the deciding logit, filled when first asked for.
        lock: held while `reading` is computed, so that two questions at once cost one pass.
        provenance: what the original file says of itself, the strongest first.
        second: one row, the kinds that a second detector reads; None where there is none.
    """

    id: str
    name: str
    data: bytes = field(repr=False)
    judged: bytes = field(repr=False)
    seen: npt.NDArray[np.uint8] = field(repr=False)
    facts: ImageFacts
    features: Features
    edits: str = ""
    derived_from: str | None = None
    maps: npt.NDArray[np.float32] | None = None
    reading: Reading | None = None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    provenance: tuple[ProvenanceFinding, ...] = ()
    second: Features | None = None

    @property
    def size(self) -> int:
        """Bytes that the case holds, about."""
        both = (self.features, *(() if self.second is None else (self.second,)))
        # Two detectors on one encoder read the same arrays, which are held once.
        held: dict[int, int] = {
            a.ctypes.data: a.nbytes for features in both for a in features.vectors.values()
        }
        vectors = sum(held.values())
        maps = 0 if self.maps is None else self.maps.nbytes
        statements = sum(len(one.sentence) + 1024 for one in self.provenance)
        return len(self.data) + len(self.judged) + self.seen.nbytes + vectors + maps + statements + 8192
