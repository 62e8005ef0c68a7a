"""Colours of standard range that a container states otherwise than by a profile, as sRGB.

Code points (ISO/IEC 23091-2: ``nclx`` of AVIF and HEIF, ``cICP`` of PNG) and chromaticities with a gamma
(``cHRM`` and ``gAMA`` of PNG). Read without conversion, samples of Display P3 and BT.2020 look pale, linear
ones dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from morelli.images._colour import Change
from morelli.images._depth import stated_colour
from morelli.images._hdr import srgb_of_light
from morelli.images._png_samples import display_gamma, from_gamma, stated_gamma
from morelli.images._srgb_curve import light_of_srgb

_D65 = (0.3127, 0.3290)
_SRGB = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
# White, red, green and blue, x and y each (table 2). BT.601's (5 to 7) are as good as sRGB's.
_PRIMARIES: Mapping[int, tuple[str, tuple[float, ...]]] = {
    4: ("BT.470 M", (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08)),
    8: ("generic film", (0.310, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049)),
    9: ("BT.2020", (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)),
    11: ("DCI-P3", (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    12: ("Display P3", (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
}
# Exponents of transfer characteristics that are a plain power (table 3). The curves of BT.709 and BT.601 are
# taken for sRGB's, which is what the pictures have that are stored with these code points.
_EXPONENTS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
_NEAR = 0.015  # of chromaticities: as far as BT.601's are from sRGB's
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

Matrix = NDArray[np.floating[Any]]


def stated_change(data: bytes, format: str, icc: bytes | None, info: Mapping[Any, Any]) -> Change | None:
    """What takes the 8-bit samples of a picture of standard range to sRGB; None where they are that.

    ``cICP`` comes before a profile (PNG 3rd edition, 4.3), a profile before ``nclx`` (ISO/IEC 23000-22,
    7.3.6.4).
    ``cHRM`` counts together with ``gAMA`` alone, as in browsers.

    Args:
        icc: the colour profile.
        info: what Pillow says of a PNG.
    """
    colour = stated_colour(data, format)
    if colour is not None:
        if format != "PNG":
            return None if icc else _by_code_points(*colour)
        return _by_code_points(*colour) or (_unchanged if icc else None)
    if format != "PNG" or icc:
        return None
    gamma, stated = stated_gamma(info), info.get("chromaticity")
    if gamma is not None and isinstance(stated, Sequence) and len(stated) == 8:
        matrix = _to_srgb(tuple(map(float, stated)))
        if matrix is not None:
            return partial(_converted, 1 / gamma, matrix, "stated primaries converted")
    exponent = display_gamma(info)
    return None if exponent is None else partial(from_gamma, exponent)


def _by_code_points(primaries: int, transfer: int) -> Change | None:
    name, places = _PRIMARIES.get(primaries, ("", _SRGB))
    matrix, exponent = _to_srgb(places), _EXPONENTS.get(transfer)
    if matrix is None and exponent is None:
        return None
    light = "" if exponent is None else "linear light" if exponent == 1 else f"gamma {exponent:g}"
    note = f"{', '.join(filter(None, (name, light)))} converted"
    return partial(_converted, exponent, np.eye(3) if matrix is None else matrix, note)


def _converted(
    exponent: float | None, matrix: Matrix, note: str, image: Image.Image, notes: list[str]
) -> Image.Image:
    """An 8-bit RGB image as sRGB: samples to light by a power or by sRGB's curve, then the primaries."""
    levels = np.linspace(0, 1, 256)
    notes.append(note)
    light = light_of_srgb(levels) if exponent is None else levels**exponent
    return srgb_of_light(image, light, matrix)


def _unchanged(image: Image.Image, notes: list[str]) -> Image.Image:
    """The samples are those of sRGB, whatever a profile beside them says."""
    return image


def _to_srgb(places: tuple[float, ...]) -> Matrix | None:
    """Linear light of these primaries as light of sRGB's; None where they are those, or no primaries."""
    if max(abs(a - b) for a, b in zip(places, _SRGB, strict=True)) <= _NEAR:
        return None
    try:
        light = _adapted(_white(places), _white(_SRGB)) @ _to_xyz(places)
        matrix = np.linalg.solve(_to_xyz(_SRGB), light)
    except np.linalg.LinAlgError:
        return None
    return matrix if np.isfinite(matrix).all() and np.abs(matrix).max() < 10 else None


def _white(places: tuple[float, ...]) -> Matrix:
    x, y = places[:2]
    if y <= 0:
        raise np.linalg.LinAlgError
    return np.array([x / y, 1, (1 - x - y) / y])


def _to_xyz(places: tuple[float, ...]) -> Matrix:
    """RGB to CIE XYZ by chromaticities (SMPTE RP 177)."""
    columns = np.array([(x, y, 1 - x - y) for x, y in zip(places[2::2], places[3::2], strict=True)]).T
    return np.asarray(columns * np.linalg.solve(columns, _white(places)))


def _adapted(white: Matrix, to: Matrix) -> Matrix:
    """Chromatic adaptation from one white to another (Bradford, as in ICC.1 annex E)."""
    cones = (_BRADFORD @ to) / (_BRADFORD @ white)
    return np.asarray(np.linalg.solve(_BRADFORD, cones[:, None] * _BRADFORD))
