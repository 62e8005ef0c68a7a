"""`morelli evaluate`: detectors measured honestly, and the report of it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from morelli.cli._console import console, error_console, printable, progress
from morelli.cli._encoder_loading import encoder_of, named_encoder
from morelli.cli._fit import RealGroupChoice
from morelli.cli._options import (
    Device,
    DeviceChoice,
    LabelFrom,
    NumberFormat,
    Offline,
    OptionalBatchSize,
    OptionalWorkers,
    Quiet,
    WeightsPath,
)
from morelli.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from morelli.evaluation import Comparison, Input, MeasureOptions, Report, Run, Summary
    from morelli.images import ImageItem

evaluate = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


class RefitChoice(StrEnum):
    """What becomes of a bundle that was fitted on the images that test it."""

    auto = "auto"
    always = "always"
    never = "never"


class MapChoice(StrEnum):
    """How the feature space is drawn."""

    tsne = "tsne"
    umap = "umap"
    pca = "pca"
    none = "none"


class ScoreChoice(StrEnum):
    """What another tool's scores are."""

    probability = "probability"
    logit = "logit"


Out = Annotated[
    Path, typer.Option("--output", "-o", metavar="FOLDER", show_default=False, help="Folder of the report.")
]
Bundles = Annotated[
    list[str] | None,
    typer.Option("--bundle", metavar="BUNDLE", help="A bundle's folder, or default. Again for more."),
]
Detectors = Annotated[
    list[str] | None,
    typer.Option(
        "--detector",
        metavar="SPEC",
        help="knn:1,3,5,9, knn-majority:K, probe or univfd; @layer:8+final for other feature kinds. "
        "Again for more.",
    ),
]
Refit = Annotated[
    RefitChoice,
    typer.Option(
        help="Fit a bundle's recipe anew in every split: if it has seen the images, always, or never."
    ),
]
Rounds = Annotated[int, typer.Option(min=0, help="Bootstrap rounds of the intervals.")]
Level = Annotated[float, typer.Option(min=0.5, max=0.999, help="Coverage of the intervals.")]
Seed = Annotated[int, typer.Option(help="Seed of splits, detectors and bootstrap draws.")]
Name = Annotated[str, typer.Option(help="Title of the report.")]
RealGroups = Annotated[
    RealGroupChoice, typer.Option(help="Keep real images together by their source, or not at all.")
]
Images = Annotated[
    list[str] | None,
    typer.Option(
        "--images", metavar="PATH", help="The images behind the table, for pictures of the worst cases."
    ),
]
Audit = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="A finished audit of these images, to show its findings."),
]
Thumbnails = Annotated[
    bool, typer.Option("--thumbnails/--no-thumbnails", help="Put small pictures of the worst cases in.")
]
Spectra = Annotated[
    bool, typer.Option("--spectra", help="Draw mean high-pass spectra of --images; decodes all of them.")
]


@evaluate.callback()
def _group() -> None:
    """Measure detectors on images they have not seen, write a report, compare two, recompute from a table."""


