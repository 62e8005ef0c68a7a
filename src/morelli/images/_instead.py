"""Tables and archives that are something else: what, and the next step."""

from __future__ import annotations

from morelli.errors import UsageError
from morelli.images._files import read_part
from morelli.images._item import printable
from morelli.images._sniff import sniff, stand_in

_HEAD = 4096
_WORKBOOK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # Excel until 2003
_JSON = (b"[{", b'{"')
_SHEETS = (b"[Content_Types].xml", b"_rels/", b"xl/", b"docProps/", b"mimetypeapplication/vnd.oasis")


class UnreadableTableError(UsageError):
    """A table that cannot be read; among several sources it does not end the reading of the others."""


def check_table(path: str, *, text: bool) -> None:
    """Refuse a table whose first bytes are those of something else; `text`: it should be CSV or JSON Lines.

    Raises:
        UnreadableTableError: what it is and the next step.
    """
    head = _head(path)
    found = stand_in(head, "file") or _archive(head)
    if found is None and text:
        found = _no_text(head)
    if found is None and path.lower().endswith((".csv", ".tsv")) and head.lstrip().startswith(_JSON):
        found = "JSON; write one object a line into a file with the suffix .jsonl"
    if found is not None:
        raise UnreadableTableError(f"{printable(path)} is {found}")


def instead_of_archive(path: str) -> str | None:
    """What a file that is named as an archive is instead, and the next step; None where nothing is known."""
    return stand_in(_head(path), "file")


def _head(path: str) -> bytes:
    try:
        return read_part(path, _HEAD)
    except (OSError, ValueError):
        return b""  # reading says why


def _archive(head: bytes) -> str | None:
    if head.startswith(b"PK\x03\x04"):
        if any(name in head[:200] for name in _SHEETS):
            return "a workbook; save the sheet as CSV in UTF-8"
        return "a zip archive; give it the suffix .zip, or unpack it"
    if head.startswith(_WORKBOOK):
        return "a workbook; save the sheet as CSV in UTF-8"
    if head.startswith(b"\x1f\x8b"):
        return "compressed by gzip; unpack it with gunzip first"
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return "compressed by Zstandard; unpack it with unzstd first"
    return None


def _no_text(head: bytes) -> str | None:
    if head.startswith(b"PAR1"):
        return "a Parquet file; give it the suffix .parquet"
    if (format := sniff(head)) is not None:
        return f"a picture ({format}); give it by a picture's name"
    marked = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    # Of Latin letters every second byte is 0 in UTF-16, three of four in UTF-32.
    share = head.count(0) / max(len(head), 1)
    if share > (0.6 if marked else 0.25):
        return "text in UTF-32, or in UTF-16 without a byte order mark, or no text; save it as UTF-8"
    return None
