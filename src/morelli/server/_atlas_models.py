"""The shapes of answers about atlases and reports. What routes send is checked against them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from morelli.server._models import Answer, Counts, EncoderBuild, SelectionAnswer


def _no_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def absent() -> Any:
    """A field that some answers lack: it has no default in the description, and is not required there."""
    return Field(default=None, json_schema_extra=_no_default)


class OpenAnswer(Answer):
    """An answer with these fields, and others that come from the user's own files."""

    model_config = ConfigDict(extra="allow")


Outcome = Literal["tn", "fp", "fn", "tp", "unanswered"]
Side = Literal["real", "fake"]


class CategoryName(Answer):
    """A name in a column to filter by."""

    name: str
    n: int = Field(description="Images that have it.")


class ColumnName(CategoryName):
    """A name in a column, among all images and in the selection."""

    selected: int = Field(description="Selected images that have it, the column's own condition left out.")


class ColumnView(Answer):
    """A column of the collection with counts; either `names`, or a histogram over `edges`."""

    name: str
    kind: Literal["category", "number", "date"]
    group: Literal["tags", "verdict", "image", "file", "manifest"]
    missing: int = Field(description="Images without a value.")
    missing_selected: int
    distinct: int | None = absent()
    names: list[ColumnName] | None = absent()
    edges: list[float] | None = absent()
    counts: list[int] | None = absent()
    selected: list[int] | None = absent()


class Tag(Answer):
    """A tag that people gave to images, among all images and in the selection."""

    name: str
    n: int
    selected: int


class CopyGroup(Answer):
    """One picture that occurs several times."""

    row: int = Field(description="Of its first image; `copies` in a selection takes it.")
    rows: list[int] = Field(description="The first 24 of its images.")
    labels: list[Literal["real", "fake", "unknown"]] = Field(description="Of those.")
    n: int
    selected: int | None = Field(description="Of its images; null where there is no selection.")
    real: int
    fake: int
    generators: list[str] = Field(description="The five most frequent of its generated images.")
    across: list[Literal["class", "generator"]] = Field(description="What its images straddle.")


class CopyGroups(Answer):
    """Near-duplicates, those across classes first, then those across generators, each kind by size."""

    total: int
    images: int = Field(description="In all groups.")
    across_class: int = Field(description="Groups of real and generated images.")
    across_generators: int = Field(description="Groups of generated images by several generators.")
    distance: int = Field(description="Bits of 64 in which perceptual hashes may differ; 0 in large atlases.")
    groups: list[CopyGroup]


class Found(Answer):
    """A search: `sort=near:ID` orders images by it while the server remembers it."""

    id: str
    by: Literal["image", "case", "text", "concepts", "selection"] = Field(
        description="`concepts`: words were looked up among named concepts, for want of a text tower."
    )
    note: str = Field(description="What the search can and cannot find, in one line.")
    rows: list[int] = Field(description="The nearest images, nearest first.")
    similarities: list[float] = Field(description="Their cosines.")


class FileAudit(OpenAnswer):
    """What the files' format, size and shape alone would score; empty without labels of both classes."""

    auc: float | None = absent()
    interval: tuple[float, float] | None = absent()
    importances: dict[str, float] | None = absent()
    n: int | None = absent()
    groups: int | None = absent()
    note: str | None = absent()


class AtlasInfo(OpenAnswer):
    """What an atlas is: its record, the names of its dimensions, columns to filter by, and counts."""

    name: str = Field(description="The name in addresses.")
    kind: str = Field(description="The feature kind that was distilled.")
    perturbation: str
    images: int
    labelled: int
    added: int
    dimensions: int
    patches: int
    grid: int = Field(description="Patches along a side of a relevance map.")
    levels: int = Field(description="The finest level of the overview; the coarsest is 0.")
    thresholds: tuple[float, float] = Field(
        description="Probabilities at and beyond which a verdict is given."
    )
    projection: str
    held_out: str
    build: EncoderBuild
    audit: FileAudit
    command: str
    version: str
    seed: int
    counts: Counts
    key: str = Field(description="Of the selection of all images.")
    names: list[str]
    weights: list[float]
    bias: float
    categories: dict[str, list[CategoryName]]
    auc: float | None = Field(description="Held out, of all labelled images.")
    has_maps: bool
    prototypes: int
    saved_selections: dict[str, dict[str, Any]]


