"""Samples of TIFFs that mean something else than Pillow makes of them (TIFF 6.0, sections 8 and 19)."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageChops

from morelli.errors import ImageError
from morelli.images._colour import stretched, to_8_bit
from morelli.images._tiff import Directory

_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 258, 259, 262, 277
_PLANAR, _EXTRA, _SAMPLE_FORMAT = 284, 338, 339
_ALPHA = (1, 2)
_LAB = 8
_WHITE_IS_ZERO, _SEPARATE, _UNCOMPRESSED, _SIGNED = 0, 2, 1, 2


def check_planes(first: Directory) -> None:
    """Refuse planes of a TIFF that are decoded into a wrong picture, or not at all.

    Pillow takes deep samples of uncompressed planes for bytes, loses the alpha of a second plane and the
    signs of Lab, and knows no uncompressed planes of other than three or four channels.

    Raises:
        ImageError: the TIFF is of this kind.
    """
    samples, extra = first.integer(_SAMPLES) or 1, first.integer(_EXTRA)
    if first.integer(_PLANAR) != _SEPARATE or samples < 2:
        return
    plain = (first.integer(_COMPRESSION) or _UNCOMPRESSED) == _UNCOMPRESSED
    deep = (first.integer(_BITS) or 1) > 8
    lab = first.integer(_PHOTOMETRIC) == _LAB
    if (plain and (deep or samples not in (3, 4))) or (samples == 2 and extra in _ALPHA) or lab:
        what = (
            "more than 8 bits in uncompressed planes"
            if deep
            else f"{samples} channels in planes of their own"
        )
        raise ImageError(
            "unsupported_format",
            f"a TIFF with {what} is not read; save it with interleaved channels, or as PNG",
        )


def meant_samples(image: Any, first: Directory, notes: list[str]) -> Any:
    """A decoded first page with its grey values as the directory means them; others are left alone.

    Pillow gives 12-bit values as they are, 32-bit values with a sign, signed bytes without one, and deep
    values whose 0 is white as a negative.
    """
    bits, signed = first.integer(_BITS) or 1, first.integer(_SAMPLE_FORMAT) == _SIGNED
    if image.mode == "I;16" and bits == 12:
        values = np.asarray(image)
        image = Image.fromarray((values << 4) | (values >> 8))
    elif image.mode == "I" and bits == 32 and not signed and np.asarray(image).min() < 0:
        unsigned = np.asarray(image).view(np.uint32)
        notes.append(f"32-bit values scaled from {unsigned.min()}…{unsigned.max()}")
        image = stretched(unsigned, float(unsigned.min()), float(unsigned.max()))
    elif image.mode == "L" and bits == 8 and signed and np.asarray(image).max() > 127:
        whole = np.asarray(image).view(np.int8)
        notes.append(f"signed values scaled from {whole.min()}…{whole.max()}")
        image = stretched(whole, float(whole.min()), float(whole.max()))
    deep = image.mode in ("I", "F") or image.mode.startswith("I;16") or bits == 32
    if deep and first.integer(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        image = ImageChops.invert(to_8_bit(image, notes))
    return image
