"""Morton codes: the bits of a cell's two coordinates interleaved, so that a coarser cell is a shift away.

Codes have `DEPTH` bits for each axis, whatever levels a pyramid draws: a collection can grow new levels and
no image gets another code. Sorted by code, the images of every cell of every level lie side by side, and so
do the cells of every square tile whose side is a power of two (Morton 1966).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

DEPTH = 16


def morton(ix: ArrayLike, iy: ArrayLike) -> NDArray[np.uint32]:
    """Codes of cells (ix, iy), both in [0, 65536): bit 2k from ix, bit 2k + 1 from iy.

    >>> morton([0, 1, 0, 1, 2], [0, 0, 1, 1, 0]).tolist()
    [0, 1, 2, 3, 4]
    """
    return np.asarray(_spread(ix) | (_spread(iy) << np.uint32(1)), np.uint32)


def columns_and_rows(codes: ArrayLike) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """(ix, iy) of codes, the inverse of `morton`.

    >>> [part.tolist() for part in columns_and_rows([0, 1, 2, 3, 4])]
    [[0, 1, 0, 1, 2], [0, 0, 1, 1, 0]]
    """
    code = np.asarray(codes, np.uint32)
    return _gather(code), _gather(code >> np.uint32(1))


def ancestor(codes: ArrayLike, level: int) -> NDArray[np.uint32]:
    """The codes' cells at `level` (0 is one cell for all), themselves Morton codes below 4^level."""
    return np.asarray(np.asarray(codes, np.uint32) >> np.uint32(2 * (DEPTH - level)), np.uint32)


def _spread(values: ArrayLike) -> NDArray[np.uint32]:
    """0…0abcd → 0a0b0c0d, for 16 bits."""
    v = np.asarray(values, np.uint32) & np.uint32(0xFFFF)
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        v = (v | (v << np.uint32(shift))) & np.uint32(mask)
    return v


def _gather(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    v = values & np.uint32(0x55555555)
    for shift, mask in ((1, 0x33333333), (2, 0x0F0F0F0F), (4, 0x00FF00FF), (8, 0x0000FFFF)):
        v = (v | (v >> np.uint32(shift))) & np.uint32(mask)
    return v
