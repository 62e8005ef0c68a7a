"""What a label or a folder's name says: 0 real, 1 generated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

REAL: Final = 0
FAKE: Final = 1

_WORDS: Final = {
    "real": REAL,
    "0": REAL,
    "nature": REAL,
    "human": REAL,
    "authentic": REAL,
    "fake": FAKE,
    "1": FAKE,
    "ai": FAKE,
    "generated": FAKE,
    "synthetic": FAKE,
}
_FOLDERS: Final = {"real": REAL, "0_real": REAL, "fake": FAKE, "1_fake": FAKE, "nature": REAL, "ai": FAKE}
UNKNOWN: Final = frozenset({"", "unknown", "none", "null", "nan", "na", "n/a"})
"""Spellings of "no label is known"."""


def label_of(text: str) -> int | None:
    """0 or 1 for a label's usual spellings, in any case; None for anything else.

    >>> label_of("Fake"), label_of("0"), label_of("cat")
    (1, 0, None)
    """
    word = text.strip().lower()
    if word in ("0.0", "1.0"):  # a column of numbers that was once read with gaps in it
        word = word[0]
    return _WORDS.get(word)


def label_of_folders(parts: Iterable[str]) -> int | None:
    """The label that the innermost folder named real, fake, 0_real, 1_fake, nature or ai gives."""
    found = None
    for part in parts:
        found = _FOLDERS.get(part.lower(), found)
    return found


def group_of_folders(parts: Iterable[str]) -> str | None:
    """The folder right below the innermost folder that gives a label: a generator, or a real source.

    >>> group_of_folders(["data", "fake", "sdxl", "2024"]), group_of_folders(["real"])
    ('sdxl', None)
    """
    group, below = None, False
    for part in parts:
        if part.lower() in _FOLDERS:
            group, below = None, True
        elif below:
            group, below = part, False
    return group
