"""The shapes of answers about one image: plain values, of which the HTTP interface's description is made.

They are standard dataclasses. What their fields mean, and their ranges, stand in each field's metadata under
the names that pydantic reads (`description`, `ge`, `le`), so that FastAPI describes and serves them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval

Share = Annotated[float, Interval(ge=0, le=1)]
"""A probability or a share, 0 to 1."""
Word = Literal["ai", "real", "inconclusive", "out_of_domain"]
"""The verdict."""
Opinion = Literal["ai", "real", "inconclusive"]
"""What a member of an ensemble says."""
Agreement = Literal["agree", "disagree", "one_answers", "neither_answers"]
"""Two detectors: both give the same answer, different answers, only one answers, or neither does."""
# The words of `morelli.provenance.Finding`, whose values are checked against these where they are copied.
Kind = Literal["content_credentials", "iptc", "generator_metadata", "camera", "watermark"]
"""Which sort of evidence a finding is."""
Claim = Literal["generated", "edited_with_ai", "processed", "captured", "camera", "none"]
"""What a place in a file claims."""
Strength = Literal["signed_trusted", "signed_unknown", "statement", "weak"]
"""What a claim is worth."""
Precision = Literal["auto", "exact", "fast", "fastest"]
"""How features are to be computed, see `morelli.load`."""

COLUMNS: dict[str, type] = {
    "uri": str,
    "sha256": str,
    "label": str,
    "generator": str,
    "verdict": str,
    "probability": float,
    "probability_low": float,
    "probability_high": float,
    "logit": float,
    "domain_distance": float,
    "nearest_generated": str,
    "nearest_generated_similarity": float,
    "nearest_real": str,
    "nearest_real_similarity": float,
    "reasons": str,
    "width": int,
    "height": int,
    "format": str,
    "bytes": int,
    "notes": str,
    "error": str,
    "error_message": str,
    "provenance": str,
    "family": str,
    "family_probability": float,
    "stability_low": float,
    "stability_high": float,
    "flips": bool,
}
"""Columns of a flat table of verdicts (CSV, Parquet) of the command line, of a job and of the app."""

SECOND_COLUMNS: dict[str, type] = {
    "second_verdict": str,
    "second_probability": float,
    "second_low": float,
    "second_high": float,
    "agreement": str,
}
"""More of them where a second detector judges beside the first."""


class Answer:
    """An answer: exactly these fields."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class Thresholds(Answer):
    """The detector's two thresholds as probabilities at the answer's base rate."""

    ai: Share = field(metadata={"description": "Above it an image is called AI-generated."})
    real: Share = field(metadata={"description": "At or below it an image is called real."})


@dataclass(frozen=True, kw_only=True)
class Facts(Answer):
    """What the file is, apart from its picture."""

    format: str
    mode: str
    width: int
    height: int
    bytes: int
    sha256: str
    frames: int
    jpeg_quality: int | None
    has_icc: bool
    has_exif: bool
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class ProvenanceFinding(Answer):
    """One statement of the file about itself: it may raise suspicion, and never lowers it."""

    kind: Kind
    claims: Claim
    strength: Strength
    tool: str | None = field(metadata={"description": "The program, service or camera that is named."})
    version: str | None
    sentence: str
    where: str = field(metadata={"description": "The place in the file."})


@dataclass(frozen=True, kw_only=True)
class Distilled(Answer):
    """Another reader of the image, a distilled map, whose dimensions may have names; it decides nothing.

    `bias` and the impacts that are not off sum to its own `logit`, which is not the case's.
    """

    values: list[float]
    impacts: list[float] = field(
        metadata={"description": "Signed shares of this reader's logit, positive towards generated."}
    )
    bias: float
    logit: float = field(metadata={"description": "This reader's own, not the one that decided."})
    agrees: bool = field(
        metadata={"description": "True where it is on the same side of even odds as the detector."}
    )
    names: list[str]
    off: list[int] = field(metadata={"description": "Dimensions that do not count."})


@dataclass(frozen=True, kw_only=True)
class EvidencePart(Answer):
    """One named share of a logit."""

    name: str
    logit: float
    amount: float | None = field(
        default=None, metadata={"description": "Standard deviations from a typical real image, for concepts."}
    )


@dataclass(frozen=True, kw_only=True)
class Evidence(Answer):
    """The logit that decided as bias, named parts and a rest, which sum to it.

    ``decision``: by named concepts and blocks of the encoder. ``reading``: by where the encoder read it: the
    picture, early and late, and what it works out of that. ``concepts``: by named concepts alone, with
    everything else in the rest.
    """

    of: Literal["decision", "reading", "concepts"]
    logit: float = field(metadata={"description": "The case's."})
    bias: float = field(metadata={"description": "What the same weights give a typical real image."})
    parts: list[EvidencePart] = field(metadata={"description": "The largest first."})
    rest: float = field(metadata={"description": "Rounding, below 1e-9; for `concepts`, what has no name."})
    sentences: list[str]


@dataclass(frozen=True, kw_only=True)
class NeighborAnswer(Answer):
    """A member of the detector's bank."""

    id: str
    name: str | None
    generator: str | None
    label: Literal["real", "fake"]
    distance: float = field(metadata={"description": "Cosine distance."})


