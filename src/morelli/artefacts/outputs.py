"""Recognition of this program's own outputs where images are looked for: they are no part of a collection.

A contact sheet, a chart or a table of verdicts often lies in the folder that it is about, and a report beside
it. Pictures say what they are in their own text (`MARK`), folders by their manifest.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection

MARK = "Morelli output"
"""What pictures that are results say of themselves: the text ``Software`` of a PNG, the comment of a JPEG."""

# With the lengths, so that no other text begins alike. The second was written until 2026-11.
_SOFTWARE = re.compile(
    rb"\0\0\0\x17tEXtSoftware\0Morelli output|\0\0\0\x1etEXtSoftware\0Morelli contact sheet"
)
_COMMENT = b"\xff\xfe\0\x10Morelli output"
_HEAD = 4096
TABLES = (".csv", ".jsonl", ".ndjson", ".parquet")
"""Suffixes of tables of verdicts."""
# The first columns of `morelli detect`'s tables, and how a line of its JSON Lines goes on.
_CSV = re.compile(rb"(?:\xef\xbb\xbf)?uri,sha256,label,generator,verdict,probability,")
_JSONL = re.compile(
    rb'\{"uri": "(?:[^"\\]|\\.)*", (?:"(?:label|generator)": "(?:[^"\\]|\\.)*", )*'
    rb'(?:"sha256": "[0-9a-f]{64}", "verdict": "|"error": \{"reason": ")'
)
_PARQUET = (b"probability_low", b"domain_distance", b"nearest_generated_similarity")
_LONGEST_FOOTER = 16 << 20

_FORMAT = re.compile(rb'\s*\{\s*"format": "morelli-(?!recipe")')  # plans of recipes are the user's own
# Data sets have sums and a report of their own, and packers a bundle.json: all of these are looked into.
_RESULTS = {
    "report.json": _FORMAT,
    "study.json": _FORMAT,
    "audit.json": re.compile(rb'\s*\{\s*"source": .*?"counts": \{\s*"real": ', re.DOTALL),
    "explanation.json": re.compile(rb'\s*\{\s*"first": .*?"second": .*?"kind": ', re.DOTALL),
    "analyses.json": re.compile(rb'\s*\{\s*"n": \d+,\s*"metadata_only": '),
}
_PARTS = (
    *({"_morelli", "_versions"}, {"_morelli", "data"}),  # a feature table, also one that was just begun
    *({"atlas.json", "images.lance"}, {"building.json", "distilled"}),
)
_MANIFESTS = dict.fromkeys(
    (
        *("bundle.json", "ensemble.json", "concepts.json", "map.json", "prototypes.json", "spelling.json"),
        "recipe.json",
    ),
    _FORMAT,
)
_LEFTOVER = re.compile(r"\..+\.morelli-[0-9a-f]{8}\.(?:new|old)")


def is_output_folder(path: str, names: Collection[str]) -> bool:
    """Whether a folder is an output of this program: a report, a bundle, a feature table, an atlas, …

    Folders of aligned copies are none: they hold pictures to be read.

    Args:
        path: the folder.
        names: of the entries in it.

    Example:
        >>> is_output_folder("F.lance", ["_morelli", "_versions", "data"])
        True
    """
    held = set(names)
    if _LEFTOVER.fullmatch(os.path.basename(path)):  # noqa: PTH119 - names may hold bytes that are no text
        return True
    if any(parts <= held for parts in _PARTS):
        return True
    looked_into = _MANIFESTS | _RESULTS if "SHA256SUMS" in held else _MANIFESTS
    return any(
        begins.match(_part(os.path.join(path, name), _HEAD)) is not None  # noqa: PTH118
        for name, begins in looked_into.items()
        if name in held
    )


def is_output_file(path: str) -> bool:
    """Whether a file is an output of this program: a contact sheet, a chart, or a table of verdicts.

    Manifests that it writes for other commands are none.

    Example:
        >>> is_output_file("photo.heic")
        False
    """
    name = path.lower()
    if not name.endswith(TABLES):
        return is_output_picture(_part(path, _HEAD))
    if name.endswith(".csv"):
        return _CSV.match(_part(path, _HEAD)) is not None
    if name.endswith((".jsonl", ".ndjson")):
        return _JSONL.match(_part(path, _HEAD)) is not None
    footer = _footer(path)
    return all(column in footer for column in _PARQUET)


def is_output_picture(head: bytes) -> bool:
    r"""Whether the first bytes of a picture say that it is an output of this program.

    Example:
        >>> is_output_picture(b"\x89PNG\r\n\x1a\n\0\0\0\x17tEXtSoftware\0Morelli output")
        True
    """
    if head.startswith(b"\x89PNG"):
        return _SOFTWARE.search(head) is not None
    return head.startswith(b"\xff\xd8") and _COMMENT in head


def _part(path: str, size: int, *, before_end: int | None = None) -> bytes:
    """Some bytes of a regular file, from its start or from a place before its end; none where it has none.

    A pipe or a device is neither waited for nor read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return b""
            if before_end is not None:
                file.seek(max(0, status.st_size - before_end))
            return file.read(size)
    except (OSError, ValueError):
        return b""


def _footer(path: str) -> bytes:
    """The beginning of a Parquet file's footer, which names the columns; empty where there is none."""
    tail = _part(path, 8, before_end=8)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or length > _LONGEST_FOOTER:
        return b""
    return _part(path, min(length, 2 * _HEAD), before_end=8 + length)