class UnopenedAtlas(Answer):
    """An atlas that cannot be opened, and why."""

    name: str
    problem: str


class Atlases(Answer):
    """The atlases of this server."""

    atlases: list[AtlasInfo | UnopenedAtlas]


class GeneratorShare(Answer):
    """A generator or source whose images carry a prototype, or in which a dimension is strongest."""

    name: str | None
    count: int
    share: float | None
    lift: float | None


class DimensionView(Answer):
    """A distilled dimension: its impacts as histograms over the same bins, and the images at either end."""

    dimension: int
    name: str
    suggested: str
    note: str
    weight: float
    spread: float = Field(description="Standard deviation of its impacts.")
    off: bool
    edges: tuple[float, float] = Field(description="Where the histograms begin and end.")
    real: list[int]
    fake: list[int]
    selected: list[int] | None
    selected_mean: float | None = absent()
    auc_without: float | None
    lowest: list[int] = Field(description="Rows of the lowest impacts, without those that are 0.")
    highest: list[int]
    quiet: int = Field(description="Images about which it says nothing: their impact is 0.")
    generators: list[GeneratorShare] = Field(description="Whose images it is strongest in.")


class Exemplar(Answer):
    """A typical image with the box of its region, shares of the picture's sides."""

    row: int
    x0: float | None
    y0: float | None
    x1: float | None
    y1: float | None
    distance: float | None


class PrototypeView(Answer):
    """A prototype: what was found, what people said of it, and how many images carry it."""

    id: int
    dimension: int
    sign: int = Field(description="+1 where the pattern raises its dimension's value, -1 where it lowers it.")
    name: str
    suggested: str
    description: str = Field(description="Where in the picture it lies, in plain words.")
    note: str
    hidden: bool
    merged_into: int | None
    count: int
    images: int
    selected: int | None
    coverage: float | None
    purity_fake: float | None
    purity_low: float | None
    purity_high: float | None
    share_fake: float | None
    share_real: float | None
    mean_impact: float | None
    impact_low: float | None
    impact_high: float | None
    interval_level: float = Field(description="Coverage of both intervals, 0 to 1.")
    excess: float | None
    p_value: float | None
    p_raw: float | None
    stability: float | None
    surprise: float | None
    area: float | None
    centre_x: float | None
    centre_y: float | None
    file_confound: str | None
    generators: list[GeneratorShare]
    exemplars: list[Exemplar]


class WithoutPattern(Answer):
    """All images that carry a prototype: their scores and outcomes with it and without it."""

    images: int
    probability: float | None = Field(description="Mean held-out probability.")
    probability_without: float | None
    changed: int = Field(description="Verdicts that differ without it.")
    outcomes: dict[str, int]
    outcomes_without: dict[str, int]


class PatternImage(Answer):
    """An image that carries a prototype, with its held-out score as it is and without the pattern."""

    row: int
    label: Side | None
    impact: float
    logit: float
    logit_without: float
    probability: float
    probability_without: float


class PatternPage(Answer):
    """A prototype with its images, exemplars first, and what the scores would be without it."""

    prototype: PrototypeView
    typical: float = Field(description="Its dimension's impact where it has nothing to say.")
    without: WithoutPattern
    images: list[PatternImage]


class ImageRow(Answer):
    """An image of an atlas, judged by a fit that did not see its lineage or source."""

    row: int
    uri: str
    sha256: str
    generator: str | None
    source: str | None
    lineage: str | None
    width: int | None
    height: int | None
    format: str | None
    bytes: int | None
    label: Side | None
    probability: float
    verdict: Literal["ai", "real", "inconclusive"]
    error: Outcome | None
    impacts: list[float]
    prototypes: list[int]
    tags: list[str]


