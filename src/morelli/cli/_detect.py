"""`morelli detect`: verdicts on images."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from morelli.cli._console import console, error_console, progress
from morelli.cli._encoder_loading import detector_encoder, weights_progress
from morelli.cli._errors import outcome, warn
from morelli.cli._failures import print_failures
from morelli.cli._options import (
    BatchSize,
    Device,
    DeviceChoice,
    Engine,
    EngineOption,
    ImageColumn,
    LabelColumn,
    LabelFrom,
    LayoutOption,
    MaxFiles,
    MaxPixels,
    Offline,
    PrecisionChoice,
    PrecisionOption,
    Quiet,
    RayActors,
    RayAddress,
    RayCpus,
    Remote,
    Root,
    Sources,
    Trust,
    TrustedEncoder,
    WeightsPaths,
    Workers,
)
from morelli.cli._output_names import SHEETS, check_outputs
from morelli.cli._outputs import Csv, JsonDocument, JsonLines, Output, Parquet
from morelli.cli._sources import engine_of, limits_of, print_source_report, reading_of
from morelli.cli._verdict_table import SHOWN, Summary, key, statements, verdict_table, why
from morelli.errors import SourceError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from morelli.detectors import Bundle, Ensemble
    from morelli.images import ImageItem
    from morelli.inspection import Detection, Inspector
    from morelli.reports import Picture

SHEET_LIMIT = 200
SECTIONS = {None: "", 0: "labelled real", 1: "labelled fake"}


def detect(
    paths: Sources,
    *,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            "-b",
            help="Detector to use: the folder of a bundle or an ensemble; else the shipped one.",
        ),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="A second detector, whose verdicts stand beside the first one's."
        ),
    ] = None,
    fpr: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of real images that may be called AI-generated."),
    ] = None,
    base_rate: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of AI-generated images you expect; shifts probabilities."),
    ] = None,
    json_document: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    jsonl: Annotated[
        str | None, typer.Option(metavar="FILE", help="JSON Lines, one image a line; - is stdout.")
    ] = None,
    csv: Annotated[
        str | None, typer.Option(metavar="FILE", help="CSV, one image a line; - is stdout.")
    ] = None,
    parquet: Annotated[str | None, typer.Option(metavar="FILE", help="Parquet, one image a row.")] = None,
    sheet: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.png",
            help=f"Contact sheet, as PNG or JPEG: the first {SHEET_LIMIT} pictures with their verdicts.",
        ),
    ] = None,
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough",
            help="Also judge each image after re-encoding, scaling and cropping: the range of its "
            "probability and whether the verdict flips. Eight times the work.",
        ),
    ] = False,
    label_from: LabelFrom = None,
    layout: LayoutOption = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    root: Root = None,
    remote: Remote = False,
    trust: Trust = None,
    max_pixels: MaxPixels = None,
    max_files: MaxFiles = None,
    encoder: TrustedEncoder = None,
    weights: WeightsPaths = None,
    batch_size: BatchSize = 16,
    workers: Workers = 2,
    device: Device = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.auto,
    offline: Offline = False,
    engine: EngineOption = Engine.local,
    ray_address: RayAddress = None,
    ray_actors: RayActors = None,
    ray_cpus: RayCpus = None,
    quiet: Quiet = False,
) -> None:
    """Say of each image whether it was made by AI: verdict, probability with interval, nearest evidence.

    PATH is an image, a folder (searched through), a glob, a zip or tar, or a CSV or Parquet manifest.
    Nothing is unpacked, and nothing leaves this machine. The encoder's weights are fetched on first use and
    checked; from then on the command works offline.

    There are four verdicts: AI-generated, real, inconclusive (the evidence does not decide) and out of
    domain (nothing in the bank is like this picture, so no answer would mean anything).

    Examples:

        morelli detect photo.jpg

        morelli detect ~/Pictures --sheet verdicts.png --csv verdicts.csv

        morelli detect archive.zip --json | jq .summary

        morelli detect labelled/ --label-from folders --fpr 0.01

        morelli detect photo.jpg --thorough

        morelli detect new/ --bundle my-bundle/ --beside other-bundle/ --csv both.csv

    Exit codes: 0 all judged, 2 wrong usage, 3 some files failed (counted on stderr, listed in every output),
    4 nothing could be judged.
    """
    targets = ["-" if json_document else None, jsonl, csv]
    _refuse_shared_stdout([*targets, parquet])
    check_outputs({"--jsonl": jsonl, "--csv": csv, "--parquet": parquet, "--sheet": sheet}, paths)
    from morelli.detectors import Ensemble, default_bundle_path, load_detector
    from morelli.images import iter_source
    from morelli.images.layouts import SourceReport
    from morelli.inspection import Inspector
    from morelli.provenance import TrustList

    cluster = engine_of(engine, address=ray_address, actors=ray_actors, cpus=ray_cpus, offline=offline)
    anchors = TrustList.load(trust) if trust is not None else None
    detector = _tuned(load_detector(bundle or default_bundle_path()), fpr, base_rate)
    other = None if beside is None else load_detector(beside)
    reading = reading_of(
        paths,
        label_from=label_from,
        root=root,
        layout=layout,
        image_column=image_column,
        label_column=label_column,
        remote=remote,
        offline=offline,
    )
    report = SourceReport()
    limits = limits_of(max_pixels, max_files)
    listing = partial(iter_source, paths, **reading, limits=limits)

    if cluster != "local":
        _refuse_on_cluster(detector, other, precision)
    head = _head(detector)
    if other is not None:
        tuned = other if fpr is None else other.with_fpr(fpr)
        head["second"] = _head(tuned.with_base_rate(detector.base_rate))["bundle"]
    if isinstance(detector, Ensemble) and not quiet:
        _print_cost(detector, thorough=thorough)

    loading: dict[str, Any] = {"encoder": encoder, "weights": weights or [], "offline": offline}

    def inspector() -> Inspector:
        if other is not None:
            found = _both(detector, other, fpr, device=device, precision=precision, quiet=quiet, **loading)
        else:
            found = Inspector(detector_encoder(detector, device=device, quiet=quiet, **loading), detector)
            if cluster == "local":
                found = found.at_precision(precision.value)
        head["precision"] = found.encoder.precision
        return replace(found, trust=anchors)

    how: dict[str, Any] = {
        "batch_size": batch_size,
        "workers": workers,
        "limits": limits,
        "thumbnails": sheet is not None,
        "stability": thorough,
    }

    def nothing() -> SourceError:
        text = f"No image found in {', '.join(paths)}. Name image files, or folders and archives with some."
        passed = report.passed_over()
        return SourceError(f"{text} {passed[:1].upper()}{passed[1:]}".strip())

    if cluster == "local":
        stream = _judged_here(listing(report=report), inspector, how, nothing)
    else:
        stream = inspector().detect(listing, **how, understood=report, engine=cluster)

    counts = dict[str, Any]()
    outputs = list(_outputs(targets, parquet, head, counts, beside=other is not None))
    summary, pictures, unread = _write(
        stream, outputs, counts, sheet=sheet is not None, bar=progress(quiet, lines=not json_document)
    )
    if not summary.done + len(summary.failures):
        raise nothing()
    if sheet is not None and pictures:
        _draw(sheet, pictures, summary, detector)
    print_source_report(report, reading, quiet=quiet)
    if not quiet:
        _print_summary(summary, table="-" not in targets)
    print_failures(
        summary.failures,
        "judged",
        rest="--csv, --jsonl, --json and --parquet hold them all",
        sources=paths,
        done=summary.done,
    )
    if unread is not None:
        raise unread
    raise typer.Exit(outcome(summary.done, len(summary.failures)))


def _both(
    detector: Bundle | Ensemble,
    other: Bundle | Ensemble,
    fpr: float | None,
    *,
    device: DeviceChoice,
    precision: PrecisionChoice,
    quiet: bool,
    **loading: Any,
) -> Inspector:
    """The inspector of two detectors, the second at the first one's base rate and at the same error rate."""
    from morelli.inspection import load

    with weights_progress(quiet) as on_progress:
        both = load(
            detector,
            beside=other,
            device=device.value,
            precision=precision.value,
            explain=False,
            on_progress=on_progress,
            **loading,
        )
    return replace(both, second=both.second and both.second.at(detector.base_rate, fpr))


