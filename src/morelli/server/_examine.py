"""One picture judged without HTTP, by what the server judges with: for notebooks and scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from morelli.images import Limits
from morelli.server._judge import Judge
from morelli.server._prepare import prepare
from morelli.server._relevance import case_maps


@dataclass(frozen=True, eq=False)
class Examined:
    """What there is to show of one picture.

    Attributes:
        case: the JSON of a case, as `POST /detect` answers.
        picture: JPEG of what the encoder saw, its crop.
        maps: relevance (K + 1, g, g) ≥ 0, each of its value's own sign, the last the logit's; None where the
            encoder has no distilled map.
    """

    case: dict[str, Any]
    picture: bytes
    maps: npt.NDArray[np.float32] | None


def examine(judge: Judge, data: bytes, name: str = "picture", *, base_rate: float | None = None) -> Examined:
    """Judge the bytes of an image file, exactly as an upload is judged.

    Args:
        judge: from `load_judge`.
        data: the file.
        name: what to call it.
        base_rate: share of generated images to assume; the bundle's if None.

    Raises:
        ImageError: it cannot be read, with the reason.
    """
    prepared = prepare(data, name, judge.encoder.transform, Limits())
    found = judge.encoder.trace(prepared.pixels[None], kinds=judge.kinds)
    stored = judge.stored(prepared, {kind: array[0] for kind, array in found.items()})
    case = judge.case(stored, base_rate=base_rate)
    maps = None if judge.distilled is None or judge.last_block is None else case_maps(judge, stored)
    return Examined(case.model_dump(mode="json"), stored.judged, maps)
