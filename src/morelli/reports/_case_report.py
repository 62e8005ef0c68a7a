"""A report of one case as a single HTML file that opens anywhere: no script, every picture inside."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from morelli.reports._templates import page_environment
from morelli.reports.plots._relevance import relevance_png

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from morelli.inspection.answers import Case

MOST_PARTS = 3
SIZE = 224
HEADINGS = {
    "ai": "Signs of AI generation",
    "real": "No signs of AI generation",
    "inconclusive": "Inconclusive",
    "out_of_domain": "Out of domain",
}
CLAIMS = {
    "generated": "made by a generator",
    "edited_with_ai": "changed by a generator",
    "processed": "made or changed by software",
    "captured": "recorded by a device",
    "camera": "camera data stand there",
    "none": "claims nothing",
}
STRENGTHS = {
    "signed_trusted": "signed by a trusted signer",
    "signed_unknown": "validly signed by an unknown signer",
    "statement": "not signed: easily added, changed and removed",
    "weak": "weak: anybody or any program may have left it",
}


def case_page(case: Case, picture: bytes, maps: npt.NDArray[np.float32] | None) -> str:
    """The page of one case. Everything that came from outside (names, notes) is escaped by the template.

    Args:
        case: the answer about an image.
        picture: JPEG of what the encoder saw.
        maps: relevance (K + 1, g, g) ≥ 0, the logit's last; None where there is none.

    Example:
        >>> import morelli
        >>> found = morelli.load().inspect("photo.jpg")
        >>> page = case_page(found.case, found.picture, found.relevance)
        >>> found.sentence in page
        True
    """
    from morelli.inspection import percent

    return (
        page_environment()
        .get_template("case.html.j2")
        .render(
            case=case,
            facts=asdict(case.facts),
            versions=asdict(case.versions),
            heading=HEADINGS[case.verdict],
            picture=_inline(picture, "image/jpeg"),
            parts=[] if maps is None else _parts(case, picture, maps),
            percent=percent,
            claims=CLAIMS,
            strengths=STRENGTHS,
        )
    )


def _parts(case: Case, picture: bytes, maps: npt.NDArray[np.float32]) -> list[dict[str, Any]]:
    """The logit and the dimensions that weigh most, each with its pixels laid over the picture."""
    if case.distilled is None:
        return []
    impacts = case.distilled.impacts
    order = sorted(range(len(impacts)), key=lambda k: -abs(impacts[k]))[:MOST_PARTS]
    shown = [("All dimensions together", case.distilled.logit, len(impacts))]
    shown += [(case.distilled.names[k], impacts[k], k) for k in order]
    return [
        {
            "name": name,
            "impact": impact,
            "picture": _inline(
                relevance_png(maps[index], SIZE, towards_generated=impact > 0, under=picture), "image/png"
            ),
        }
        for name, impact, index in shown
    ]


def _inline(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
