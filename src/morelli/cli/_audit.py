"""`morelli audit`: what separates real from generated before any detector has looked."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from morelli.cli._console import console, printable, progress
from morelli.cli._errors import outcome
from morelli.cli._failures import print_failures
from morelli.cli._options import (
    ImageColumn,
    LabelColumn,
    LabelFrom,
    LayoutOption,
    MaxPixels,
    OptionalWorkers,
    Quiet,
    Remote,
    Root,
    Sources,
)
from morelli.cli._sources import limits_of, print_source_report, reading_of
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.audit import AlignRecipe, AuditReport

TONES = {"high": "bold red", "medium": "yellow", "low": "cyan", "info": "dim"}


class Codec(StrEnum):
    """What aligned copies are written as."""

    jpeg = "jpeg"
    webp = "webp"
    png = "png"


class Small(StrEnum):
    """What becomes of images that are smaller than the aligned copy."""

    upscale = "upscale"
    skip = "skip"


def audit(
    sources: Sources,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Write the audit: HTML, JSON, Markdown, plots."
        ),
    ] = None,
    align: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also write aligned copies, with a manifest of what was done."),
    ] = None,
    side: Annotated[int, typer.Option(min=16, max=8192, help="Side of aligned copies, pixels.")] = 256,
    codec: Annotated[Codec, typer.Option(help="Format of aligned copies.")] = Codec.jpeg,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of aligned copies.")] = 85,
    small: Annotated[
        Small, typer.Option(help="Images smaller than that: enlarge or leave out.")
    ] = Small.upscale,
    label_from: LabelFrom = None,
    layout: LayoutOption = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    root: Root = None,
    remote: Remote = False,
    max_pixels: MaxPixels = None,
    workers: OptionalWorkers = None,
    seed: Annotated[int, typer.Option(help="Seed of folds, bootstrap and the fair subset.")] = 0,
    json_document: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    quiet: Quiet = False,
) -> None:
    """Audit a labelled collection: what the files give away, copies and leaks, and a fair subset.

    No encoder is needed. A classifier that sees only format, size and shape says how much of any
    detector's figure on these images the files alone could explain. With --align both classes are
    written alike (same crop, size, codec and quality), and the copies are audited too.

    Examples:

        morelli audit mine/ --label-from folders

        morelli audit manifest.csv -o audit/

        morelli audit mine/ --label-from folders --align aligned/ -o audit/

    Exit codes: 0 all done, 2 wrong usage, 3 some images failed (listed), 4 nothing could be done.
    """
    from morelli.audit import AlignRecipe
    from morelli.audit import align as write_aligned
    from morelli.audit import audit as look
    from morelli.images.layouts import SourceReport
    from morelli.reports import report_folder

    if out is not None:
        report_folder(out, "audit")
    reading = reading_of(
        sources,
        label_from=label_from,
        root=root,
        layout=layout,
        image_column=image_column,
        label_column=label_column,
        remote=remote,
        offline=False,
    )
    understood = SourceReport()
    source: str | list[str] = sources[0] if len(sources) == 1 else list(sources)
    recipe = AlignRecipe(side=side, codec=codec.value, quality=quality, small=small.value)
    if align is not None:
        _check_folder(align, sources)
        recipe.check_target(align, source)
    with progress(quiet) as display:
        task = display.add_task("auditing", total=None)
        found = look(
            source,
            workers=workers,
            seed=seed,
            progress=lambda done, _: display.update(task, completed=done),
            limits=limits_of(max_pixels),
            **reading,
            report=understood,
        )
    print_source_report(understood, reading, quiet=quiet or json_document)
    copies = None
    failed = list(found.failed)
    if align is not None:
        with progress(quiet) as display:
            task = display.add_task("aligning", total=found.table.num_rows)
            made = write_aligned(
                source,
                align,
                recipe,
                limits=limits_of(max_pixels),
                workers=workers,
                progress=lambda done, _: display.update(task, completed=done),
                **reading,
            )
        known = {one.uri for one in failed}
        failed += [one for one in made.failed if one.uri not in known]
        copies = look(made.manifest, workers=workers, seed=seed)
        if not quiet and not json_document:
            _print_copies(align, made.written, made.reused, sum(made.skipped.values()), made.recipe)
    if out is not None:
        from morelli.reports import write_audit_folder

        write_audit_folder(found, out, copies)
    if json_document:
        document = {**found.to_json(), "aligned": copies.to_json() if copies else None}
        typer.echo(json.dumps(document, indent=1, ensure_ascii=False))
    elif not quiet:
        show(found)
        _print_comparison(found, copies)
        if out is not None:
            console().print(f"Written: {out}", highlight=False, markup=False)
    print_failures(
        [(one.uri, one.reason, one.message) for one in failed],
        "read",
        rest="--json lists up to 200",
        sources=sources,
        done=found.table.num_rows,
    )
    raise typer.Exit(outcome(found.table.num_rows, len(failed)))


def _check_folder(align: Path, sources: list[str]) -> None:
    """Raise UsageError where aligned copies cannot be written."""
    if align.exists() and any(align.resolve() == Path(source).resolve() for source in sources):
        raise UsageError(f"{align} is what is audited; aligned copies need a folder of their own.")
    if align == Path():
        raise UsageError("--align needs a folder of its own, not the current one.")


def _print_copies(align: Path, written: int, reused: int, small: int, recipe: AlignRecipe) -> None:
    console().print(
        f"{align}: {written:,} aligned copies written, {reused:,} there already"
        + (f", {small:,} too small" if small else "")
        + f"; {recipe.id}",
        highlight=False,
        soft_wrap=True,
    )


def _print_comparison(found: AuditReport, copies: AuditReport | None) -> None:
    if copies is not None and copies.baseline is not None and found.baseline is not None:
        console().print(
            f"After alignment file facts alone reach AUC {copies.baseline.auc:.3f} "
            f"(before: {found.baseline.auc:.3f}).",
            highlight=False,
        )


def show(found: AuditReport) -> None:
    """The findings on the screen, the gravest first."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    screen = console()
    counts = found.counts
    screen.print(
        f"{printable(found.source)}: {counts['real']:,} real and {counts['generated']:,} generated images"
        + (f", {counts['unlabelled']:,} without a label" if counts["unlabelled"] else ""),
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if found.baseline is not None:
        low, high = found.baseline.interval
        screen.print(
            f"File facts alone tell them apart with AUC {found.baseline.auc:.3f} ({low:.2f} to {high:.2f}); "
            "0.5 is chance.",
            highlight=False,
        )
    for title, row in found.statement_shares.items():
        shares = ", ".join(f"{share:.1%} of the {name} images" for name, share in row.items())
        screen.print(f"{title[0].upper()}{title[1:]}: {shares}.", highlight=False, soft_wrap=True)
    table = Table("", "finding", "what to do", box=box.SIMPLE_HEAD, pad_edge=False)
    for one in found.findings:
        tone = TONES[one.severity]
        table.add_row(
            f"[{tone}]{one.severity}[/]", escape(printable(one.sentence)), escape(printable(one.advice))
        )
    screen.print(table)
