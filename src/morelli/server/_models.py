"""The shapes of requests, and of answers besides those of `inspection`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from morelli.images.layouts import LAYOUTS
from morelli.inspection.answers import Case, Second, Word

_LAYOUT = rf"^(auto|{'|'.join(LAYOUTS)})$"

Dimension = Annotated[
    str, Query(pattern=r"^(logit|[0-9]{1,3})$", description="A distilled dimension's number, or `logit`.")
]
CaseDimension = Annotated[
    str,
    Query(
        pattern=r"^(decision|logit|[0-9]{1,3})$",
        description="`decision`: the logit that decided, signed. A dimension's number or `logit`: of "
        "the other reader, not negative.",
    ),
]
Rate = Annotated[float, Field(gt=0, lt=1)]
_FPR = "Share of real images that may be called AI-generated; the bundle's by default."
JobState = Literal["waiting", "running", "done", "failed", "cancelled"]


class Answer(BaseModel):
    """An answer: exactly these fields."""

    model_config = ConfigDict(extra="forbid")


class Failure(Answer):
    """An image that could not be judged."""

    name: str
    reason: str
    message: str


class Detected(Answer):
    """What became of an upload."""

    cases: list[Case]
    failures: list[Failure]


class ArchiveMember(Answer):
    """One entry of an archive: a picture, or something that cannot be used."""

    name: str
    problem: str | None = Field(description="Why it cannot be judged, null where that is not known yet.")


class Archive(Answer):
    """An open archive and what is in it, in its order."""

    id: str
    name: str
    members: list[ArchiveMember]


class RequestBody(BaseModel):
    """A request's body: nothing but these fields."""

    model_config = ConfigDict(extra="forbid")


class EditStep(RequestBody):
    """One perturbation, such as jpeg 60, blur 1.5, resize 0.5, centercrop 0.9, screenshot."""

    name: Annotated[str, Field(max_length=32, pattern=r"^[a-z]+$")]
    value: Annotated[float | str | None, Field(union_mode="left_to_right")] = None


class WhatIf(RequestBody):
    """What to change: edits of the picture in order, and distilled dimensions to switch off."""

    edits: Annotated[list[EditStep], Field(max_length=8)] = []
    off: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=256)] = []
    base_rate: Rate | None = None
    fpr: Rate | None = Field(default=None, description=_FPR)


class WhatIfAnswer(Answer):
    """The case before and after; `after` is a case of its own, with picture and relevance."""

    edits: str
    off: list[int]
    before: Case
    after: Case


class JobRequest(RequestBody):
    """A folder, archive, manifest or image inside the allowed roots."""

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    base_rate: Rate | None = None
    fpr: Rate | None = Field(default=None, description=_FPR)
    label_from_folders: bool = Field(
        default=False, description="Take labels from folders named real, fake, 0_real, 1_fake, …"
    )
    layout: Annotated[str, Field(pattern=_LAYOUT)] | None = Field(
        default=None, description="Published layout that gives the labels; `auto` finds it."
    )
    image_column: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="A manifest's column of paths or pictures, instead of the usual names."
    )
    label_column: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="A manifest's column of labels, instead of `label`."
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
    second: Second | None = Field(description="Null where one detector judges alone.")


class JobResults(Answer):
    """A page of a job's results, in the order of the source."""

    total: int
    offset: int
    rows: list[JobRow]


PictureState = Literal["there", "no-path", "in-archive", "outside-roots", "unknown"]


class BankPicture(Answer):
    """Whether the picture of an image in the detector's bank can be shown."""

    id: str
    state: PictureState


class FeedbackRequest(RequestBody):
    """What a person thinks of a verdict; for a case, or for a row of an atlas."""

    case: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    atlas: Annotated[str, Field(max_length=200)] | None = None
    row: Annotated[int, Field(ge=0)] | None = None
    label: Literal["real", "fake", "unknown"]
    note: Annotated[str, Field(max_length=2000)] = ""


class BankDistances(Answer):
    """A picture as one bank of known images has it."""

    verdict: Word
    probability: float
    nearest_real: float | None = Field(description="Cosine distance of the nearest known real image.")
    nearest_fake: float | None = Field(description="Of the nearest known generated one.")


class Difference(Answer):
    """What putting a picture into the detector's bank would change about it, and about copies of it."""

    before: BankDistances
    after: BankDistances | None = Field(description="Null where the bank has the picture already.")
    known_as: Literal["real", "fake"] | None = Field(description="Its label in the bank, where it has it.")
    refit: bool = Field(description="The score comes from a fit, and moves only when that is done again.")


class FeedbackAnswer(Answer):
    """Where the feedback went."""

    stored: Literal["atlas", "file", "table"]
    place: str = Field(description="Name of the file or table.")
    replaced: Literal["real", "fake", "unknown"] | None = Field(
        description="What had been said of the image before."
    )
    kept: int = Field(description="Images of which something is said there.")
    difference: Difference | None = Field(description="Of cases only, and only with a bank.")


class Health(Answer):
    """The process is alive."""

    status: Literal["ok"]


class Readiness(Answer):
    """The encoder is loaded and images can be judged."""

    status: Literal["ready"]


