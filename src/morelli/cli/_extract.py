"""`morelli extract`: images in, a feature table out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from morelli.cli._console import printable, progress
from morelli.cli._encoder_loading import named_encoder
from morelli.cli._errors import outcome, warn
from morelli.cli._failures import print_failures
from morelli.cli._options import (
    Device,
    DeviceChoice,
    Dtype,
    DtypeChoice,
    Engine,
    EngineOption,
    ImageColumn,
    LabelColumn,
    LabelFrom,
    LayoutOption,
    MaxFiles,
    MaxPixels,
    Offline,
    OptionalBatchSize,
    OptionalWorkers,
    Quiet,
    RayActors,
    RayAddress,
    RayCpus,
    Remote,
    Root,
    Sources,
    StoredFormat,
    WeightsPath,
)
from morelli.cli._sources import engine_of, limits_of, print_source_report, reading_of
from morelli.errors import ArtifactError, SourceError, UsageError

if TYPE_CHECKING:
    from morelli.encoders import Encoder
    from morelli.images.layouts import SourceReport


def extract(
    sources: Sources,
    *,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="F.lance", show_default=False, help="Feature table.")
    ],
    kinds: Annotated[
        str | None,
        typer.Option(
            help="Feature kinds, by commas: final, layers, means, layer:6-9, heads, headraw:5-12, tokens, "
            "attention.",
            show_default="final,layers and what the shipped detector reads",
        ),
    ] = None,
    encoder: Annotated[
        str, typer.Option(help="A registered name, a hub id, or a model folder in hub format.")
    ] = "clip-vit-b16",
    transform: Annotated[
        str | None, typer.Option(metavar="ID", help="Another image transform than the encoder's own.")
    ] = None,
    perturb: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Change each image first, such as jpeg:85 or align:288,85."),
    ] = None,
    stored: Annotated[StoredFormat, typer.Option(help="Dtype of vectors on disk.")] = StoredFormat.float16,
    dtype: Dtype = DtypeChoice.auto,
    label: Annotated[
        str | None, typer.Option(metavar="real|fake", help="Label of every image that has none.")
    ] = None,
    generator: Annotated[
        str | None, typer.Option(metavar="NAME", help="Generator of every image that has none.")
    ] = None,
    label_from: LabelFrom = None,
    layout: LayoutOption = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    root: Root = None,
    remote: Remote = False,
    max_pixels: MaxPixels = None,
    max_files: MaxFiles = None,
    weights: WeightsPath = None,
    batch_size: OptionalBatchSize = None,
    workers: OptionalWorkers = None,
    device: Device = DeviceChoice.auto,
    offline: Offline = False,
    engine: EngineOption = Engine.local,
    ray_address: RayAddress = None,
    ray_actors: RayActors = None,
    ray_cpus: RayCpus = None,
    quiet: Quiet = False,
) -> None:
    """Run images through a frozen encoder once and keep the features in a Lance table.

    Stop it at any moment and start it again: it goes on where it stopped, and skips by content what is
    already there. A table takes features of one build only. Unreadable images are listed and skipped.

    Examples:

        morelli extract mine/ -o mine.lance --label-from folders

        morelli extract photos.zip -o reals.lance --label real --kinds final

        morelli extract manifest.csv -o aligned.lance --perturb align:288,85 --kinds layer:6-9

        morelli extract s3://bucket/photos -o photos.lance --engine ray --ray-address auto

    Exit codes: 0 all done, 2 wrong usage, 3 some images failed (counted on stderr), 4 nothing could be done.
    """
    from morelli.features import FeatureTable
    from morelli.features import extract as run
    from morelli.images import iter_source, layouts

    cluster = engine_of(engine, address=ray_address, actors=ray_actors, cpus=ray_cpus, offline=offline)
    number = _label(label)
    FeatureTable.check_target(out)

    reading = reading_of(
        sources,
        label_from=label_from,
        root=root,
        layout=layout,
        image_column=image_column,
        label_column=label_column,
        remote=remote,
        offline=offline,
    )

    limits = limits_of(max_pixels, max_files)

    listed, understood = layouts.SourceReport(), layouts.SourceReport()
    items = partial(
        iter_source, sources, label=number, generator=generator, **reading, limits=limits, report=listed
    )

    loaded = named_encoder(
        encoder,
        dtype=dtype,
        device=device,
        weights=weights,
        transform=transform,
        offline=offline,
        quiet=quiet,
    )
    with progress(quiet) as display:
        # Listing twice is cheap beside encoding, and only a known total gives a remaining time.
        counted = not quiet and cluster == "local" and all(map(_can_be_read_twice, sources))
        total = sum(1 for _ in items(report=layouts.SourceReport())) if counted else None
        task = display.add_task("extracting", total=total)

        def advance(done: int, total: int | None, skipped: int, failed: int) -> None:
            display.update(task, completed=done + skipped + failed, total=total)

        report = run(
            items,
            out,
            encoder=loaded,
            kinds=kinds.split(",") if kinds else _usual_kinds(loaded, out),
            dtype=stored.value,
            perturbation=perturb,
            workers=workers,
            batch_size=batch_size,
            limits=limits,
            total=total,
            progress=advance,
            understood=understood,
            engine=cluster,
        )
    here = report.skipped + report.duplicates
    understood.passed.merge(listed.passed)
    print_source_report(understood, reading, quiet=quiet)
    _warn_about_labels(understood, report.conflicts, report.kept_unlabelled, asked=bool(label_from))
    if not quiet:
        _print_counts(out, report.done, here, len(report.failed), report.seconds)
    print_failures(
        [(failure.uri, failure.reason, failure.message) for failure in report.failed],
        "read",
        rest="`FeatureTable.open(…).failures()` gives them all"
        if report.done + here
        else "they have the reasons counted above",
        sources=sources,
        done=report.done + here,
    )
    if not report.done + here + len(report.failed):
        raise SourceError(f"No image found in {', '.join(sources)}.")
    raise typer.Exit(outcome(report.done + here, len(report.failed)))


def _usual_kinds(encoder: Encoder, out: Path) -> Sequence[str]:
    """Those of a table that is there; else `final,layers` and what the shipped detector reads."""
    from morelli.detectors import Bundle, default_bundle_path
    from morelli.features import FeatureTable

    with suppress(ArtifactError):  # there is none yet, or an interrupted run left nothing that could be read
        return FeatureTable.open(out).kinds
    shipped = Bundle.load(default_bundle_path())
    reads = shipped.head_kinds if shipped.build.weights == encoder.build.weights else ()
    return list(dict.fromkeys(["final", "layers", *reads]))


def _print_counts(out: Path, done: int, here: int, failed: int, seconds: float) -> None:
    speed = f", {done / seconds:.1f} images/s" if seconds > 0 else ""
    typer.echo(
        f"{out}: {done:,} new, {here:,} already there or met twice, "
        f"{failed:,} failed; {seconds:.1f} s{speed}",
        err=True,
    )


def _warn_about_labels(
    understood: SourceReport, conflicts: Sequence[str], kept_unlabelled: int, *, asked: bool
) -> None:
    unlabelled, classes = understood.unlabelled if asked else 0, understood.classes
    named = f" (such as {max(understood.class_names)!r})" if understood.class_names else ""
    if unlabelled:
        warn(
            f"images without a label: {unlabelled:,}; no folder of theirs is named real, fake, 0_real, "
            "1_fake, ai, nature or the like; rename the folders, or give --label or a manifest"
        )
    if classes:
        warn(
            f"images whose label is a class of another task: {classes:,}{named}; it is kept in their "
            "metadata, and real or fake is unknown; write real/0 and fake/1, or give --label or a manifest"
        )
    if kept_unlabelled:
        warn(
            f"images that came first without their label, or with another generator: {kept_unlabelled:,}; "
            "what the table has was kept: extract into another table for what is said now"
        )
    if conflicts:
        more = f", and {len(conflicts) - 3:,} more" if len(conflicts) > 3 else ""
        warn(
            f"images with the content of another and the opposite label: {len(conflicts):,}; the label that "
            f"came first was kept, one of them is wrong: "
            f"{', '.join(printable(uri) for uri in conflicts[:3])}{more}"
        )


def _can_be_read_twice(source: str) -> bool:
    """Whether a source is no pipe, which would be empty the second time; addresses are none."""
    path = Path(source)
    return path.is_dir() or path.is_file() or not path.exists()


def _label(text: str | None) -> int | None:
    labels = {None: None, "real": 0, "fake": 1}
    if text not in labels:
        raise UsageError(f"--label is real or fake, not {text!r}.")
    return labels[text]