def _refuse_shared_stdout(targets: list[str | None]) -> None:
    if targets.count("-") > 1:
        raise UsageError(
            "Only one of --json, --jsonl -, --csv - and --parquet - can have stdout: give the others a file."
        )


def _refuse_on_cluster(
    detector: Bundle | Ensemble, other: Bundle | Ensemble | None, precision: PrecisionChoice
) -> None:
    """Raise for what one machine can do and a cluster cannot, before any work."""
    from morelli.detectors import Ensemble

    if other is not None:
        raise UsageError("Two detectors judge on one machine: leave --engine or --beside out.")
    if isinstance(detector, Ensemble):
        raise UsageError("An ensemble judges on one machine: leave --engine out, or give one bundle.")
    if precision in (PrecisionChoice.fast, PrecisionChoice.fastest):
        raise UsageError(f"--precision {precision.value} is for one machine; a cluster computes in float32.")


def _write(
    stream: Iterable[Detection],
    wanted: list[Output],
    counts: dict[str, Any],
    *,
    sheet: bool,
    bar: AbstractContextManager[Progress],
) -> tuple[Summary, list[Picture], UsageError | None]:
    """Write verdicts into all outputs as they come, `counts` at the end.

    Returns:
        The summary, the pictures of the contact sheet, and what to say of a pipe that nothing reads.
    """
    summary = Summary()
    pictures: list[Picture] = []
    with ExitStack() as stack:
        outputs, unread = _opened(stack, wanted)
        display = stack.enter_context(bar)
        task = display.add_task("judging", total=None)
        for detection in stream:
            row = summary.add(detection)
            for output in outputs:
                output.write(row)
            if sheet and len(pictures) < SHEET_LIMIT:
                _collect(pictures, detection)
            display.advance(task)
        counts |= summary.to_json()
    return summary, pictures, unread


