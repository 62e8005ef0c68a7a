"""What IPTC and XMP fields say: the digital source type, the AI fields of 2025.1, credit lines of AI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from morelli.provenance._finding import SUSPICIOUS, Claim, Finding, details_of, plain
from morelli.provenance._iim import CREDIT
from morelli.provenance._metadata import Metadata
from morelli.provenance._source_type import SOURCE_TYPES, source_type
from morelli.provenance._xmp import BASIC, IPTC_EXT, PHOTOSHOP, Xmp

# Credit lines, to the letter: what these makers write, and what a photo agency never would.
CREDITS: Final[dict[str, tuple[str, Claim]]] = {
    "Made with Google AI": ("Google AI", "generated"),
    "Edited with Google AI": ("Google AI", "edited_with_ai"),
    "Apple Photos Clean Up": ("Apple Photos Clean Up", "edited_with_ai"),
}
_AI_FIELDS: Final = ("AISystemUsed", "AISystemVersionUsed", "AIPromptInformation", "AIPromptWriterName")


def iptc_findings(metadata: Metadata) -> Iterator[Finding]:
    """Findings from XMP and from IPTC-IIM."""
    xmp = metadata.xmp
    credit = _credit(metadata)
    typed = _source_type(xmp, credit) if xmp is not None else None
    if typed is not None:
        yield typed
    # Beside a source type the other fields are its details.
    if xmp is not None and typed is None:
        system = xmp.first(IPTC_EXT, "AISystemUsed")
        if system:
            yield _ai_system(xmp, system)
    if credit is not None and (typed is None or typed.claims not in SUSPICIOUS):
        place, line = credit
        tool, claims = CREDITS[line]
        verb = "was generated" if claims == "generated" else "was edited with generative AI"
        sentence = f"The credit line {line!r} says that the picture {verb}; nothing is signed."
        yield Finding("iptc", claims, "statement", sentence, place, tool, None, {"credit": line})


def _source_type(xmp: Xmp, credit: tuple[str, str] | None) -> Finding | None:
    # IPTC renamed the property's case once, and readers meet both.
    values = [
        value for name in ("DigitalSourceType", "DigitalsourceType") for value in _all(xmp, IPTC_EXT, name)
    ]
    terms = [term for term in map(source_type, values) if term]
    if not terms:
        return None
    # Several values: the one that raises suspicion is the one to know.
    term = min(terms, key=lambda name: list(SOURCE_TYPES).index(name))
    claims, words = SOURCE_TYPES[term]
    system = xmp.first(IPTC_EXT, "AISystemUsed")
    tool = system or (CREDITS[credit[1]][0] if credit else None)
    named = f" (it names {plain(tool, 80)})" if tool else ""
    sentence = (
        f"The metadata say that the picture is {words}{named}: IPTC digital source type {term}; "
        "nothing is signed."
    )
    details = {
        "digital source type": term,
        "creator tool": xmp.first(BASIC, "CreatorTool"),
        **_ai_details(xmp),
    }
    if credit:
        details["credit"] = credit[1]
    return Finding(
        "iptc",
        claims,
        "statement",
        sentence,
        f"DigitalSourceType in {xmp.place}",
        plain(tool, 80) if tool else None,
        plain(xmp.first(IPTC_EXT, "AISystemVersionUsed"), 60) or None,
        details_of(details),
    )


def _ai_system(xmp: Xmp, system: str) -> Finding:
    """A generator is named and no source type says whether it made or changed the picture."""
    sentence = (
        f"The metadata name {plain(system, 80)} as the AI system used for the picture; nothing is signed."
    )
    return Finding(
        "iptc",
        "edited_with_ai",
        "statement",
        sentence,
        f"AISystemUsed in {xmp.place}",
        plain(system, 80),
        plain(xmp.first(IPTC_EXT, "AISystemVersionUsed"), 60) or None,
        details_of(_ai_details(xmp)),
    )


def _ai_details(xmp: Xmp) -> dict[str, object]:
    found = {name: xmp.first(IPTC_EXT, name) for name in _AI_FIELDS}
    names = {"AIPromptInformation": "prompt", "AIPromptWriterName": "prompt writer"}
    spelled = {name: re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower() for name in _AI_FIELDS}
    return {names.get(name, spelled[name]): value for name, value in found.items()}


def _credit(metadata: Metadata) -> tuple[str, str] | None:
    """Place and words of a credit line that an AI tool writes."""
    if metadata.xmp is not None:
        line = metadata.xmp.first(PHOTOSHOP, "Credit")
        if line in CREDITS:
            return f"photoshop:Credit in {metadata.xmp.place}", line
    line = metadata.credit_lines.get(CREDIT, "")
    return ("IPTC credit line", line) if line in CREDITS else None


def _all(xmp: Xmp, namespace: str, name: str) -> list[str]:
    return xmp.properties.get((namespace, name), [])