class EncoderBuild(Answer):
    """An encoder's weights, preprocessing and dtype: what features and detectors are bound to."""

    encoder: str
    weights: str = Field(description="Their SHA-256.")
    transform: str
    dtype: str
    fingerprint: str = Field(description="Of the other four.")


class LoadedEncoder(EncoderBuild):
    """The encoder that judges images, where it runs, and the patches that it makes of one."""

    device: str
    patches: int


class DetectorThreshold(Answer):
    """A threshold on the logit, and the error rate that it stands for."""

    logit: float
    rate: float | None = Field(description="The rate asked for, null where none was.")
    observed: float | None = Field(description="Share of the `n` held-out scores beyond it.")
    n: int
    upper: float | None = Field(description="95 % upper bound of the true rate, were scores independent.")
    guaranteed: bool = Field(description="Whether `n` suffice to keep the expected rate at or below `rate`.")
    note: str


class DetectorThresholds(Answer):
    """Above `ai` an image is called AI-generated, at or below `real` it is called real."""

    ai: DetectorThreshold
    real: DetectorThreshold


class TrainingCounts(Answer):
    """Images that a detector was fitted to, null where it does not say. Thresholds count their deliveries."""

    n_real: int | None
    n_fake: int | None


class LoadedDetector(Answer):
    """A detector that judges images here."""

    name: str
    digest: str | None = Field(description="Of its folder.")
    kinds: list[str]
    base_rate: float
    thresholds: DetectorThresholds
    training: TrainingCounts
    licence: str


class LoadedBundle(LoadedDetector):
    """The detector whose verdicts are given."""

    bank: int = Field(description="Images in its bank.")


class SecondDetector(LoadedDetector):
    """The detector beside it."""

    encoder: EncoderBuild


class LoadedMap(Answer):
    """The distilled map of the other reader: its dimensions and their weights in the logit."""

    names: list[str]
    weights: list[float]
    digest: str | None
    relevance: bool = Field(description="Whether its relevance maps can be had.")


class ServerLimits(Answer):
    """What a request may hold, and how long a case is kept."""

    file_bytes: int
    request_bytes: int
    files: int
    pixels: int
    case_seconds: float


class QueueState(Answer):
    """Images that wait for the encoder, and how many it takes."""

    waiting: int
    images_per_second: float


class Info(Answer):
    """What this server has and allows."""

    morelli: str
    ready: bool
    problem: str | None = Field(description="Why images cannot be judged, where that is so.")
    bundle: LoadedBundle | None = Field(description="Null until it is loaded, like `encoder` and `queue`.")
    second: SecondDetector | None = Field(description="The detector beside it, where there is one.")
    encoder: LoadedEncoder | None
    distilled: LoadedMap | None
    concepts: list[str]
    atlases: list[str]
    reports: list[str]
    roots: list[str]
    collections: bool = Field(description="Atlases can be built here from folders.")
    keeps_uploads: bool
    takes_feedback: bool
    perturbations: list[str]
    limits: ServerLimits
    queue: QueueState | None


class Report(Answer):
    """A written evaluation report."""

    name: str
    title: str


class Counts(Answer):
    """Images of a selection: all, by label, and by outcome of the atlas's verdict."""

    count: int
    real: int
    fake: int
    fp: int
    fn: int
    tp: int
    tn: int
    unanswered: int = Field(description="Labelled images whose verdict is inconclusive: no error.")


class SelectionAnswer(Counts):
    """A selection: its key, which stands for it in addresses, its document, and counts."""

    key: str
    spec: dict[str, Any]


class DimensionFields(RequestBody):
    """What people say of a dimension."""

    name: Annotated[str, Field(max_length=4000)] = ""
    note: Annotated[str, Field(max_length=4000)] = ""


class PrototypeFields(RequestBody):
    """What people say of a prototype."""

    name: Annotated[str, Field(max_length=4000)] = ""
    note: Annotated[str, Field(max_length=4000)] = ""
    hidden: bool = False
    merged_into: Annotated[int, Field(ge=0)] | None = None


_WAS = "Fields as the client saw them, an empty name for the suggested one; if they differ by now, 412."


class DimensionEdit(DimensionFields):
    """What is to be said of a dimension."""

    was: DimensionFields | None = Field(default=None, description=_WAS)


class PrototypeEdit(PrototypeFields):
    """What is to be said of a prototype."""

    was: PrototypeFields | None = Field(default=None, description=_WAS)


class SearchQuery(RequestBody):
    """What to look for; exactly one of image, case, text and selection."""

    image: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Row of an image.")
    case: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description="Id of a picture that was sent to `/detect`."
    )
    text: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    selection: dict[str, Any] | None = Field(default=None, description="Images; their mean is looked for.")
    top: Annotated[int, Field(ge=1, le=10_000)] = 100


TagName = Annotated[str, Field(min_length=1, max_length=200)]


class TagChange(RequestBody):
    """Tags to give to the images of a selection, and tags to take from them."""

    selection: dict[str, Any] = Field(description='A selection document; {"and": []} is everything.')
    add: Annotated[list[TagName], Field(max_length=100)] = []
    remove: Annotated[list[TagName], Field(max_length=100)] = []
    count: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Images that the client saw selected; if there are others by now, 412.",
    )


class Rescore(RequestBody):
    """Dimensions to switch off."""

    off: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=1024)]
