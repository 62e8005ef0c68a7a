"""The process in which an atlas is built from a folder: the extraction and the build of the command line.

A process of its own can be ended at any moment, as an interrupted `morelli extract` or `morelli atlas build`
can: what is there stays usable, and the next run goes on with it. It reads its task, one line of JSON, from
its standard input and ends when that closes, so it never outlives the server. It writes lines of JSON to its
standard output: how far it is, and at the end what became of the build.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from morelli.artefacts import locked
from morelli.errors import MorelliError, UsageError
from morelli.server._settings import ServerSettings

if TYPE_CHECKING:
    from morelli.atlas import AtlasOptions
    from morelli.encoders import Build, Encoder
    from morelli.explanation.concepts import ConceptBank
    from morelli.images import ImageItem

NOTE = ".building.json"
LOCK_SECONDS = 10.0
KEPT_TOKENS = 5_000
"""Images up to which patch tokens are stored, 0.3 MB each for ViT-B/16; of more, images are encoded twice."""
FEW = 100
"""Images below which the map is laid out by principal components: neighbourhoods of so few mean little."""
READING: dict[str, dict[str, Any]] = {
    "folders": {"label_from": "folders"},
    "real": {"label": 0},
    "fake": {"label": 1},
    "unknown": {},
}
OPTIONS = {"folders": ["--label-from", "folders"], "real": ["--label", "real"], "fake": ["--label", "fake"]}


@dataclass
class BuildTask:
    """One build: images below `folder`, results as `NAME.lance` and `NAME.atlas` in `root`.

    labels: a key of `READING`. dimensions: ``shipped`` (the server's distilled map) or ``fitted``.
    """

    settings: ServerSettings
    root: Path
    folder: Path
    name: str
    labels: str
    dimensions: str

    def to_json(self) -> str:
        """One line."""
        names = ("name", "labels", "dimensions")
        return json.dumps(
            {name: getattr(self, name) for name in names}
            | {"settings": self.settings.to_json(), "root": str(self.root), "folder": str(self.folder)}
        )

    @classmethod
    def from_json(cls, text: str) -> BuildTask:
        """Read what `to_json` wrote."""
        found = json.loads(text)
        found["settings"] = ServerSettings.from_json(found["settings"])
        return cls(**found | {"root": Path(found["root"]), "folder": Path(found["folder"])})

    @property
    def table(self) -> Path:
        """Where the features go."""
        return self.root / f"{self.name}.lance"

    @property
    def atlas(self) -> Path:
        """Where the atlas goes."""
        return self.root / f"{self.name}.atlas"

    @property
    def note(self) -> Path:
        """What the atlas is made from, while it is not finished; its lock is held by who works at it."""
        return self.root / f"{self.name}{NOTE}"

    def items(self) -> Iterator[ImageItem]:
        """The images below the folder, without those that links place outside the collections' folder."""
        from morelli.images import Limits
        from morelli.server._paths import items_inside

        return items_inside(self.folder, [self.root], Limits(), READING[self.labels])


class _Lines:
    """Progress as JSON lines, at most ten a second."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._last, self._step = out, 0.0, ""

    def write(self, **values: Any) -> None:
        self._out.write(json.dumps(values) + "\n")
        self._out.flush()

    def step(self, step: str, done: int, total: int | None, failed: int = 0) -> None:
        now = time.monotonic()
        if step != self._step or done == total or now - self._last > 0.1:
            self._step, self._last = step, now
            self.write(step=step, done=done, total=total, failed=failed)


def run(task: BuildTask, lines: _Lines) -> dict[str, Any]:
    """Extract, build, and say what became of it; raises as `extract` and `build_atlas` do."""
    from morelli.atlas import AtlasOptions, build_atlas
    from morelli.detectors import Ensemble, default_bundle_path, load_detector
    from morelli.features import FeatureTable, extract
    from morelli.images.layouts import SourceReport

    settings = task.settings
    lines.step("listing", 0, None)
    count = _checked_count(task)
    lines.step("encoder", 0, None)
    detector = load_detector(settings.bundle or default_bundle_path())
    # An atlas is of one encoder; of an ensemble, that of the member with the largest weight.
    build = (detector.lead if isinstance(detector, Ensemble) else detector).build
    given = _map(settings, build) if task.dimensions == "shipped" else None
    kind = "final" if given is None else given.kind
    size = 16 if given is None else given.n_dimensions
    options = AtlasOptions(kind, size, projection="pca" if count < FEW else "tsne")
    encoder = _encoder(settings, build)
    block = _last_block_inputs(encoder, kind)
    kinds = _kinds(task.table, (kind, *(block or ())) if count <= KEPT_TOKENS else (kind,))
    understood = SourceReport()

    def advance(done: int, total: int | None, skipped: int, failed: int) -> None:
        lines.step("extracting", done + skipped + failed, count, failed)

    report = extract(
        task.items(), task.table, encoder=encoder, kinds=kinds, dtype="float16", total=count,
        progress=advance, understood=understood,
    )  # fmt: skip
    if not report.done + report.skipped:
        first = report.failed[0].message if report.failed else ""
        raise UsageError(f"No image of the folder could be read: {first}")
    made = build_atlas(
        FeatureTable.open(task.table),
        task.atlas,
        options,
        encoder=None if block is None else encoder,
        distilled=given,
        images=[task.root],
        concepts=_concepts(build, kind),
        command=_command(task, kinds, options),
        progress=lambda step, done, of: lines.step(step, done, of, len(report.failed)),
    )
    return {
        "images": made.record.images,
        "failed": len(report.failed),
        "reasons": dict(Counter(one.reason for one in report.failed)),
        "unlabelled": understood.unlabelled,
    }


def _checked_count(task: BuildTask) -> int:
    """How many images there are; raises UsageError where no atlas can be built of them."""
    most = task.settings.limits.job_images
    labels = [item.label for item in islice(task.items(), most + 1)]
    if len(labels) > most:
        raise UsageError(
            f"There are more than {most:,} images, the most of one build; choose a smaller folder."
        )
    if not labels:
        raise UsageError("There is no image in the folder; choose another one.")
    if task.dimensions == "fitted" and not {0, 1} <= set(labels):
        raise UsageError(
            "Dimensions are fitted to labelled images of both classes, and here one class has none. Put "
            "the images into folders named real and fake, or take the shipped dimensions."
        )
    return len(labels)


def _map(settings: ServerSettings, build: Build) -> Any:
    from morelli.atlas.distiller import DistilledMap, default_map_path

    found = DistilledMap.load(settings.distilled or default_map_path())
    found.build.require_same(build, what="the server's detector")
    return found


def _encoder(settings: ServerSettings, build: Build) -> Encoder:
    from morelli.encoders import EncoderSet, encoder_for_build

    how: dict[str, Any] = {"device": settings.device, "offline": settings.offline}
    if isinstance(settings.weights, tuple):
        return EncoderSet.for_builds(
            [build], encoder=settings.encoder, weights=settings.weights, **how
        ).encoders[0]
    return encoder_for_build(build, encoder=settings.encoder, weights=settings.weights, **how)


def _last_block_inputs(encoder: Encoder, kind: str) -> tuple[str, ...] | None:
    """The kinds that maps are read from; None where the encoder has no maps."""
    from morelli.encoders import LastBlock

    try:
        return LastBlock(encoder, kind).inputs
    except UsageError:
        return None


def _kinds(table: Path, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Those of an interrupted build's table, to which the rest is added; `wanted` where there is none."""
    from morelli.errors import ArtifactError
    from morelli.features import FeatureTable

    try:
        return FeatureTable.open(table).kinds
    except ArtifactError:
        return wanted


def _concepts(build: Build, kind: str) -> list[ConceptBank]:
    from morelli.explanation.concepts import ConceptBank, default_concepts_path

    shipped = ConceptBank.load(default_concepts_path())
    same = shipped.build is not None and shipped.build.fingerprint == build.fingerprint
    return [shipped] if same and shipped.kind == kind else []


def _command(task: BuildTask, kinds: tuple[str, ...], options: AtlasOptions) -> str:
    """What does the same on the command line."""
    given = task.settings.distilled
    extract = ["extract", str(task.folder), "-o", str(task.table), "--kinds", ",".join(kinds)]
    build = ["atlas", "build", str(task.table), "-o", str(task.atlas), "--projection", options.projection]
    build += ["--kind", options.kind, "--dimensions", str(options.dimensions)]
    if task.dimensions == "shipped":
        build += ["--distilled", "default" if given is None else str(given)]
    return "\n".join(
        shlex.join(["morelli", *words]) for words in ([*extract, *OPTIONS.get(task.labels, [])], build)
    )


def _end_with(stdin: TextIO) -> None:
    """End this process when the server's end of the pipe closes, however the server ended."""
    stdin.read()
    os._exit(1)


def main() -> None:
    """Read a task and do it."""
    # What libraries print must not be taken for progress.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    task = BuildTask.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with, args=(sys.stdin,), daemon=True).start()
    lines = _Lines(out)
    try:
        with locked(task.note, wait=LOCK_SECONDS):
            done = run(task, lines)
        lines.write(end="done", **done)
    except MorelliError as error:
        lines.write(end="failed", message=str(error))
    except Exception as error:
        traceback.print_exc()
        lines.write(end="failed", message=f"Something unexpected happened: {type(error).__name__}")


if __name__ == "__main__":
    main()
