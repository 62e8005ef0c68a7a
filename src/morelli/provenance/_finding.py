"""What a file says about itself: one finding for each place that says something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Kind = Literal["content_credentials", "iptc", "generator_metadata", "camera", "watermark"]
"""Which sort of evidence a finding is."""

Claim = Literal["generated", "edited_with_ai", "processed", "captured", "camera", "none"]
"""What the place claims: made by a generator; changed by one; made or changed by other software; recorded by
a device; camera data stand there; nothing of these."""

Strength = Literal["signed_trusted", "signed_unknown", "statement", "weak"]
"""What the claim is worth: signed by a certificate of the trust list; signed by one that is not on it;
written without a signature; a mark that anybody or any program may have left."""

SUSPICIOUS: Final = frozenset({"generated", "edited_with_ai"})
_CLAIMS: Final = ("generated", "edited_with_ai", "processed", "captured", "camera", "none")
_STRENGTHS: Final = ("signed_trusted", "signed_unknown", "statement", "weak")
SILENT: Final = (
    "The file says nothing about how it was made. That proves nothing: most programs and services remove "
    "such statements."
)


@dataclass(frozen=True)
class Finding:
    """One statement of a file about itself, and where it stands.

    Attributes:
        kind: see `Kind`.
        claims: see `Claim`; ``none`` for what is reported and claims nothing, such as a broken signature.
        strength: see `Strength`.
        sentence: the finding in words.
        place: where in the file it stands, such as ``PNG text 'parameters'``.
        tool: the program, service or camera that is named.
        version: its version, where one is named.
        details: what else the place says: model, seed, sampler, prompt, signer, lens; names to texts.
    """

    kind: Kind
    claims: Claim
    strength: Strength
    sentence: str
    place: str
    tool: str | None = None
    version: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON-ready values."""
        return {
            "kind": self.kind,
            "claims": self.claims,
            "strength": self.strength,
            "sentence": self.sentence,
            "place": self.place,
            "tool": self.tool,
            "version": self.version,
            "details": dict(self.details),
        }


@dataclass(frozen=True)
class Provenance:
    """What a file says about itself; evidence apart from any detector's verdict.

    It may raise suspicion and never lowers it: a camera's name is copied in a second, and a file without any
    statement proves nothing.

    Attributes:
        format: ``JPEG``, ``PNG``, … by content; None where the bytes are no accepted image.
        findings: the strongest first.
        notes: what could not be read, in words.
        watermarks: state of each watermark that was looked for: ``yes``, ``no`` or ``not available``; empty
            where none was looked for.

    Example:
        >>> Provenance("PNG").claims
        'none'
    """

    format: str | None
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    watermarks: Mapping[str, str] = field(default_factory=dict)

    @property
    def strongest(self) -> Finding | None:
        """The finding that weighs most: what raises suspicion before what does not, then by strength."""
        return self.findings[0] if self.findings else None

    @property
    def claims(self) -> Claim:
        """What the strongest finding claims; ``none`` without findings."""
        return self.findings[0].claims if self.findings else "none"

    @property
    def suspicious(self) -> bool:
        """True where the file says that a generator made or changed it. False means nothing."""
        return any(finding.claims in SUSPICIOUS for finding in self.findings)

    @property
    def sentence(self) -> str:
        """What to quote: the strongest finding, and where another contradicts it."""
        if not self.findings:
            return SILENT
        first = self.findings[0]
        others = {finding.claims for finding in self.findings[1:]}
        if first.claims in SUSPICIOUS and others & {"camera", "captured"}:
            return f"{first.sentence} It also carries camera data, which are easily copied."
        return first.sentence

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON-ready values."""
        return {
            "format": self.format,
            "claims": self.claims,
            "suspicious": self.suspicious,
            "sentence": self.sentence,
            "findings": [finding.to_json() for finding in self.findings],
            "notes": list(self.notes),
            "watermarks": dict(self.watermarks),
        }


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """The findings, the weightiest first, each once."""
    unique = list({(f.kind, f.claims, f.tool, f.place, f.sentence): f for f in findings}.values())
    return tuple(sorted(unique, key=_rank))


def plain(text: object, longest: int = 2000) -> str:
    """`text` without control characters, shortened to `longest` characters.

    >>> plain("a" + chr(27) + "[2Jb", 4)
    'a[2J…'
    """
    cut = str(text)[: longest + 1]
    clean = "".join(c if c.isprintable() or c == "\n" else "" for c in cut).strip()
    return clean if len(cut) <= longest else clean[:longest] + "…"


def details_of(pairs: Mapping[str, object]) -> dict[str, str]:
    """The pairs that say something, as short plain texts."""
    found = {name: plain(value) for name, value in pairs.items() if value is not None and value != ""}
    return {name: text for name, text in found.items() if text}


def _rank(finding: Finding) -> tuple[bool, int, int]:
    return (
        finding.claims not in SUSPICIOUS,
        _STRENGTHS.index(finding.strength),
        _CLAIMS.index(finding.claims),
    )