@dataclass(frozen=True, kw_only=True)
class Neighbors(Answer):
    """The nearest members of the bank, the nearest first."""

    fake: list[NeighborAnswer]
    real: list[NeighborAnswer]


@dataclass(frozen=True, kw_only=True)
class Family(Answer):
    """A family of generators that an AI-generated image resembles."""

    family: str
    probability: Share = field(metadata={"description": "Calibrated, that the image is of this family."})


@dataclass(frozen=True, kw_only=True)
class MemberOpinion(Answer):
    """What one member of an ensemble says by itself."""

    name: str
    encoder: str
    dtype: str = field(metadata={"description": "Dtype that the member was fitted on."})
    weight: Share = field(metadata={"description": "Its share of the combination."})
    probability: Share = field(metadata={"description": "Its own, at the base rate of the answer."})
    verdict: Opinion = field(metadata={"description": "By its own thresholds alone."})


@dataclass(frozen=True, kw_only=True)
class Ensemble(Answer):
    """What the members of an ensemble say, and whether they disagree."""

    members: list[MemberOpinion]
    spread: Share = field(metadata={"description": "Range of the members' probabilities at even odds."})
    limit: Share = field(metadata={"description": "Spread that few held-out images exceed."})
    contradict: bool = field(metadata={"description": "True where one member says ai and another real."})
    unusual: bool = field(metadata={"description": "True where the spread is above the limit."})
    withheld: bool = field(
        metadata={"description": "True where there is no answer because the members contradict each other."}
    )
    disagree: bool = field(metadata={"description": "True where they contradict, or the spread is unusual."})
    sentence: str | None = field(metadata={"description": "In words, where they disagree."})


@dataclass(frozen=True, kw_only=True)
class Second(Answer):
    """What a second detector says of the same image. It moves nothing of the first one's answer."""

    name: str
    digest: str | None = field(metadata={"description": "SHA-256 of the detector's folder."})
    build: str = field(metadata={"description": "Fingerprint of the encoder's build."})
    encoder: str
    precision: str = field(metadata={"description": "How its features were computed."})
    verdict: Word
    probability: Share = field(metadata={"description": "At the base rate of the first one's answer."})
    interval: tuple[Share, Share]
    thresholds: Thresholds
    logit: float
    agreement: Agreement = field(
        metadata={
            "description": "`disagree`: one says ai and the other real. `one_answers`: one says ai or real, "
            "the other is inconclusive or out of domain. `neither_answers`: both are."
        }
    )
    sentence: str = field(metadata={"description": "Both verdicts in words."})


@dataclass(frozen=True, kw_only=True)
class Delivery(Answer):
    """One way in which the image might have been delivered, and the probability then."""

    delivery: str
    probability: Share
    verdict: Word


@dataclass(frozen=True, kw_only=True)
class Stability(Answer):
    """How the probability moves under ordinary re-delivery: re-encoding, scaling, cropping."""

    low: Share
    high: Share
    flips: bool = field(
        metadata={"description": "True where some delivery is called AI-generated and another real."}
    )
    deliveries: list[Delivery]


@dataclass(frozen=True, kw_only=True)
class Versions(Answer):
    """What judged: names, versions and hashes, so that an answer can be traced and repeated."""

    morelli: str
    bundle: str
    bundle_digest: str | None
    build: str
    encoder: str
    weights: str
    transform: str
    dtype: str
    precision: str = field(metadata={"description": "How features were computed; `dtype` is the build's."})
    device: str
    runtime: str = field(metadata={"description": "The library that computed the features and its version."})
    distilled_digest: str | None


@dataclass(frozen=True, kw_only=True)
class Case(Answer):
    """One judged image."""

    id: str = field(
        metadata={"description": "SHA-256 of the file; of the file and the edits for an edited one."}
    )
    name: str
    verdict: Word
    probability: Share
    interval: tuple[Share, Share]
    thresholds: Thresholds
    base_rate: Share
    reasons: list[str]
    family: Family | None = field(
        metadata={"description": "Null where the verdict is another than ai, or no known family is likely."}
    )
    ensemble: Ensemble | None = field(
        metadata={"description": "Null where one detector judged, and not an ensemble of several."}
    )
    second: Second | None = field(metadata={"description": "Null where one detector judges alone."})
    sentence: str = field(metadata={"description": "A sentence to quote."})
    facts: Facts
    provenance: list[ProvenanceFinding] = field(
        metadata={
            "description": "What the file says of itself, the strongest first; it moves no verdict, and an "
            "empty list proves nothing."
        }
    )
    logit: float
    domain_distance: float | None
    evidence: Evidence | None = field(
        metadata={
            "description": "`logit` as a sum; null where nearest neighbours decide, which are then the "
            "evidence."
        }
    )
    readable: bool = field(
        metadata={"description": "True where it can be said which patches `logit` was read from."}
    )
    distilled: Distilled | None = field(
        metadata={"description": "Another reader; null where the server has no distilled map."}
    )
    neighbors: Neighbors
    stability: Stability | None
    edits: str | None = field(
        metadata={"description": "What was done to the picture, null for the picture as it came."}
    )
    derived_from: str | None = field(
        metadata={"description": "The case of the original, for an edited picture."}
    )
    versions: Versions