@evaluate.command()
def run(
    table: Annotated[
        str,
        typer.Argument(
            metavar="F.lance", show_default=False, help="Labelled features; with --external, images instead."
        ),
    ],
    *,
    out: Out,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="By commas: lineage, transfer, era, family, source, univfd, fixed."
        ),
    ] = "lineage,transfer",
    detectors: Detectors = None,
    bundles: Bundles = None,
    refit: Refit = RefitChoice.auto,
    train: Annotated[
        Path | None, typer.Option(metavar="F.lance", help="What univfd trains on; the argument is the test.")
    ] = None,
    held_in: Annotated[
        Path | None,
        typer.Option(metavar="F.lance", help="What univfd tunes thresholds on, else a fifth of --train."),
    ] = None,
    set_column: Annotated[str, typer.Option(help="Column that names univfd's test sets.")] = "set",
    delivery: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Which perturbation, where the table holds several; clean for none."),
    ] = None,
    external: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND", help="Score by another tool: reads one path a line, writes one score a line."
        ),
    ] = None,
    external_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What tables call that tool.")
    ] = None,
    scores: Annotated[ScoreChoice, typer.Option(help="What that tool writes.")] = ScoreChoice.probability,
    label_from: LabelFrom = None,
    real_groups: RealGroups = RealGroupChoice.source,
    least: Annotated[int, typer.Option(min=2, help="Fewest images of a generator in the matrix.")] = 10,
    seed: Seed = 0,
    rounds: Rounds = 1000,
    level: Level = 0.9,
    maps: Annotated[MapChoice, typer.Option(help="How to draw the feature space.")] = MapChoice.tsne,
    images: Images = None,
    spectra: Spectra = False,
    audit: Audit = None,
    thumbnails: Thumbnails = True,
    name: Name = "",
    quiet: Quiet = False,
) -> None:
    """Evaluate detectors by protocols that keep lineages and real sources apart, and write a report.

    Detectors are fitted anew for every split. A bundle is scored as it is on images that it has not seen;
    if it has seen them, its recipe is fitted anew in every split instead, and the report says so. The
    folder gets predictions.parquet, report.html, report.json, report.md and CSV tables.

    Examples:

        morelli evaluate run F.lance -o report/ --detector knn:1,3,5,9 --detector probe

        morelli evaluate run F.lance -o report/ --bundle my-bundle/ --protocol lineage,era,source

        morelli evaluate run sets.lance --train progan.lance --protocol univfd --detector probe -o report/

        morelli evaluate run photos/ --external "python score.py" --label-from folders -o report/
    """
    from morelli.evaluation import Input, Run

    if external is not None:
        if detectors or bundles or train:
            raise UsageError(
                "--external scores images by itself: leave --detector, --bundle and --train out."
            )
        made = Run(
            kind="external",
            inputs=(Input("images", table),),
            external=external,
            external_name=external_name,
            scores=scores.value,
            label_from="folders" if label_from else None,
            protocols=("external",),
            seed=seed,
        )
        images = images or [table]
    else:
        inputs = [Input("features", table), *_bundle_inputs(bundles)]
        inputs += [Input("train", str(train))] if train else []
        inputs += [Input("held_in", str(held_in))] if held_in else []
        made = Run(
            kind="features",
            inputs=tuple(inputs),
            detectors=tuple(detectors or ()),
            protocols=tuple(p.strip() for p in protocol.split(",") if p.strip()),
            refit=refit.value,
            real_groups=real_groups.value,
            seed=seed,
            least=least,
            perturbation=delivery,
            set_column=set_column,
        )
    report = _reported(
        made,
        out,
        options=_options(rounds, level, seed, real_groups.value),
        name=name,
        images=images,
        label_from=label_from is not None,
        audit=audit,
        maps=maps.value,
        spectra=spectra,
        thumbnails=thumbnails,
        quiet=quiet,
    )
    if not quiet:
        _show(report.summary, report)


@evaluate.command()
def report(
    predictions: Annotated[
        Path,
        typer.Argument(metavar="PREDICTIONS", show_default=False, help="predictions.parquet, of any tool."),
    ],
    *,
    out: Out,
    seed: Seed = 0,
    rounds: Rounds = 1000,
    level: Level = 0.9,
    real_groups: RealGroups = RealGroupChoice.source,
    images: Images = None,
    audit: Audit = None,
    thumbnails: Thumbnails = True,
    name: Name = "",
    quiet: Quiet = False,
) -> None:
    """Recompute every figure, table and chart from a predictions table alone.

    Another tool joins by writing such a table: `label` (0 real, 1 generated) and `logit` or `probability`
    are needed; sha256, uri, generator, lineage, source, detector and the others are used where present.

    Examples:

        morelli evaluate report predictions.parquet -o report/

        morelli evaluate report theirs.parquet -o theirs/ --name "Their detector"
    """
    from morelli.evaluation import Input, Run

    made = Run(kind="table", inputs=(Input("predictions", str(predictions)),), seed=seed)
    done = _reported(
        made,
        out,
        options=_options(rounds, level, seed, real_groups.value),
        name=name,
        images=images,
        label_from=False,
        audit=audit,
        maps="none",
        spectra=False,
        thumbnails=thumbnails,
        quiet=quiet,
    )
    if not quiet:
        _show(done.summary, done)


