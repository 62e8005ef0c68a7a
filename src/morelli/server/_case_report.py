"""A report of one case as a single HTML file that opens anywhere: no script, every picture inside."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.server._overlay import relevance_png
from morelli.server._relevance import case_maps
from morelli.server._sentence import percent

if TYPE_CHECKING:
    from jinja2 import Template

    from morelli.server._cases import StoredCase
    from morelli.server._judge import Judge
    from morelli.server._models import Case

TEMPLATE = Path(__file__).parent / "templates" / "case.html"
MOST_PARTS = 3
SIZE = 224
HEADINGS = {
    "ai": "Signs of AI generation",
    "real": "No signs of AI generation",
    "inconclusive": "Inconclusive",
    "out_of_domain": "Out of domain",
}


def case_page(judge: Judge, stored: StoredCase, case: Case) -> str:
    """The page. Everything that came from outside (names, notes) is escaped by the template."""
    return _template().render(
        case=case,
        heading=HEADINGS[case.verdict],
        picture=_inline(stored.judged, "image/jpeg"),
        parts=_parts(judge, stored, case),
        percent=percent,
    )


def _parts(judge: Judge, stored: StoredCase, case: Case) -> list[dict[str, Any]]:
    """The logit and the dimensions that weigh most, each with its pixels laid over the picture."""
    if case.distilled is None or judge.last_block is None:
        return []
    maps = case_maps(judge, stored)
    impacts = case.distilled.impacts
    order = sorted(range(len(impacts)), key=lambda k: -abs(impacts[k]))[:MOST_PARTS]
    shown = [("All dimensions together", case.distilled.logit, len(impacts))]
    shown += [(case.distilled.names[k], impacts[k], k) for k in order]
    return [
        {
            "name": name,
            "impact": impact,
            "picture": _inline(
                relevance_png(maps[index], SIZE, towards_generated=impact > 0, under=stored.judged),
                "image/png",
            ),
        }
        for name, impact, index in shown
    ]


def _inline(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    return Environment(autoescape=True, undefined=StrictUndefined).from_string(
        TEMPLATE.read_text(encoding="utf-8")
    )
