"""What a JPEG's tables and markers tell: its quality, and how much work it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

# ITU-T T.81, table K.1 (luminance), row by row; the base of libjpeg's quality setting.
_LUMINANCE = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 "
    "49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
)


def jpeg_quality(tables: Mapping[int, Sequence[int]]) -> int | None:
    """The libjpeg quality, 1–100, whose luminance table is nearest to the file's.

    Exact for files that libjpeg wrote with its standard tables; an estimate for cameras and
    programs with tables of their own (Photoshop, mozjpeg).

    Args:
        tables: quantisation tables by number, 64 values each in natural order, as Pillow gives them.
    """
    if not tables:
        return None
    first = np.asarray(tables[min(tables)], dtype=np.int64)
    if first.shape != (64,):
        return None
    return int(np.abs(_tables() - first).sum(axis=1).argmin()) + 1


def jpeg_scans(data: bytes) -> int:
    """Upper bound of the number of scans: start-of-scan markers, those of thumbnails included.

    Entropy-coded data cannot hold the marker (T.81, B.1.1.5), so the count is exact there.
    """
    return data.count(b"\xff\xda")


def jpeg_has_end(data: bytes) -> bool:
    """Whether an end marker follows the first scan; True too where no scan is found.

    Coded data cannot hold the marker, so that a file without one was cut, whatever fills its place.
    """
    at = 2
    while data[at : at + 1] == b"\xff":
        kind = data[at + 1 : at + 2]
        if kind == b"\xda":
            return data.find(b"\xff\xd9", at) >= 0
        if kind == b"\xff":  # a fill byte
            at += 1
        elif kind == b"\x01" or b"\xd0" <= kind <= b"\xd8":
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return True


@cache
def _tables() -> NDArray[np.int64]:
    """(100, 64) luminance tables of qualities 1–100, as libjpeg's jpeg_set_quality scales them."""
    base = np.array(_LUMINANCE.split(), dtype=np.int64)
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return np.clip((base[None, :] * scale[:, None] + 50) // 100, 1, 255)