class Rows(Answer):
    """A page of the selected images in an order."""

    total: int
    offset: int
    rows: list[ImageRow]


class ImageDetail(ImageRow):
    """Everything known of one image, the columns of its manifest included."""

    model_config = ConfigDict(extra="allow")

    values: list[float]
    bias: float
    logit: float
    xy: tuple[float, float]
    available: bool
    file: Literal["there", "in-archive", "outside-roots", "gone"] = Field(
        description="Where the image's own file is; only one that is `there` can be shown whole."
    )


class DimensionNotes(Answer):
    """What people have said of a dimension; what nobody set is left out."""

    name: str | None = absent()
    note: str | None = absent()


class PrototypeNotes(Answer):
    """What people have said of a prototype; what nobody set is left out."""

    name: str | None = absent()
    note: str | None = absent()
    hidden: bool | None = absent()
    merged_into: int | None = absent()


class Rescored(Answer):
    """What switching dimensions off costs; `selection` holds the images whose verdict changes."""

    off: list[int]
    auc_before: float | None
    auc_after: float | None
    changed: int
    errors_before: dict[str, int]
    errors_after: dict[str, int]
    selection: SelectionAnswer


class EstimateAnswer(Answer):
    """A figure and its interval."""

    value: float | None
    low: float | None
    high: float | None


class ShareCalled(Answer):
    """A generator or a source: the share of its images that is called generated, with Wilson's interval."""

    name: str
    n: int
    flagged: float
    low: float
    high: float
    unanswered: float = Field(description="Share without an answer, at the atlas's own thresholds.")


class CalibrationBin(Answer):
    """A bin of the reliability curve: mean probability, and the share that is generated."""

    low: float
    high: float
    mean: float
    share: float
    n: int


class WorstCase(Answer):
    """An image whose label gets little probability."""

    row: int
    label: Side
    probability: float


class Confusion(Answer):
    """Images by outcome at the one threshold, which answers for every image."""

    tn: int
    fp: int
    fn: int
    tp: int


class Outcomes(Confusion):
    """Images by outcome at the atlas's two thresholds, between which there is no answer."""

    unanswered: int
    unanswered_real: int = Field(description="Of these the real ones.")


class Metrics(OpenAnswer):
    """Figures by name, each with its interval, and notes on how they were made."""

    __pydantic_extra__: dict[str, EstimateAnswer]

    auc: EstimateAnswer
    notes: list[str]


class Rates(Answer):
    """Rates at the threshold."""

    tpr: float
    fpr: float
    balanced_accuracy: float
    ppv: float | None = Field(description="Share of flagged images that are generated, at the base rate.")


class Evaluation(Answer):
    """Held-out figures of a selection; the last four need images of both classes."""

    n: int
    unlabelled: int
    threshold: float
    base_rate: float
    thresholds: tuple[float, float] = Field(description="The atlas's own, at even odds.")
    outcomes: Outcomes
    confusion: Confusion
    generators: list[ShareCalled]
    sources: list[ShareCalled]
    worst: list[WorstCase]
    off: list[int]
    audit: FileAudit
    held_out: str
    metrics: Metrics | None = absent()
    rates: Rates | None = absent()
    calibration: list[CalibrationBin] | None = absent()
    roc: list[tuple[float, float]] | None = absent()


class TransferMatrix(OpenAnswer):
    """AUC of a detector fitted on one generator (line) and tested on another (column)."""

    trained: list[str]
    tested: list[str]
    auc: list[list[float | None]]
    as_test: list[float | None]
    as_training: list[float | None]


class ReportResult(OpenAnswer):
    """One detector under one protocol."""

    protocol: str
    detector: str
    matrix: TransferMatrix | None = absent()


class WrittenReport(OpenAnswer):
    """`report.json` as a command wrote it; results are those of `morelli evaluate`."""

    name: str | None = absent()
    results: list[ReportResult] | None = absent()