def _opened(stack: ExitStack, wanted: list[Output]) -> tuple[list[Output], UsageError | None]:
    """The open outputs, and what to say of a pipe that nothing reads: it takes no other output along."""
    outputs: list[Output] = []
    unread: UsageError | None = None
    for output in wanted:
        try:
            outputs.append(stack.enter_context(output))
        except UsageError as error:
            if not Path(output.target).is_fifo():
                raise
            unread = unread or error
    if unread is not None and not outputs:
        raise unread
    return outputs, unread


def _judged_here(
    items: Iterator[ImageItem],
    inspector: Callable[[], Inspector],
    how: dict[str, Any],
    nothing: Callable[[], SourceError],
) -> Iterator[Detection]:
    """Verdicts on this machine. Weights are large: none are fetched before something needs them."""
    from morelli.inspection import Detection

    unusable = list[Detection]()
    for item in items:
        if item.problem is None:
            return chain(unusable, inspector().detect(chain([item], items), **how))
        unusable.append(Detection(item.uri, item.label, item.generator, failure=item.problem))
    if not unusable:
        raise nothing()
    return iter(unusable)


def _outputs(
    targets: list[str | None],
    parquet: str | None,
    head: dict[str, Any],
    counts: dict[str, Any],
    *,
    beside: bool,
) -> Iterator[Output]:
    document, jsonl, csv = targets
    if document:
        yield JsonDocument(document, head, counts)
    if jsonl:
        yield JsonLines(jsonl)
    if csv:
        yield Csv(csv, beside=beside)
    if parquet:
        yield Parquet(parquet, beside=beside)


