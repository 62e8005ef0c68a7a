"""Options and arguments that several commands share, described once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class LabelSource(StrEnum):
    """Where labels may be taken from, besides the manifest."""

    folders = "folders"


class DeviceChoice(StrEnum):
    """Where the encoder runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Engine(StrEnum):
    """What runs the work."""

    local = "local"
    ray = "ray"


class DtypeChoice(StrEnum):
    """Dtype of the encoder's matrix products; part of the build."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    int8 = "int8"


class PrecisionChoice(StrEnum):
    """How verdicts are computed."""

    auto = "auto"
    exact = "exact"
    fast = "fast"
    fastest = "fastest"


class StoredFormat(StrEnum):
    """Dtype of stored vectors."""

    float16 = "float16"
    float32 = "float32"


Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH",
        show_default=False,
        help="Images, folders, globs, archives or manifests.",
        allow_dash=False,
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, max=4096, help="Images that the encoder sees at once.")]
Workers = Annotated[int, typer.Option(min=1, max=256, help="Threads that read and decode.")]
OptionalBatchSize = Annotated[
    int | None,
    typer.Option(min=1, max=4096, help="Images that the encoder sees at once; 4 on a CPU, 64 on a GPU."),
]
OptionalWorkers = Annotated[
    int | None, typer.Option(min=1, max=256, help="Threads that read and decode; one per core, at most 16.")
]
Device = Annotated[
    DeviceChoice, typer.Option(help="Where the encoder runs; auto takes a GPU if there is one.")
]
Dtype = Annotated[DtypeChoice, typer.Option(help="Dtype of the encoder; part of the build.")]
PrecisionOption = Annotated[
    PrecisionChoice,
    typer.Option(
        help="exact: float32. auto: bfloat16, or int8 where the processor has no bfloat16, and float32 near "
        "a threshold, where the detector says that verdicts stay, else exact. fast: int8, or bfloat16 where "
        "that is quicker, and float32 near a threshold. fastest: the same without float32."
    ),
]
FalseAlarmRate = Annotated[float, typer.Option(help="Share of real images that may be called AI-generated.")]
MissRate = Annotated[float, typer.Option(help="Share of generated images that may be called real.")]
Folds = Annotated[int, typer.Option(min=2, help="Folds of groups for held-out scores.")]
FoldSeed = Annotated[int, typer.Option(help="Seed of folds and bootstrap draws.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never use the network, not even for weights.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No table, no summary, no progress.")]
LabelFrom = Annotated[
    LabelSource | None,
    typer.Option(help="Take labels from folders named real, fake, 0_real, 1_fake and the like."),
]


class LayoutName(StrEnum):
    """Layouts of published collections; `morelli.images.layouts` reads them."""

    auto = "auto"
    genimage = "genimage"
    drct = "drct"
    forensynths = "forensynths"
    univfd = "univfd"
    aigcdetect = "aigcdetect"
    synthbuster = "synthbuster"
    diffusionforensics = "diffusionforensics"
    communityforensics = "communityforensics"
    openfake = "openfake"
    folders = "folders"


LayoutOption = Annotated[
    LayoutName | None,
    typer.Option(
        "--layout",
        help="Published layout that gives label, generator, split; auto finds it.",
    ),
]
ImageColumn = Annotated[
    str | None,
    typer.Option(metavar="NAME", show_default=False, help="A manifest's column of paths or pictures."),
]
LabelColumn = Annotated[
    str | None, typer.Option(metavar="NAME", show_default=False, help="A manifest's column of labels.")
]
Trust = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.pem",
        show_default=False,
        help="Root certificates of trusted signers; without them every valid signer is unknown.",
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        min=1,
        show_default=False,
        help="Largest width × height that is decoded; 120,000,000, of JPEGs twice as many at reduced scale.",
    ),
]
MaxFiles = Annotated[
    int | None,
    typer.Option(
        min=1,
        show_default=False,
        help="Most files of one folder or bucket, and members of one archive; 2,000,000.",
    ),
]
Remote = Annotated[
    bool,
    typer.Option(
        "--remote",
        help="Read addresses in manifests, too: their authors choose what is contacted.",
    ),
]
PerturbationId = Annotated[
    str | None,
    typer.Option(
        "--perturbation",
        "--delivery",
        metavar="ID",
        show_default=False,
        help="Which perturbation, where the table holds its images under several; clean for none.",
    ),
]
WeightsPath = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH", help="Model folder or weights file on this machine, instead of cache and network."
    ),
]
WeightsPaths = Annotated[
    list[Path] | None,
    typer.Option(
        "--weights",
        metavar="PATH",
        show_default=False,
        help="Model folder or weights file on this machine, instead of cache and network; again for each "
        "encoder of an ensemble.",
    ),
]
TrustedEncoder = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="OWNER/NAME",
        show_default=False,
        help="Encoder that made the features, where it is not registered and is to be fetched from the hub.",
    ),
]
EngineOption = Annotated[
    Engine,
    typer.Option("--engine", help="Where to work: this machine, or all machines of a Ray cluster."),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        show_default=False,
        help="Running Ray cluster; else RAY_ADDRESS, else Ray is started on this machine.",
    ),
]
RayActors = Annotated[
    int | None,
    typer.Option(min=1, show_default=False, help="Most workers, for a cluster that grows; else what fits."),
]
RayCpus = Annotated[
    int | None,
    typer.Option(min=1, show_default=False, help="Cores of one worker; those of a machine, at most 8."),
]
Root = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="What a manifest's paths are relative to, instead of its own folder."
    ),
]
