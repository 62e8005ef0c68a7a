"""Relevance maps of a case, computed once from what the encoder left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from morelli.errors import UnknownDimensionError

if TYPE_CHECKING:
    from morelli.atlas.distiller import DistilledMap
    from morelli.encoders import LastBlock
    from morelli.inspection._case import StoredCase


def case_maps(stored: StoredCase, last_block: LastBlock, distilled: DistilledMap) -> npt.NDArray[np.float32]:
    """All relevance maps of a case, (K + 1, g, g), each of its value's own sign; the last is the logit's."""
    from morelli.explanation.relevance import relevance_maps

    if stored.maps is None:
        class_token, tokens = (stored.features.vectors[kind] for kind in last_block.inputs)
        found = relevance_maps(
            last_block,
            class_token,
            tokens,
            distilled.values_and_gradients,
            distilled.w,
            bias=distilled.bias,
            towards="own",
        )
        stored.maps = np.asarray(found.square()[0], dtype=np.float32)
    return stored.maps


def dimension_map(
    stored: StoredCase, last_block: LastBlock, distilled: DistilledMap, dimension: str
) -> tuple[npt.NDArray[np.float32], bool]:
    """One map (g, g) by a dimension's number or ``logit``, and whether it points towards "generated".

    Raises:
        UnknownDimensionError: there is no such dimension.
    """
    maps = case_maps(stored, last_block, distilled)
    impacts = distilled.impacts(stored.features.vectors[distilled.kind])[0]
    last = len(impacts)
    index = last if dimension == "logit" else int(dimension)
    if dimension != "logit" and index >= last:
        raise UnknownDimensionError(f"There is no dimension {dimension}; there are 0 to {last - 1}.")
    signed = float(impacts.sum() + distilled.bias) if index == last else float(impacts[index])
    return maps[index], signed > 0
