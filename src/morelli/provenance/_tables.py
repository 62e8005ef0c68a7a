"""Whether a JPEG's quantisation tables are the ones that libjpeg scales from the standard's examples."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

# ITU-T T.81, tables K.1 and K.2, in the zigzag order in which files store them.
_LUMINANCE: Final = (
    "16 11 12 14 12 10 16 14 13 14 18 17 16 19 24 40 26 24 22 22 24 49 35 37 29 40 58 51 61 60 57 51 "
    "56 55 64 72 92 78 64 68 87 69 55 56 80 109 81 87 95 98 103 104 103 62 77 113 121 112 100 120 92 101 "
    "103 99"
)
_CHROMINANCE: Final = (
    "17 18 18 24 21 24 47 26 26 47 99 66 56 66 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 "
    + "99 " * 32
)


def libjpeg_quality(tables: Mapping[int, tuple[int, ...]]) -> int | None:
    """The libjpeg quality, 1–100, that gives exactly these tables; None where no quality does.

    Args:
        tables: by number, 64 values each in zigzag order.
    """
    if 0 not in tables:
        return None
    for quality, (luminance, chrominance) in _scaled().items():
        if tables[0] == luminance and tables.get(1, chrominance) == chrominance:
            return quality
    return None


@cache
def _scaled() -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Both tables for each quality, as libjpeg's jpeg_set_quality scales them for baseline files."""
    bases = [[int(value) for value in text.split()] for text in (_LUMINANCE, _CHROMINANCE)]
    found = {}
    for quality in range(1, 101):
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        first, second = (tuple(min(255, max(1, (v * scale + 50) // 100)) for v in base) for base in bases)
        found[quality] = (first, second)
    return found
