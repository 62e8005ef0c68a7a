"""The pages that people write, cut into their code blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(
    r"(?:^<!-- *(?P<mark>not run|fragment): *(?P<reason>[^>]*?) *-->\n)?"
    r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LANGUAGES = {"sh", "python", "json", "text", "output", "javascript"}
"""What stands behind the backquotes of a block. `output` is what the block before it prints."""


@dataclass(frozen=True)
class Block:
    """A code block: its page, its language, its text, its line, and why it is not run (empty: it is)."""

    page: str
    language: str
    text: str
    line: int
    excused: str

    @property
    def place(self) -> str:
        """Page and line."""
        return f"{self.page}:{self.line}"


def written_pages() -> list[str]:
    """README and the pages under docs that no script generates, relative to the repository."""
    generated = {"docs/cli.md", "docs/api.md"}
    pages = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md"))]
    return ["README.md", *(page for page in pages if page not in generated and "docs/api/" not in page)]


def blocks(page: str, text: str | None = None) -> list[Block]:
    """The code blocks of a page in their order.

    A comment `<!-- not run: REASON -->` or `<!-- fragment: REASON -->` right above a block excuses it.
    """
    text = (ROOT / page).read_text(encoding="utf-8") if text is None else text
    return [
        Block(
            page=page,
            language=found["language"],
            text=found["text"],
            line=text.count("\n", 0, found.start("language")) + 1,
            excused=found["reason"] or "",
        )
        for found in FENCE.finditer(text)
    ]
