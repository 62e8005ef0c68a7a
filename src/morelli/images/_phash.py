"""A perceptual hash, by which near-duplicates are found."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE: Final = 32
_LOW: Final = 8


@lru_cache(maxsize=1)
def _basis() -> NDArray[np.float64]:
    """The DCT-II of 32 samples as a matrix: its first 8 rows (8, 32) are all that the hash needs."""
    from scipy.fft import dct  # slow to load, and judging needs no hash

    return np.asarray(dct(np.eye(_SIDE), axis=0))[:_LOW]


def phash(image: Image.Image) -> int:
    """64-bit hash of the picture's lowest frequencies; alike pictures differ in few bits.

    The image is reduced to 32 × 32 grey, transformed by a two-dimensional DCT-II, and each of its
    8 × 8 lowest coefficients gives one bit: above their median or not (Zauner 2010, section 3.2.1;
    the same bits as `imagehash.phash`, first row first, most significant bit first). Compare with
    ``(a ^ b).bit_count()``.

    Returns: an unsigned integer below 2**64.
    """
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    basis = _basis()
    coefficients = basis @ np.asarray(grey, np.float64) @ basis.T
    # Rounded, so that the noise of a flat picture's zeros does not become bits.
    coefficients = np.round(coefficients, 6)
    bits = coefficients > np.median(coefficients)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
