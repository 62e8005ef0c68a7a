"""The transfer curve of sRGB (IEC 61966-2-1), in both directions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def srgb_levels(light: Floats) -> NDArray[np.uint8]:
    """The 8-bit samples of light between 0 and 1."""
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(curve * 255), np.uint8)


def light_of_srgb(samples: Floats) -> Floats:
    """The light, 0 to 1, of samples between 0 and 1."""
    return np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)
