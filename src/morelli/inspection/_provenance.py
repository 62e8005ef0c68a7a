"""What a file says of itself, for its answer: evidence apart from the verdict on its pixels."""

from __future__ import annotations

from morelli.inspection.answers import ProvenanceFinding
from morelli.provenance import TrustList, read_provenance

# A crafted file may say far more than anybody reads; the answer stays small.
MOST_FINDINGS = 20
LONGEST = 300


def file_provenance(data: bytes, trust: TrustList | None = None) -> tuple[ProvenanceFinding, ...]:
    """The findings of `read_provenance`, the strongest first, without their details.

    Empty where the file says nothing or nothing can be read. It never raises for a file.

    Args:
        data: the whole file.
        trust: root certificates of signers that are trusted.

    Example:
        >>> file_provenance(b"no image")
        ()
    """
    try:
        found = read_provenance(data, trust=trust).findings
    except Exception:  # evidence beside the verdict: whatever a reader trips over, the image is judged
        return ()
    return tuple(
        ProvenanceFinding(
            kind=one.kind,
            claims=one.claims,
            strength=one.strength,
            tool=None if one.tool is None else _short(one.tool),
            version=None if one.version is None else _short(one.version),
            sentence=_short(one.sentence),
            where=_short(one.place),
        )
        for one in found[:MOST_FINDINGS]
    )


def _short(text: str) -> str:
    """One printable line of at most `LONGEST` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * LONGEST]).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
