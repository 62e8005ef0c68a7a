"""`morelli atlas`: what recurs in a collection, and how much of the verdicts it carries."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from morelli.cli._concepts import concept_bank
from morelli.cli._console import console, error_console, printable, progress
from morelli.cli._encoder_loading import encoder_of
from morelli.cli._errors import ExitCode, warn
from morelli.cli._options import (
    Device,
    DeviceChoice,
    Offline,
    OptionalWorkers,
    PerturbationId,
    Quiet,
    TrustedEncoder,
    WeightsPath,
)
from morelli.errors import MorelliError

if TYPE_CHECKING:
    from morelli.atlas import Atlas
    from morelli.encoders import Build, Encoder
    from morelli.explanation.concepts import ConceptBank

atlas = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


class Projection(StrEnum):
    """How the overview is laid out."""

    tsne = "tsne"
    umap = "umap"
    pca = "pca"


class AtlasView(StrEnum):
    """What a chart shows."""

    overview = "overview"
    patterns = "patterns"
    dimensions = "dimensions"


AtlasFolder = Annotated[Path, typer.Argument(metavar="NAME.atlas", show_default=False, help="An atlas.")]
Images = Annotated[
    list[Path] | None,
    typer.Option(metavar="FOLDER", help="Where the images are now, if they have moved; may be repeated."),
]
Select = Annotated[
    str | None,
    typer.Option(
        metavar="JSON",
        show_default=False,
        help="A selection document, or the name of a saved one; by default all.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@atlas.callback()
def _group() -> None:
    """Build and look into atlases: a collection seen through a few distilled dimensions.

    An atlas says which patterns recur in a collection, which pixels carry them, and how much of the
    verdicts each is worth. `morelli serve` shows it in the browser.
    """


@atlas.command()
def build(
    table: Annotated[Path, typer.Argument(metavar="F.lance", show_default=False, help="A feature table.")],
    *,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="NAME.atlas", show_default=False, help="Folder to make.")
    ],
    kind: Annotated[str, typer.Option(help="Feature kind to distil: final, or layer:k.")] = "final",
    dimensions: Annotated[int, typer.Option(min=2, max=64, help="Distilled dimensions.")] = 16,
    projection: Annotated[
        Projection, typer.Option(help="How the overview is laid out; umap needs the extra `morelli[umap]`.")
    ] = Projection.tsne,
    perturbation: PerturbationId = None,
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help="Only these rows, such as \"era = '2023-2024'\".")
    ] = None,
    distilled: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Use this distilled map instead of fitting one, or `default`."),
    ] = None,
    concepts: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="BANK",
            show_default=False,
            help="Concept bank that patterns are named from; may be repeated. The shipped one if it fits.",
        ),
    ] = None,
    images: Images = None,
    maps: Annotated[
        bool, typer.Option("--maps/--no-maps", help="Relevance maps, patterns and thumbnails.")
    ] = True,
    spelling: Annotated[
        bool,
        typer.Option("--forget-spelling/--keep-spelling", help="Project away first what rendered words do."),
    ] = True,
    name: Annotated[
        str | None, typer.Option(help="What people call it; by default the folder's name.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of distiller, prototypes and layout.")] = 0,
    workers: OptionalWorkers = None,
    encoder: TrustedEncoder = None,
    weights: WeightsPath = None,
    device: Device = DeviceChoice.auto,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Distil a labelled table, find what recurs, and lay the collection out.

    With the last block's input in the table (`--kinds final,layer:11,tokens:11` for ViT-B/16) the images
    are not encoded again. Scores and errors shown are of fits that did not see an image's lineage or
    source. An interrupted build goes on where it was when the command is given again.

    Examples:

        morelli extract set.csv -o F.lance --perturb align:288,85 --kinds final,layer:11,tokens:11

        morelli atlas build F.lance -o set.atlas

        morelli serve --atlas set.atlas
    """
    from morelli.atlas import Atlas, AtlasOptions, build_atlas
    from morelli.atlas.distiller import DistilledMap, default_map_path
    from morelli.features import FeatureTable

    Atlas.check_target(out)
    source = FeatureTable.open(table)
    given = None
    if distilled is not None:
        given = DistilledMap.load(default_map_path() if str(distilled) == "default" else distilled)
    made_by = None
    if maps:
        made_by = _encoder(
            source.build, encoder=encoder, weights=weights, device=device, offline=offline, quiet=quiet
        )
    perturbation = "" if perturbation == "clean" else perturbation
    with _steps(quiet) as on_progress:
        made = build_atlas(
            source,
            out,
            AtlasOptions(
                kind=kind,
                dimensions=dimensions,
                projection=projection.value,
                where=where,
                perturbation=perturbation,
                spelling=spelling,
                seed=seed,
            ),
            encoder=made_by,
            distilled=given,
            images=images or (),
            concepts=_banks(concepts or (), source.build, kind),
            workers=workers,
            name=name,
            command=shlex.join(["morelli", *sys.argv[1:]]),
            progress=on_progress,
        )
    _finish(made, quiet)


