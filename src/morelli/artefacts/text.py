"""Text from elsewhere within a page for people: it is shown, and neither run nor followed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

_MARKS = {"&": "&amp;", "<": "&lt;", ">": "&gt;"} | {mark: f"\\{mark}" for mark in "`[]\\"}


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
    return "".join(_MARKS.get(c, c) for c in visible(text))


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
