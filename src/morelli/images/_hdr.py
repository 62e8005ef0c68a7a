"""Pictures of high dynamic range as pictures of standard range; what is no brighter than paper is kept.

Detectors know pictures of standard range. Read without conversion, samples of PQ and HLG look pale.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from morelli.images._srgb_curve import srgb_levels

Floats = NDArray[np.float32]

PQ, HLG = 16, 18
"""Transfer characteristics (ISO/IEC 23091-2) of high dynamic range."""
_BT709, _P3 = 1, 12
_WHITE = 203.0  # cd/m² of reference white (ITU-R BT.2408)
_HLG_PEAK, _HLG_GAMMA = 1000.0, 1.2  # of the reference display (ITU-R BT.2100, table 5)
_ABOVE = 0.001  # share of samples that may be brighter than what is taken for the picture's peak
_ROWS = 1 << 19  # pixels that are converted at a time
# Linear light of BT.2020 and of Display P3 as light of BT.709 (ITU-R BT.2087; SMPTE EG 432-1).
_FROM_BT2020 = (
    (1.660491, -0.587641, -0.072850),
    (-0.124550, 1.132900, -0.008349),
    (-0.018151, -0.100579, 1.118730),
)
_FROM_P3 = ((1.224940, -0.224940, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274))
_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128


def to_sdr(transfer: int, primaries: int, image: Image.Image, notes: list[str]) -> Image.Image:
    """An 8-bit RGB image of PQ or HLG samples as sRGB; `notes` are as for other changes, none is added.

    The samples become light (SMPTE ST 2084, ITU-R BT.2100), reference white becomes white. What is brighter
    is compressed by the roll-off of ITU-R BT.2390 (section 5.4.1) on the largest of the three channels, from
    the picture's own peak, so that a picture without highlights is not changed. Then colours are those of
    BT.709, clipped.

    Args:
        transfer: `PQ` or `HLG`.
        primaries: colour primaries (ISO/IEC 23091-2); others than BT.709 and P3 are taken for BT.2020.
    """
    levels = np.linspace(0, 1, 256)
    light = (_pq_light(levels) if transfer == PQ else _hlg_scene(levels)).astype(np.float32)
    peak = float(light[_bright_level(image)])
    if transfer == HLG:
        peak = peak**_HLG_GAMMA * _HLG_PEAK / _WHITE
    matrix = np.array(_FROM_P3 if primaries == _P3 else _FROM_BT2020, np.float32).T
    pixels = np.asarray(image)
    shown = np.empty_like(pixels)
    step = max(1, _ROWS // image.width)
    for top in range(0, image.height, step):
        part = light[pixels[top : top + step]]
        if transfer == HLG:
            part = _hlg_display(part)
        if peak > 1:
            brightest = part.max(axis=-1, keepdims=True)
            part = part * (_rolled_off(brightest, peak) / np.maximum(brightest, 1e-6))
        if primaries != _BT709:
            part = part @ matrix
        shown[top : top + step] = _SRGB[(np.clip(part, 0, 1) * 65535).round().astype(np.uint16)]
    return Image.fromarray(shown)


def srgb_of_light(image: Image.Image, light: NDArray[Any], matrix: NDArray[Any]) -> Image.Image:
    """An 8-bit RGB image as sRGB: `light` (256,) is the light of each sample, `matrix` takes it to BT.709."""
    curve, turned = light.astype(np.float32), matrix.T.astype(np.float32)
    pixels = np.asarray(image)
    shown = np.empty_like(pixels)
    step = max(1, _ROWS // image.width)
    for top in range(0, image.height, step):
        part = curve[pixels[top : top + step]] @ turned
        shown[top : top + step] = _SRGB[(np.clip(part, 0, 1) * 65535).round().astype(np.uint16)]
    return Image.fromarray(shown)


def _bright_level(image: Image.Image) -> int:
    """The sample that no more than `_ABOVE` of the samples of any channel exceed."""
    counts = np.array(image.histogram()).reshape(3, 256)
    above = counts[:, ::-1].cumsum(axis=1)[:, ::-1]  # of each level and those above it
    allowed = _ABOVE * image.width * image.height
    return int(max((np.flatnonzero(channel > allowed).max() for channel in above), default=0))


def _pq_light(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light of PQ samples, reference white 1."""
    root = samples ** (1 / _M2)
    return np.asarray((np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1) * (10_000 / _WHITE))


def _pq_samples(light: Floats) -> Floats:
    root = (np.maximum(light, 0) * np.float32(_WHITE / 10_000)) ** np.float32(_M1)
    return np.asarray(((_C1 + _C2 * root) / (1 + _C3 * root)) ** np.float32(_M2), np.float32)


def _hlg_scene(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light of the scene of HLG samples, 0 to 1: the inverse OETF of BT.2100."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(samples <= 0.5, samples**2 / 3, (np.exp((samples - c) / a) + b) / 12)


def _hlg_display(scene: Floats) -> Floats:
    """Light on the reference display: the OOTF of BT.2100, reference white 1."""
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    gain = np.maximum(luminance, 1e-6) ** np.float32(_HLG_GAMMA - 1) * np.float32(_HLG_PEAK / _WHITE)
    return np.asarray(scene * gain[..., None], np.float32)


def _rolled_off(light: Floats, peak: float) -> Floats:
    """Light between 0 and `peak` as light between 0 and 1, the lower part unchanged."""
    top, white = _pq_samples(np.array([peak, 1], np.float32)).tolist()
    most = white / top
    knee = 1.5 * most - 0.5
    samples = np.minimum(_pq_samples(light) / top, 1)
    t = np.maximum(samples - knee, 0) / (1 - knee)
    bent = (
        (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    )
    return np.where(samples < knee, light, _pq_light(bent * top)).astype(np.float32)


_SRGB = srgb_levels(np.arange(65536) / 65535)