def _collect(pictures: list[Picture], detection: Detection) -> None:
    from morelli.reports import Picture

    if detection.thumbnail is None or detection.verdict is None:
        return
    name = Path(detection.uri.rsplit("::", 1)[-1]).name
    pictures.append(Picture(detection.thumbnail, name, detection.verdict, SECTIONS[detection.label]))


def _draw(path: str, pictures: list[Picture], summary: Summary, bundle: Bundle | Ensemble) -> None:
    from PIL.PngImagePlugin import PngInfo

    from morelli.artefacts import write_file
    from morelli.artefacts.outputs import MARK
    from morelli.reports import contact_sheet

    title = f"Morelli: {summary.done} images judged by {bundle.name}"
    note = "The number is the calibrated probability that the image is AI-generated. A signal, not proof."
    if summary.done > len(pictures):
        note = f"The first {len(pictures)} of {summary.done}. {note}"
    picture, marks = io.BytesIO(), PngInfo()
    marks.add_text("Software", MARK)
    form = SHEETS.get(Path(path).suffix.lower(), "PNG")
    drawn = contact_sheet(pictures, title=title, note=note)
    drawn.save(picture, format=form, pnginfo=marks, comment=MARK, quality=90)
    write_file(path, picture.getvalue())


def _print_summary(summary: Summary, *, table: bool) -> None:
    """The table on stdout, unless stdout holds data; the counts beside it, or on stderr."""
    screen = console() if table else error_console()
    if table and summary.shown:
        screen.print(verdict_table(summary, screen.width))
        for reason in [*why(summary), *statements(summary), *key(summary, screen.width)]:
            screen.print(reason, soft_wrap=True)
        screen.print()
        if summary.done > SHOWN:
            screen.print(f"… and {summary.done - SHOWN:,} more; --csv, --jsonl or --parquet hold them all.\n")
    if summary.done:
        for line in summary.lines():
            screen.print(line, highlight=False, soft_wrap=True)


def _print_cost(ensemble: Ensemble, *, thorough: bool) -> None:
    """What an image costs, before any work begins."""
    from morelli.inspection import STABILITY_PERTURBATIONS

    passes, views = len(ensemble.builds), 1 + (len(STABILITY_PERTURBATIONS) if thorough else 0)
    names = ", ".join(build.encoder for build in ensemble.builds)
    error_console().print(
        f"Ensemble of {len(ensemble.members)} detectors: {passes * views} forward passes an image ({names}).",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _tuned(bundle: Bundle | Ensemble, fpr: float | None, base_rate: float | None) -> Bundle | Ensemble:
    """The bundle at the error rate and the base rate that were asked for."""
    if fpr is not None:
        bundle = bundle.with_fpr(fpr)
        if bundle.ai.note:
            warn(bundle.ai.note)
    return bundle if base_rate is None else bundle.with_base_rate(base_rate)


def _head(bundle: Bundle | Ensemble) -> dict[str, Any]:
    """What judged, for the head of the JSON document."""
    from morelli._version import __version__
    from morelli.detectors import Ensemble

    found: dict[str, Any] = {
        "name": bundle.name,
        "build": bundle.build.fingerprint,
        "encoder": bundle.build.encoder,
        "kinds": list(bundle.kinds),
        "base_rate": bundle.base_rate,
        "thresholds": {"ai": bundle.ai.to_json(), "real": bundle.real.to_json()},
    }
    if isinstance(bundle, Ensemble):
        found["members"] = [
            {"name": one.name, "digest": one.digest, "weight": weight, **one.build.to_json()}
            for one, weight in zip(bundle.members, bundle.weights, strict=True)
        ]
    return {"morelli": __version__, "bundle": found}
