"""Preparation of bank features: centre, then bring every feature kind to the same length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def unit_blocks(X: NDArray[Any], mean: NDArray[np.float32], sizes: Sequence[int]) -> NDArray[np.float32]:
    """X (n, d) minus mean (d,), each block of `sizes` columns scaled to length 1 / sqrt(len(sizes))."""
    centred = X.astype(np.float64) - mean
    blocks = np.split(centred, np.cumsum(sizes)[:-1], axis=1) if sizes else [centred]
    scaled = []
    for block in blocks:
        length = np.linalg.norm(block, axis=1, keepdims=True) * np.sqrt(len(blocks))
        scaled.append(np.divide(block, length, out=np.zeros_like(block), where=length > 0))
    return np.concatenate(scaled, axis=1).astype(np.float32)
