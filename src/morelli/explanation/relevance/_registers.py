"""Register tokens: patches at which the encoder keeps notes about the whole picture.

Darcet et al., *Vision Transformers Need Registers* (2309.16588): trained long enough, a vision transformer
turns patches where there is little to see into storage. Their tokens have several times the usual norm, and
what attends to them does not attend to that place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError

Array = NDArray[Any]

NORMS = 2.5
"""A register's norm over its image's median. Few tokens lie in between: in CLIP ViT-B/16 after block 11 any
threshold from 1.7 to 3 calls 5.5 to 5.0 % of the patches registers (200 images)."""


def registers(tokens: ArrayLike, *, norms: float = NORMS) -> Array:
    """Which patch tokens (n, P, D), the block's input, are registers: (n, P) boolean."""
    length = np.linalg.norm(np.asarray(tokens, dtype=np.float32), axis=-1)
    return np.asarray(length > norms * np.median(length, axis=-1, keepdims=True))


def without_registers(maps: ArrayLike, found: ArrayLike) -> Array:
    """Maps (n, …, P) float32 in which a register has the mean relevance of the places around it.

    Near places count most (a Gaussian of one patch), registers among them not at all. What a register stored
    belongs to no place, so the rest of its relevance is gone: maps lose the share that nobody can locate.

    Raises:
        UsageError: `found` is not (n, P), or the patches form no square.
    """
    from scipy.ndimage import gaussian_filter

    relevance, is_register = np.asarray(maps, dtype=np.float32), np.asarray(found, dtype=bool)
    patches = relevance.shape[-1]
    grid = math.isqrt(patches)
    if grid**2 != patches or is_register.shape != (len(relevance), patches):
        raise UsageError(
            f"Maps (n, …, P) of a square of patches need registers (n, P); got shapes {relevance.shape} and "
            f"{is_register.shape}."
        )
    shape = (len(relevance), *[1] * (relevance.ndim - 2), grid, grid)
    square = relevance.reshape(*relevance.shape[:-1], grid, grid)
    seen = np.broadcast_to(~is_register.reshape(shape), square.shape).astype(np.float32)
    sigma = (*[0.0] * (square.ndim - 2), 1.0, 1.0)
    weight = gaussian_filter(seen, sigma, mode="constant")
    around = gaussian_filter(square * seen, sigma, mode="constant") / np.maximum(weight, 1e-12)
    return np.where(seen > 0, square, around).reshape(relevance.shape).astype(np.float32)