@evaluate.command()
def compare(
    tables: Annotated[
        list[Path],
        typer.Argument(metavar="PREDICTIONS", show_default=False, help="One or two predictions tables."),
    ],
    *,
    protocol: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this protocol; else all that both have.")
    ] = None,
    seed: Seed = 0,
    rounds: Rounds = 1000,
    level: Level = 0.9,
    json_document: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Test whether one detector is better than another on the images that both scored.

    Differences have paired intervals that resample lineages and sources; p-values are corrected for the
    number of pairs (Holm). Every detector of the first table meets every one of the second; with one table,
    all of its pairs. A table of another tool (protocol external) pairs with any protocol that scores each
    image once.

    Examples:

        morelli evaluate compare mine/predictions.parquet theirs/predictions.parquet

        morelli evaluate compare report/predictions.parquet --protocol leave-one-lineage-out
    """
    from morelli.evaluation import Predictions, compare_tables

    if len(tables) > 2:
        raise UsageError("compare takes one or two tables.")
    read = [Predictions.read(path) for path in tables]
    found = compare_tables(*read, protocol=protocol, options=_options(rounds, level, seed, "source"))
    if json_document:
        import json

        typer.echo(json.dumps([c.to_json() for c in found], indent=1, ensure_ascii=False))
        return
    _show_pairs(found)


@evaluate.command()
def robustness(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH", show_default=False, help="Labelled images; or a table that a sweep made before."
        ),
    ],
    *,
    out: Out,
    table: Annotated[
        Path | None,
        typer.Option(metavar="F.lance", help="Where features are kept, else robustness.lance in the folder."),
    ] = None,
    detectors: Detectors = None,
    bundles: Bundles = None,
    refit: Refit = RefitChoice.auto,
    perturbations: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="standard, univfd (the paper's), or ids by commas: jpeg:70,blur:2."
        ),
    ] = "standard",
    encoder: Annotated[
        str | None, typer.Option(help="Registered name, hub id or folder; else that of the bundle.")
    ] = None,
    kinds: Annotated[
        str, typer.Option(help="Feature kinds to keep, by commas; a bundle's own are added.")
    ] = "final",
    label_from: LabelFrom = None,
    weights: WeightsPath = None,
    batch_size: OptionalBatchSize = None,
    workers: OptionalWorkers = None,
    device: Device = DeviceChoice.auto,
    dtype: Annotated[NumberFormat, typer.Option(help="Number type of the encoder.")] = NumberFormat.auto,
    offline: Offline = False,
    seed: Seed = 0,
    rounds: Rounds = 1000,
    level: Level = 0.9,
    thumbnails: Thumbnails = True,
    name: Name = "",
    quiet: Quiet = False,
) -> None:
    """Score detectors on the same images compressed, blurred, scaled, cropped and re-delivered.

    The encoder sees each image under each perturbation once, and keeps the features by content: a sweep
    that was broken off goes on where it stopped, and another detector costs no encoding. Detectors are
    fitted on clean images only.

    Examples:

        morelli evaluate robustness mine/ --label-from folders --detector probe -o sweep/

        morelli evaluate robustness mine/ --label-from folders --bundle mine-bundle/ -o sweep/ --offline

        morelli evaluate robustness sweep/robustness.lance --detector knn:5 -o sweep-knn/
    """
    from morelli.detectors import Bundle, default_bundle_path
    from morelli.evaluation import STANDARD, UNIVFD, Input, Run, extract_perturbed, report_folder
    from morelli.features import FeatureTable

    report_folder(out)
    inputs = _bundle_inputs(bundles)
    if len(source) == 1 and source[0].rstrip("/").endswith(".lance"):
        features = Path(source[0])
    else:
        features = table or out / "robustness.lance"
        judges = [Bundle.load(default_bundle_path() if i.path == "default" else i.path) for i in inputs]
        wanted = [*kinds.split(","), *(k for b in judges for k in b.kinds)]
        named: Any = {"standard": STANDARD, "univfd": UNIVFD}.get(perturbations, perturbations.split(","))
        if encoder is None and judges:
            eye = encoder_of(judges[0].build, weights=weights, device=device, offline=offline, quiet=quiet)
        else:
            eye = named_encoder(
                encoder or "clip-vit-b16",
                dtype=dtype,
                device=device,
                weights=weights,
                offline=offline,
                quiet=quiet,
            )
        from morelli.encoders import expand_kinds

        with progress(quiet) as display:
            task = display.add_task("perturbing", total=None)

            def advance(spec: str, number: int, count: int) -> None:
                display.update(task, description=spec or "clean", completed=number, total=count)

            extract_perturbed(
                list(_listed(source, label_from is not None)()),
                features,
                encoder=eye,
                perturbations=named,
                kinds=list(dict.fromkeys(expand_kinds(wanted, layers=eye.layers))),
                progress=advance,
                workers=workers,
                batch_size=batch_size,
            )
    FeatureTable.open(features)
    made = Run(
        kind="robustness",
        inputs=(Input("features", str(features)), *inputs),
        detectors=tuple(detectors or ()),
        protocols=("robustness",),
        refit=refit.value,
        seed=seed,
    )
    done = _reported(
        made,
        out,
        options=_options(rounds, level, seed, "source"),
        name=name or "The same images, delivered worse",
        images=None if features == Path(source[0]) else source,
        label_from=label_from is not None,
        audit=None,
        maps="none",
        spectra=False,
        thumbnails=thumbnails,
        quiet=quiet,
    )
    if not quiet:
        _show_sweep(done)


@evaluate.command("univfd-sets")
def univfd_sets(
    root: Annotated[
        Path,
        typer.Argument(metavar="ROOT", show_default=False, help="The folder with progan/, cyclegan/, …."),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE.csv", show_default=False, help="Manifest to write."),
    ],
    published_counts: Annotated[
        bool,
        typer.Option(
            "--published-counts",
            help="1000 images of each class, or 100 where a class has fewer, as published.",
        ),
    ] = False,
    seed: Seed = 0,
) -> None:
    """Read the folder layout of UnivFD's 19 test sets into a manifest that `extract` takes.

    Examples:

        morelli evaluate univfd-sets CNN_synth_testset/ -o sets.csv

        morelli extract sets.csv -o sets.lance --transform univfd-224-crop-v1 --kinds final
    """
    import csv

    from morelli.evaluation import univfd_items
    from morelli.evaluation import univfd_sets as read

    sets = read(root, sample=(1000, 100) if published_counts else None, seed=seed)
    rows = [
        (
            str((root / item.uri).resolve()),
            "fake" if item.label else "real",
            item.generator or "",
            item.metadata["set"],
        )
        for item in univfd_items(sets, root)
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "label", "generator", "set"))
        writer.writerows(rows)
    counts = ", ".join(f"{s.name} {len(s.reals)}+{len(s.fakes)}" for s in sets)
    console().print(
        f"{out}: {len(rows):,} images in {len(sets)} sets: {counts}", highlight=False, markup=False
    )


def _bundle_inputs(bundles: Sequence[str] | None) -> list[Input]:
    from morelli.evaluation import Input

    return [Input("bundle", path) for path in bundles or ()]


def _options(rounds: int, level: float, seed: int, real_groups: str) -> MeasureOptions:
    from morelli.evaluation import MeasureOptions

    return MeasureOptions(rounds=rounds, level=level, seed=seed, real_groups=real_groups)


def _listed(paths: Sequence[str], from_folders: bool) -> Callable[[], list[ImageItem]]:
    from morelli.images import iter_source

    return lambda: list(iter_source(list(paths), label_from="folders" if from_folders else None))


def _reported(
    made: Run,
    out: Path,
    *,
    options: MeasureOptions,
    name: str,
    images: Sequence[str] | None,
    label_from: bool,
    audit: Path | None,
    maps: Any,
    spectra: bool,
    thumbnails: bool,
    quiet: bool,
) -> Report:
    """Execute the run and write its report."""
    from morelli.evaluation import execute, report_folder, write_report

    report_folder(out)

    found = None
    if audit is not None:
        import json

        file = audit / "audit.json" if audit.is_dir() else audit
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError(
                f"{file} cannot be read ({error}); make it with `morelli audit -o`"
            ) from error
    if spectra and not images:
        raise UsageError("--spectra needs the images themselves: --images PATH.")
    with progress(quiet) as display:
        task = display.add_task("evaluating", total=None)
        executed = execute(made)
        return write_report(
            executed,
            out,
            options=options,
            name=name,
            command=shlex.join(["morelli", *sys.argv[1:]]),
            images=_listed(images, label_from) if images else None,
            audit=found,
            maps=maps,
            spectra=spectra,
            thumbnails=thumbnails,
            say=lambda what: display.update(task, description=what),
        )


def _show(summary: Summary, report: Report) -> None:
    """The main figures on the screen, file facts beside each."""
    from rich import box
    from rich.table import Table

    screen = console()
    for protocol in dict.fromkeys(r.protocol for r in summary.results):
        own = [r for r in summary.results if r.protocol == protocol]
        grid = Table(
            "detector", "images", "AUC", "file facts", "AP", "at 5 % alarms", "weakest", box=box.SIMPLE_HEAD
        )
        for r in own:
            grid.add_row(
                printable(r.detector),
                f"{r.n_images:,}",
                str(r.metrics.get("auc", "–")),
                f"{r.metadata_only.value:.3f}" if r.metadata_only else "unknown",
                _brief(r.metrics.get("average_precision")),
                _brief(r.metrics.get("tpr_at_0.05_fpr")),
                printable(r.worst_generator or "–"),
            )
        screen.print(f"{protocol}, {own[0].perturbation or 'as delivered'}", markup=False, highlight=False)
        screen.print(grid)
    for note in report.document["run"].get("notes", []):
        error_console().print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    screen.print(f"Report: {report.page}", markup=False, highlight=False, soft_wrap=True)


def _brief(estimate: Any) -> str:
    return "–" if estimate is None else f"{estimate.value:.3f}"


def _show_pairs(found: Sequence[Comparison]) -> None:
    from rich import box
    from rich.table import Table

    grid = Table(
        "protocol", "first", "second", "images", "AUC, first − second", "p (Holm)", "McNemar p",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for c in found:
        auc = c.differences.get("auc")
        grid.add_row(
            printable(c.protocol),
            printable(c.first),
            printable(c.second),
            f"{c.n_images:,}",
            "–" if auc is None else f"{auc.value:+.3f} ({auc.low:+.3f} to {auc.high:+.3f})",
            "–" if auc is None else f"{c.adjusted['auc']:.3g}",
            f"{c.mcnemar.p_value:.3g}",
        )
    console().print(grid)


def _show_sweep(done: Report) -> None:
    from rich import box
    from rich.table import Table

    points = [p for p in done.document["robustness"] if p["family"] == "all"]
    names = list(dict.fromkeys(p["detector"] for p in points))
    grid = Table("delivery", *(f"{printable(n)}, AUC" for n in names), box=box.SIMPLE_HEAD)
    for spec in dict.fromkeys(p["perturbation"] for p in points):
        own = {p["detector"]: p["auc"]["value"] for p in points if p["perturbation"] == spec}
        grid.add_row(spec or "clean", *(f"{own[n]:.3f}" if n in own else "–" for n in names))
    screen = console()
    screen.print(grid)
    screen.print(f"Report: {done.page}", markup=False, highlight=False, soft_wrap=True)
