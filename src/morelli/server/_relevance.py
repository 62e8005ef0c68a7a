"""Relevance maps of a case, computed once from what the encoder left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from morelli.server._judge import no_distilled
from morelli.server._problems import ProblemError

if TYPE_CHECKING:
    from morelli.server._cases import StoredCase
    from morelli.server._judge import Judge


def case_maps(judge: Judge, stored: StoredCase) -> npt.NDArray[np.float32]:
    """All relevance maps of a case, (K + 1, g, g), each of its value's own sign; the last is the logit's.

    Raises:
        ProblemError: 409, there is no distilled map, or the encoder is not a CLIP.
    """
    from morelli.explanation.relevance import relevance_maps

    if judge.distilled is None or judge.last_block is None:
        raise no_distilled()
    if stored.maps is None:
        class_token, tokens = (stored.features.vectors[kind] for kind in judge.last_block.inputs)
        found = relevance_maps(
            judge.last_block,
            class_token,
            tokens,
            judge.distilled.values_torch,
            judge.distilled.w,
            bias=judge.distilled.bias,
            towards="own",
        )
        stored.maps = np.asarray(found.square()[0], dtype=np.float32)
    return stored.maps


def dimension_map(judge: Judge, stored: StoredCase, dimension: str) -> tuple[npt.NDArray[np.float32], bool]:
    """One map (g, g) by a dimension's number or ``logit``, and whether it speaks for "generated".

    Raises:
        ProblemError: 422, there is no such dimension; else as `case_maps`.
    """
    maps = case_maps(judge, stored)
    assert judge.distilled is not None
    impacts = judge.distilled.impacts(stored.features.vectors[judge.distilled.kind])[0]
    last = len(impacts)
    index = last if dimension == "logit" else int(dimension)
    if dimension != "logit" and index >= last:
        raise ProblemError(
            422, "unknown-dimension", f"There is no dimension {dimension}; there are 0 to {last - 1}."
        )
    signed = float(impacts.sum() + judge.distilled.bias) if index == last else float(impacts[index])
    return maps[index], signed > 0