@atlas.command()
def add(
    folder: AtlasFolder,
    table: Annotated[
        Path, typer.Argument(metavar="F.lance", show_default=False, help="Features of new images.")
    ],
    *,
    images: Images = None,
    workers: OptionalWorkers = None,
    encoder: TrustedEncoder = None,
    weights: WeightsPath = None,
    device: Device = DeviceChoice.auto,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Add the images of a table that are not in the atlas yet; those that are keep their place.

    The distilled map, the prototypes and the layout stay as they are, so what was said of the atlas still
    holds. Build the atlas again when the new images are of a kind that the atlas has not seen.

    Example:

        morelli atlas add set.atlas new.lance
    """
    from morelli.atlas import Atlas, add_images
    from morelli.features import FeatureTable

    source = FeatureTable.open(table)
    before = Atlas.open(folder)
    made_by = None
    if before.record.patches:
        made_by = _encoder(
            source.build, encoder=encoder, weights=weights, device=device, offline=offline, quiet=quiet
        )
    with _steps(quiet) as on_progress:
        made = add_images(
            folder, source, encoder=made_by, images=images or (), workers=workers,
            command=shlex.join(["morelli", *sys.argv[1:]]), progress=on_progress,
        )  # fmt: skip
    if not quiet:
        new = len(made) - len(before)
        console().print(
            f"{folder}: {new:,} images added, {len(made):,} in all.", highlight=False, markup=False
        )


@atlas.command()
def info(
    folder: AtlasFolder,
    *,
    select: Select = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check every file first, the tables' data included.")
    ] = False,
    json_document: Json = False,
) -> None:
    """Say what an atlas holds: images, dimensions with their weights, patterns, and where it came from.

    Of a selection it says the held-out figures alone. Small files are checked against their recorded SHA-256
    whenever an atlas is opened, all files with --verify and before anything is exported or added: exit code 4
    where one is damaged, and which.

    Examples:

        morelli atlas info set.atlas --verify

        morelli atlas info set.atlas --json

        morelli atlas info set.atlas --select '{"column": "generator", "in": ["sdxl", "real"]}'
    """
    from morelli.atlas import Atlas
    from morelli.reports import selection_document

    if verify:
        _verify(folder)
    found = Atlas.open(folder)
    if select is not None:
        _print_selection(found.evaluation(found.select(selection_document(found, select))), json_document)
    elif json_document:
        document = found.info() | {
            "dimensions_view": found.dimensions(),
            "prototypes_view": found.prototypes(),
        }
        typer.echo(json.dumps(document, indent=1))
    else:
        _print_atlas(found)


@atlas.command()
def export(
    folder: AtlasFolder,
    *,
    out: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help=".html page, .png chart, or .csv, .parquet, .txt (ids).",
        ),
    ],
    select: Select = None,
    view: Annotated[
        AtlasView, typer.Option(help="What a .png shows; it holds no image.")
    ] = AtlasView.overview,
    images: Images = None,
) -> None:
    """Write a page that opens offline, a chart, or the selected images as a file for other programs.

    The page shows the overview, the dimensions and the prototypes with crops of images: it is a copy of those
    images, and their licence goes with it. The CSV is a manifest that `morelli extract` reads.

    Examples:

        morelli atlas export set.atlas -o set.html

        morelli atlas export set.atlas -o patterns.png --view patterns

        morelli atlas export set.atlas -o wrong.csv --select '{"column": "error", "in": ["fp", "fn"]}'
    """
    from morelli.atlas import Atlas
    from morelli.reports import export_atlas

    found = Atlas.open(folder, images=images or ())
    written = export_atlas(found, out, select, view.value)
    console().print(f"{out}: {written}", highlight=False, markup=False, soft_wrap=True)


def _banks(paths: Sequence[Path], build: Build, kind: str) -> list[ConceptBank]:
    """The banks that were named; the shipped one where none was and it is of this build and kind."""
    from morelli.explanation.concepts import ConceptBank, default_concepts_path

    if paths:
        return [concept_bank(path) for path in paths]
    shipped = ConceptBank.load(default_concepts_path())
    same = shipped.build is not None and shipped.build.fingerprint == build.fingerprint
    return [shipped] if same and shipped.kind == kind else []


def _encoder(build: Build, **how: Any) -> Encoder | None:
    try:
        return encoder_of(build, **how)
    except MorelliError as error:
        warn(
            f"{error} Without the encoder the atlas has no maps and no patterns (--no-maps says so at once)."
        )
        raise


class _steps:  # noqa: N801 - used like a function
    """A bar for each step on a terminal, a line for each step elsewhere, nothing when quiet."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.display = quiet, progress(quiet)
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> Callable[[str, int, int], None]:
        self.display.__enter__()
        return self._on_progress

    def __exit__(self, *error: Any) -> None:
        self.display.__exit__(*error)

    def _on_progress(self, step: str, done: int, total: int) -> None:
        if step not in self.tasks:
            self.tasks[step] = self.display.add_task(step, total=total)
            if self.display.disable and not self.quiet:
                error_console().print(f"{step} …", highlight=False, markup=False)
        self.display.update(self.tasks[step], completed=done, total=total)


def _finish(made: Atlas, quiet: bool) -> None:
    unreadable = made.record.unreadable
    if not quiet:
        _print_atlas(made)
        for uri, reason in unreadable[:10]:
            warn(f"{printable(uri)}: {reason}")
        if len(unreadable) > 10:
            warn(f"and {len(unreadable) - 10} more; all are in {made.path / 'atlas.json'}")
    if unreadable:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _verify(folder: Path) -> None:
    """Check the files of an atlas and say on stderr what was checked; the figures alone go to stdout."""
    from morelli.atlas import verify_atlas

    verified = verify_atlas(folder)
    error_console().print(
        f"{verified.files:,} files ({verified.size / 1e6:,.1f} MB) are as they were written.",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    for name in verified.unrecorded:
        warn(f"{name} was written by an earlier Morelli, without digests: it was read from end to end.")


def _print_selection(evaluation: dict[str, Any], json_document: bool) -> None:
    if json_document:
        typer.echo(json.dumps(evaluation, indent=1))
        return
    screen, found, n = console(), evaluation["outcomes"], evaluation["n"]
    real = found["tn"] + found["fp"] + found["unanswered_real"]
    share = f" ({found['unanswered'] / n:.1%})" if n else ""
    screen.print(
        f"{n:,} labelled images ({real:,} real, {n - real:,} generated): {found['unanswered']:,} without an "
        f"answer{share}, {found['tn'] + found['tp']:,} right, {found['fp']:,} real ones called generated, "
        f"{found['fn']:,} generated ones called real",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    auc = evaluation.get("metrics", {}).get("auc")
    if auc is None:
        screen.print("no AUC: the selection has images of one class only", highlight=False, markup=False)
    else:
        interval = "" if auc["low"] is None else f" [{auc['low']:.3f}, {auc['high']:.3f}]"
        screen.print(
            f"held-out AUC {auc['value']:.3f}{interval}; {evaluation['held_out']}",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip


def _print_atlas(found: Atlas) -> None:
    from rich.table import Table

    from morelli.atlas import by_evidence, p_text

    record, screen = found.record, console()
    counts = found.info()["counts"]
    auc, audit = found.auc(), record.audit.get("auc")
    screen.print(
        f"{record.name}: {record.images:,} images ({counts['real']:,} real, {counts['fake']:,} generated), "
        f"{record.dimensions} dimensions of {record.kind}, {record.levels} levels, "
        f"{'no maps' if not record.patches else str(record.patches) + ' patches an image'}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    if auc is not None:
        beside = "" if audit is None else f"; format, size and shape of the files alone {audit:.3f}"
        screen.print(f"held-out AUC {auc:.3f}{beside}", highlight=False, markup=False)
        screen.print(
            f"of these {record.dimensions} dimensions alone; {record.held_out}. `morelli fit` and `evaluate` "
            "measure detectors that read more, so their figures differ.",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
    table = Table("dimension", "weight", "AUC without", box=None, pad_edge=False)
    for view in found.dimensions():
        without = view["auc_without"]
        table.add_row(view["name"], f"{view['weight']:+.2f}", "–" if without is None else f"{without:.3f}")
    screen.print(table)
    prototypes = [p for p in found.prototypes() if not p["hidden"]]
    if prototypes:
        table = Table(
            "prototype", "dimension", "images", "impact", "generated", "p", box=None, pad_edge=False
        )
        for item in sorted(prototypes, key=by_evidence)[:20]:
            table.add_row(
                printable(item["name"]), str(item["dimension"] + 1), f"{item['images']:,}",
                f"{item['mean_impact']:+.2f}", f"{item['purity_fake']:.0%}", p_text(item["p_value"]),
            )  # fmt: skip
        screen.print(table)
