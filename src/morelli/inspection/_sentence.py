"""A verdict in words: one sentence that may be quoted, and one line for a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from morelli.detectors import Bundle, Ensemble, Verdict
    from morelli.inspection._case import StoredCase
    from morelli.inspection.answers import ProvenanceFinding, Second

_FOUND = {
    "ai": "finds signs that {name} was made by AI",
    "real": "finds no sign that {name} was made by AI",
    "inconclusive": "cannot decide whether {name} was made by AI",
    "out_of_domain": "knows no pictures like {name}, so its answer means little",
}
_CLAIM_SENTENCES = {
    "generated": ("was made with", "a generator"),
    "edited_with_ai": ("was changed with", "a generator"),
    "processed": ("was made or changed with", "software"),
    "captured": ("was recorded with", "a device"),
}
_WORTH = {
    "signed_trusted": "its signature is valid and its signer is trusted",
    "signed_unknown": "its signature is valid, its signer unknown",
    "statement": "this statement is not signed",
    "weak": "this is a weak mark, which any program may have left",
}
_LONGEST_TOOL = 60
_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»", "'"))
SHORT = {
    "ai": "AI-generated",
    "real": "real",
    "inconclusive": "inconclusive",
    "out_of_domain": "out of domain",
}


def sentence(
    stored: StoredCase, verdict: Verdict, bundle: Bundle | Ensemble, second: Second | None = None
) -> str:
    """A sentence to quote, with the probability, its interval, the assumption behind it and the version.

    Further ones say where a second detector disagrees, and where the file claims to be made, changed or
    recorded with something.
    """
    from morelli._version import __version__

    found = _FOUND[verdict.verdict].format(name=f"“{stored.name}”")
    if stored.edits:
        found += f" (after {stored.edits})"
    return (
        f"Morelli {__version__} with the detector {bundle.name} (build {bundle.build.fingerprint}) {found}: "
        f"the estimated probability is {percent(verdict.probability)} (interval {_ends(*verdict.interval)}), "
        f"assuming that {percent(bundle.base_rate)} of such pictures are generated. "
        f"{_members(verdict)}{_disagreeing(second)}This is a signal, not proof. {_bright(stored.facts.notes)}"
        f"{_claim_clause(stored.provenance)}"
        f"SHA-256 of the file: {stored.facts.sha256}."
    )


def _members(verdict: Verdict) -> str:
    """A sentence where the members of an ensemble disagree."""
    if verdict.ensemble is None or verdict.ensemble.sentence is None:
        return ""
    clause = verdict.ensemble.sentence
    return f"{clause[0].upper()}{clause[1:]}. "


def _disagreeing(second: Second | None) -> str:
    """A sentence where a second detector gives another answer."""
    if second is None or second.agreement != "disagree":
        return ""
    return (
        f"The second detector {second.name} (build {second.build}) disagrees and says "
        f"{SHORT[second.verdict]}, with a probability of {percent(second.probability)}. "
    )


def _bright(notes: Sequence[str]) -> str:
    """A sentence where a picture of high dynamic range was brought to the range that detectors know."""
    if not any(note.startswith("HDR (") for note in notes):
        return ""
    return "The picture has a high dynamic range and was judged as its tone-mapped version. "


def _claim_clause(findings: Sequence[ProvenanceFinding]) -> str:
    """What the file says of itself, as its strongest finding has it; empty where it claims nothing.

    Camera data alone are no claim: they name a camera, and are copied in a second. The tool stands short and
    in quotation marks, so that a crafted name cannot pass for words of this program.
    """
    if not findings or findings[0].claims not in _CLAIM_SENTENCES:
        return ""
    first = findings[0]
    verb, something = _CLAIM_SENTENCES[first.claims]
    tool = " ".join(filter(None, (first.tool, first.version))).translate(_QUOTES)
    if len(tool) > _LONGEST_TOOL:
        tool = tool[: _LONGEST_TOOL - 1] + "…"
    named = f"“{tool}”" if tool else something
    return f"The file says that it {verb} {named}; {_WORTH[first.strength]}. "


def verdict_line(name: str, verdict: str, probability: float, interval: tuple[float, float]) -> str:
    """One image in one line: its name, the verdict, the probability and its interval.

    >>> verdict_line("photo.jpg", "real", 0.12, (0.031, 0.31))
    'photo.jpg: real, 12 % (3-31 %)'
    """
    low, high = (f"{100 * end:.0f}" for end in interval)
    return f"{name}: {SHORT[verdict]}, {percent(probability)} ({low}-{high} %)"


def _ends(low: float, high: float) -> str:
    """An interval in words.

    >>> _ends(0.7, 0.973), _ends(0.9, 0.9999), _ends(0.995, 0.9999), _ends(0.0, 0.004)
    ('70 % to 97 %', '90 % to over 99 %', 'over 99 %', 'under 1 %')
    """
    ends = percent(low), percent(high)
    return ends[0] if ends[0] == ends[1] and not ends[0][0].isdigit() else f"{ends[0]} to {ends[1]}"


def percent(share: float) -> str:
    """A share in words that promise no certainty.

    >>> percent(0.973), percent(0.9999), percent(0.0)
    ('97 %', 'over 99 %', 'under 1 %')
    """
    if share > 0.99:
        return "over 99 %"
    if share < 0.01:
        return "under 1 %"
    return f"{100 * share:.0f} %"
