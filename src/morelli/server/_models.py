"""The shapes of requests and answers; the description of the interface is made from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Word = Literal["ai", "real", "inconclusive", "out_of_domain"]
Dimension = Annotated[
    str, Query(pattern=r"^(logit|[0-9]{1,3})$", description="A distilled dimension's number, or `logit`.")
]
JobState = Literal["waiting", "running", "done", "failed", "cancelled"]


class Answer(BaseModel):
    """An answer: exactly these fields."""

    model_config = ConfigDict(extra="forbid")


class Thresholds(Answer):
    """The detector's two thresholds as probabilities at the answer's base rate."""

    ai: Share = Field(description="Above it an image is called AI-generated.")
    real: Share = Field(description="At or below it an image is called real.")


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


class Distilled(Answer):
    """The distilled dimensions of an image: `bias` and the impacts that are not off sum to `logit`."""

    values: list[float]
    impacts: list[float] = Field(description="Signed shares of the logit, positive towards generated.")
    bias: float
    logit: float
    probability: Share
    names: list[str]
    off: list[int] = Field(description="Dimensions that do not count.")


class EvidencePart(Answer):
    """One named share of a logit."""

    name: str
    logit: float
    amount: float | None = Field(
        default=None, description="Standard deviations from a typical real image, for concepts."
    )


class Evidence(Answer):
    """A logit as bias, named parts and a rest, which sum to it."""

    of: Literal["distilled", "concepts"]
    logit: float
    bias: float
    parts: list[EvidencePart]
    rest: float
    sentences: list[str]


class NeighborAnswer(Answer):
    """A member of the detector's bank."""

    id: str
    name: str | None
    generator: str | None
    label: Literal["real", "fake"]
    distance: float = Field(description="Cosine distance.")


class Neighbors(Answer):
    """The nearest members of the bank, the nearest first."""

    fake: list[NeighborAnswer]
    real: list[NeighborAnswer]


class Delivery(Answer):
    """One way in which the image might have been delivered, and the probability then."""

    delivery: str
    probability: Share
    verdict: Word


class Stability(Answer):
    """How the probability moves under ordinary re-delivery: re-encoding, scaling, cropping."""

    low: Share
    high: Share
    flips: bool = Field(description="True where some delivery is called AI-generated and another real.")
    deliveries: list[Delivery]


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
    device: str
    distilled_digest: str | None


class Case(Answer):
    """One judged image."""

    id: str = Field(description="SHA-256 of the file; of the file and the edits for an edited one.")
    name: str
    verdict: Word
    probability: Share
    interval: tuple[Share, Share]
    thresholds: Thresholds
    base_rate: Share
    reasons: list[str]
    sentence: str = Field(description="A sentence to quote.")
    facts: Facts
    logit: float
    domain_distance: float | None
    distilled: Distilled | None = Field(description="Null where the server has no distilled map.")
    evidence: Evidence | None = Field(description="The distilled parts, or concepts where there is no map.")
    neighbors: Neighbors
    stability: Stability | None
    edits: str | None = Field(description="What was done to the picture, null for the picture as it came.")
    derived_from: str | None = Field(description="The case that was edited.")
    versions: Versions


class Failure(Answer):
    """An image that could not be judged."""

    name: str
    reason: str
    message: str


class Detected(Answer):
    """What became of an upload."""

    cases: list[Case]
    failures: list[Failure]


class Asked(BaseModel):
    """A request's body: nothing but these fields."""

    model_config = ConfigDict(extra="forbid")


class EditStep(Asked):
    """One perturbation, such as jpeg 60, blur 1.5, resize 0.5, centercrop 0.9, screenshot."""

    name: Annotated[str, Field(max_length=32, pattern=r"^[a-z]+$")]
    value: Annotated[float | str | None, Field(union_mode="left_to_right")] = None


class WhatIf(Asked):
    """What to change: edits of the picture in order, and distilled dimensions to switch off."""

    edits: Annotated[list[EditStep], Field(max_length=8)] = []
    off: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=256)] = []
    base_rate: Annotated[float, Field(gt=0, lt=1)] | None = None


class WhatIfAnswer(Answer):
    """The case before and after; `after` is a case of its own, with picture and relevance."""

    edits: str
    off: list[int]
    before: Case
    after: Case


class JobRequest(Asked):
    """A folder, archive, manifest or image inside the allowed roots."""

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    base_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    label_from_folders: bool = Field(
        default=False, description="Take labels from folders named real, fake, 0_real, 1_fake, …"
    )


class Job(Answer):
    """A batch and how far it is."""

    id: str
    path: str
    state: JobState
    done: int
    failed: int
    total: int | None = Field(description="Null until the source has been listed.")
    counts: dict[str, int] = Field(description="Images by verdict.")
    seconds: float
    message: str


class JobRow(Answer):
    """One image of a job: either a verdict or a failure."""

    uri: str
    label: Literal["real", "fake"] | None
    verdict: Word | None
    probability: float | None
    interval: tuple[float, float] | None
    logit: float | None
    sha256: str | None
    width: int | None
    height: int | None
    format: str | None
    reasons: list[str]
    failure: str | None
    message: str | None


class JobResults(Answer):
    """A page of a job's results, in the order of the source."""

    total: int
    offset: int
    rows: list[JobRow]


class FeedbackRequest(Asked):
    """What a person thinks of a verdict; for a case, or for a row of an atlas."""

    case: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    atlas: Annotated[str, Field(max_length=200)] | None = None
    row: Annotated[int, Field(ge=0)] | None = None
    label: Literal["real", "fake", "unknown"]
    note: Annotated[str, Field(max_length=2000)] = ""


class FeedbackAnswer(Answer):
    """Where the feedback went."""

    stored: Literal["atlas", "file"]


class Health(Answer):
    """The process is alive."""

    status: Literal["ok"]


class Readiness(Answer):
    """The encoder is loaded and images can be judged."""

    status: Literal["ready"]


class Info(Answer):
    """What this server has and allows."""

    morelli: str
    ready: bool
    problem: str | None = Field(description="Why images cannot be judged, where that is so.")
    bundle: dict[str, Any] | None
    encoder: dict[str, Any] | None
    distilled: dict[str, Any] | None
    concepts: list[str]
    atlases: list[str]
    reports: list[str]
    roots: list[str]
    keeps_uploads: bool
    takes_feedback: bool
    perturbations: list[str]
    limits: dict[str, float]
    queue: dict[str, float]


class Report(Answer):
    """A written evaluation report."""

    name: str
    title: str


class SelectionAnswer(Answer):
    """A selection: its key, which stands for it in addresses, its document, and counts."""

    key: str
    spec: dict[str, Any]
    count: int
    real: int
    fake: int
    fp: int
    fn: int
    tp: int
    tn: int


class DimensionEdit(Asked):
    """What people say of a dimension."""

    name: Annotated[str, Field(max_length=4000)] = ""
    note: Annotated[str, Field(max_length=4000)] = ""


class PrototypeEdit(Asked):
    """What people say of a prototype."""

    name: Annotated[str, Field(max_length=4000)] = ""
    note: Annotated[str, Field(max_length=4000)] = ""
    hidden: bool = False
    merged_into: Annotated[int, Field(ge=0)] | None = None


class Rescore(Asked):
    """Dimensions to switch off."""

    off: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=1024)]
