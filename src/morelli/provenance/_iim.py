"""IPTC-IIM datasets (IIM 4.2) in Photoshop's image resources: the credit line and its neighbours."""

from __future__ import annotations

from typing import Final

from morelli.provenance._metadata import MOST_PARTS, decoded

PROGRAM: Final = 65
CREDIT: Final = 110
SOURCE: Final = 115
_WANTED: Final = frozenset({PROGRAM, CREDIT, SOURCE})


def read_photoshop(data: bytes) -> dict[int, str]:
    """The datasets of the IPTC resource (0x0404) in a block of Photoshop image resources."""
    at = 0
    for _ in range(MOST_PARTS):
        if data[at : at + 4] != b"8BIM" or at + 12 > len(data):
            break
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        name = data[at + 6] + 1
        start = at + 6 + name + (name & 1)
        size = int.from_bytes(data[start : start + 4], "big")
        body = data[start + 4 : start + 4 + size]
        if number == 0x0404:
            return read_iim(body)
        at = start + 4 + size + (size & 1)
    return {}


def read_iim(data: bytes) -> dict[int, str]:
    """Record 2's program, credit and source by dataset number."""
    found: dict[int, str] = {}
    at = 0
    for _ in range(MOST_PARTS):
        if at + 5 > len(data) or data[at] != 0x1C:
            break
        record, number = data[at + 1], data[at + 2]
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        if size & 0x8000:  # An extended dataset, larger than any text looked for.
            break
        if record == 2 and number in _WANTED:
            found.setdefault(number, decoded(data[at + 5 : at + 5 + size]).strip("\0 "))
        at += 5 + size
    return found
