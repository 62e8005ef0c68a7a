"""A report of one case as a single HTML file that opens anywhere: no script, every picture inside."""

from __future__ import annotations

import base64
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING

from morelli.reports._templates import page_environment
from morelli.reports.plots._relevance import relevance_png

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from jinja2 import Template

    from morelli.inspection.answers import Case, Evidence

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


@cache
def _template() -> Template:
    return page_environment().get_template("case.html.j2")


def case_page(
    case: Case,
    picture: bytes,
    reading: Evidence | None = None,
    logit_map: npt.NDArray[np.floating] | None = None,
) -> str:
    """The page of one case. Everything that came from outside (names, notes) is escaped by the template.

    Args:
        case: the answer about an image.
        picture: JPEG of what the encoder saw.
        reading: the case's logit by where the encoder read it; None where that cannot be said.
        logit_map: (g, g) signed, what each patch adds to it.

    Example:
        >>> import morelli
        >>> found = morelli.load().inspect("photo.jpg")
        >>> page = case_page(found.case, found.picture, found.reading, found.logit_map)
        >>> found.sentence in page
        True
    """
    from morelli.inspection import percent

    shown = None
    if logit_map is not None:
        shown = _inline(relevance_png(logit_map, SIZE, under=picture), "image/png")
    return _template().render(
        case=case,
        facts=asdict(case.facts),
        versions=asdict(case.versions),
        heading=HEADINGS[case.verdict],
        picture=_inline(picture, "image/jpeg"),
        map=shown,
        sums=[
            (title, one)
            for title, one in (
                ("By concepts and blocks", case.evidence),
                ("By where it was read", reading),
            )
            if one is not None
        ],
        percent=percent,
        claims=CLAIMS,
        strengths=STRENGTHS,
    )


def _inline(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
