"""Text from elsewhere within a page or a table for people: it is shown, and neither run nor followed."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

CSV_MARK = "\ufeff"
"""What a CSV file begins with: without it, spreadsheets take UTF-8 for the system's own encoding."""
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins with one of these is run by a spreadsheet."""

_MARKS = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"} | {mark: f"\\{mark}" for mark in "`[]\\"})


def visible(text: str) -> str:
    r"""The text with what cannot be seen as escapes: control characters, and those that turn its direction.

    Example:
        >>> visible("a\x1b[2Jb")
        'a\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def markdown_text(text: str) -> str:
    r"""The text as Markdown shows it: no HTML, no link, no image, no control character.

    A cell of a table needs its `|` escaped besides.

    Example:
        >>> markdown_text("<img src=x> of sd_xl")
        '&lt;img src=x&gt; of sd_xl'
    """
    return visible(text).translate(_MARKS)


def markdown_code(text: str) -> str:
    r"""The text in backticks, as code.

    Example:
        >>> markdown_code("morelli fit `x`")
        "`morelli fit 'x'`"
    """
    return f"`{visible(text).replace('`', chr(39))}`"


def markdown_page(text: str, links: Collection[str] = ()) -> str:
    r"""A whole page of Markdown in which names of others stand: no HTML but `<br>`, and no other links.

    Args:
        links: what the page itself links to, or shows as pictures.

    Example:
        >>> markdown_page("![plot](plot.png) of ![x](http://a/b.png) <script>", ["plot.png"])
        '![plot](plot.png) of ![x]\\(http://a/b.png) &lt;script>'
    """
    own = "|".join(re.escape(link) for link in links) or "(?!)"
    lines = []
    for line in text.split("\n"):
        shown = "<br>".join(visible(part).replace("<", "&lt;") for part in line.split("<br>"))
        shown = re.sub(rf"\](?=\()(?!\((?:{own})\))", r"]\\", shown)
        lines.append(re.sub(r"^(\s*\[[^\]]*\]):", r"\1\\:", shown))
    return "\n".join(lines)


def markdown_values(value: Any) -> Any:
    """A JSON value with `markdown_text` of every text in it, keys included."""
    if isinstance(value, str):
        return markdown_text(value)
    if isinstance(value, Mapping):
        return {markdown_values(key): markdown_values(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [markdown_values(inner) for inner in value]
    return value


def csv_cell(value: Any) -> Any:
    """A value for a CSV file that people open in a spreadsheet: a text that would be run gets an apostrophe.

    Numbers stay numbers, None becomes an empty cell.

    Example:
        >>> csv_cell("=1+1"), csv_cell(-0.5), csv_cell("a.jpg")
        ("'=1+1", -0.5, 'a.jpg')
    """
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_SIGNS) else value
    return "" if value is None else value


def csv_path(path: str) -> str:
    """A path for a CSV file: one that a spreadsheet would run begins with `./`, so that it is still the path.

    Example:
        >>> csv_path("=a.jpg"), csv_path("folder/=a.jpg")
        ('./=a.jpg', 'folder/=a.jpg')
    """
    return f"./{path}" if path.startswith(FORMULA_SIGNS) else path


def csv_table(header: Sequence[str], rows: Iterable[Sequence[Any]], *, mark: bool | None = None) -> str:
    """A CSV file that a spreadsheet opens with the right characters and without running anything.

    Columns called `path` and `uri` hold paths.

    Args:
        mark: begin with a byte order mark; None: only where other characters than ASCII need it.

    Example:
        >>> csv_table(("path", "generator"), [("=a.jpg", "-sd")]).splitlines()
        ['path,generator', "./=a.jpg,'-sd"]
    """
    text = "".join([csv_line(header, header), *(csv_line(header, row) for row in rows)])
    return CSV_MARK + text if (mark or (mark is None and not text.isascii())) else text


def csv_line(header: Sequence[str], row: Sequence[Any]) -> str:
    """One row of `csv_table`, for files that grow."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(
        csv_path(value) if name in ("path", "uri") and isinstance(value, str) else csv_cell(value)
        for name, value in zip(header, row, strict=True)
    )
    return text.getvalue()


_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([nrt]))")
_LETTERS = {"n": "\n", "r": "\r", "t": "\t"}


def written_names(shown: str) -> list[str]:
    r"""The names that a text may stand for in which what cannot be seen was written as escapes.

    The text itself comes first, as a name may hold a backslash. An escape of two digits beyond ASCII
    stands for a byte that is no UTF-8, or else for a character.

    Example:
        >>> written_names(r"a\x1b.png")
        ['a\\x1b.png', 'a\x1b.png']
        >>> written_names("a.png")
        ['a.png']
    """
    if "\\" not in shown:
        return [shown]

    def character(match: re.Match[str], surrogate: bool) -> str:
        if match[4]:
            return _LETTERS[match[4]]
        code = int(match[1] or match[2] or match[3], 16)
        if match[1] and code >= 0x80 and surrogate:
            return chr(0xDC00 + code)  # how Python holds a byte of a name that is no UTF-8
        return chr(code) if code <= 0x10FFFF else match[0]

    found = [shown]
    for surrogate in (True, False):
        found.append(_ESCAPE.sub(lambda match, s=surrogate: character(match, s), shown))  # type: ignore[misc]
    return list(dict.fromkeys(found))
