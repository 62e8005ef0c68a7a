"""Samples of PNGs that mean something else than Pillow makes of them (PNG 3rd edition, 11.3.1 and 13.13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from morelli.images._colour import to_8_bit
from morelli.images._srgb_curve import srgb_levels

_LEAST, _MOST = 0.05, 10.0
_USUAL = 0.05  # libpng takes products of exponents this near to 1 for no correction
_DISPLAY = 2.2


def with_key(image: Any, depth: int, notes: list[str]) -> Any:
    """A decoded grey image whose transparent value fits its samples.

    Pillow gives the value as the file has it, but scales samples of 2 and 4 bits; of 16-bit samples nothing
    later would know the value.
    """
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return image
    if image.mode == "L" and depth in (2, 4):
        image.info["transparency"] = key * 255 // ((1 << depth) - 1)
    elif image.mode.startswith("I;16"):
        alpha = np.where(np.asarray(image) == key, 0, 255).astype(np.uint8)
        image = to_8_bit(image, notes)
        image.putalpha(Image.fromarray(alpha))
    return image


def stated_gamma(info: Mapping[Any, Any]) -> float | None:
    """The gamma that a PNG states (``gAMA``), where it makes sense.

    A profile, ``sRGB`` and ``cICP`` say more and come first; ``cICP`` is the caller's to look for.
    """
    stated = info.get("gamma")
    if not isinstance(stated, float) or "srgb" in info or info.get("icc_profile"):
        return None
    return stated if _LEAST <= stated <= _MOST else None


def display_gamma(info: Mapping[Any, Any]) -> float | None:
    """The exponent that takes samples to light, where a PNG states another one than screens have."""
    stated = stated_gamma(info)
    return None if stated is None or abs(stated * _DISPLAY - 1) < _USUAL else 1 / stated


def from_gamma(exponent: float, image: Image.Image, notes: list[str]) -> Image.Image:
    """An 8-bit image whose light is ``sample ** exponent``, with samples of sRGB (IEC 61966-2-1)."""
    light = (np.arange(256) / 255) ** exponent
    notes.append(f"gamma {1 / exponent:.3g} converted")
    return image.point(srgb_levels(light).tolist() * len(image.getbands()))
