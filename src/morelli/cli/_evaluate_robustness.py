"""`morelli evaluate robustness`: the same images, delivered worse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from morelli.cli._console import console, error_console, printable, progress
from morelli.cli._encoder_loading import encoder_of, named_encoder
from morelli.cli._errors import outcome, warn
from morelli.cli._evaluate_options import (
    Bundles,
    Detectors,
    Level,
    Name,
    Out,
    Refit,
    RefitChoice,
    Rounds,
    Seed,
    Thumbnails,
    bundle_inputs,
    measure_options,
)
from morelli.cli._evaluate_reporting import listed, reported
from morelli.cli._failures import print_failures
from morelli.cli._options import (
    Device,
    DeviceChoice,
    Dtype,
    DtypeChoice,
    ImageColumn,
    LabelColumn,
    LabelFrom,
    LayoutOption,
    Offline,
    OptionalBatchSize,
    OptionalWorkers,
    Quiet,
    WeightsPath,
)
from morelli.cli._sources import collection_of, print_source_report
from morelli.errors import SourceError, UsageError

if TYPE_CHECKING:
    from morelli.detectors import Bundle
    from morelli.encoders import Encoder
    from morelli.reports import Report


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
    layout: LayoutOption = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    weights: WeightsPath = None,
    batch_size: OptionalBatchSize = None,
    workers: OptionalWorkers = None,
    device: Device = DeviceChoice.auto,
    dtype: Dtype = DtypeChoice.auto,
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
    fitted on clean images only. Images that are unreadable, or that a delivery refuses, are listed and left
    out of every delivery.

    Examples:

        morelli evaluate robustness mine/ --label-from folders --detector probe -o sweep/

        morelli evaluate robustness mine/ --label-from folders --bundle mine-bundle/ -o sweep/ --offline

        morelli evaluate robustness sweep/robustness.lance --detector knn:5 -o sweep-knn/

    Exit codes: 0 all done, 2 wrong usage, 3 some images failed (listed), 4 nothing could be done.
    """
    from morelli.detectors import Bundle, default_bundle_path
    from morelli.evaluation import Input, Run, extract_perturbed
    from morelli.features import FeatureTable
    from morelli.images.layouts import SourceReport
    from morelli.reports import report_folder

    report_folder(out)
    reading = collection_of(
        label_from=label_from, layout=layout, image_column=image_column, label_column=label_column
    )
    inputs = bundle_inputs(bundles)
    passed = _Passed(source)
    if len(source) == 1 and source[0].rstrip("/").endswith(".lance"):
        features = Path(source[0])
    else:
        features = table or out / "robustness.lance"
        bundled = [Bundle.load(default_bundle_path() if i.path == "default" else i.path) for i in inputs]
        how: dict[str, Any] = {"weights": weights, "device": device, "offline": offline, "quiet": quiet}
        if encoder is None and bundled:
            loaded = encoder_of(bundled[0].build, **how)
        else:
            loaded = named_encoder(encoder or "clip-vit-b16", dtype=dtype, **how)
        understood = SourceReport()
        items = listed(source, reading, understood)()
        print_source_report(understood, reading, quiet=quiet)
        labelled = [item for item in items if item.label is not None]
        if items and not labelled:
            raise UsageError(
                "no image has a label, and a sweep tells real from generated ones: give --label-from "
                "folders, --layout, or a manifest with the columns path and label"
            )
        if len(labelled) < len(items):
            warn(f"images without a label, left out of the sweep: {len(items) - len(labelled):,}")
        with _perturbing(quiet) as advance:
            extract_perturbed(
                labelled,
                features,
                encoder=loaded,
                perturbations=perturbations,
                kinds=_kinds(kinds, bundled, loaded),
                progress=advance,
                on_pass=passed.add,
                workers=workers,
                batch_size=batch_size,
            )
        passed.show()
    FeatureTable.open(features)
    made = Run(
        kind="robustness",
        inputs=(Input("features", str(features)), *inputs),
        detectors=tuple(detectors or ()),
        protocols=("robustness",),
        refit=refit.value,
        seed=seed,
    )
    done = reported(
        made,
        out,
        options=measure_options(rounds, level, seed, "source"),
        name=name or "The same images, delivered worse",
        images=None if features == Path(source[0]) else source,
        reading=reading,
        audit=None,
        maps="none",
        spectra=False,
        thumbnails=thumbnails,
        quiet=quiet,
    )
    if not quiet:
        _show_sweep(done)
        for note in done.document["run"].get("notes", []):
            error_console().print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    if passed.failed:
        raise typer.Exit(outcome(passed.clean, len(passed.failed)))


@dataclass
class _Passed:
    """What the passes made: how many images have clean features, and which failed in any pass."""

    sources: Sequence[str]
    clean: int = 0
    failed: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def add(self, spec: str, done: int, failed: Sequence[tuple[str, str, str]]) -> None:
        for uri, reason, message in failed:
            self.failed.setdefault(uri, (uri, reason, f"under {spec}: {message}" if spec else message))
        if spec:
            return
        self.clean = done
        if not self.clean:  # nor will any other pass make something
            self.show()
            if not self.failed:
                raise SourceError(f"No image found in {', '.join(self.sources)}.")
            raise typer.Exit(outcome(0, len(self.failed)))

    def show(self) -> None:
        """List what failed."""
        print_failures(
            list(self.failed.values()),
            "swept",
            rest="`FeatureTable.open(…).failures()` gives those of the last pass",
            sources=self.sources,
            done=self.clean,
        )


@contextmanager
def _perturbing(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar of images under each perturbation, as a function that moves it."""
    with progress(quiet) as display:
        task = display.add_task("perturbing", total=None)
        yield lambda spec, number, count: display.update(
            task, description=spec or "clean", completed=number, total=count
        )


def _kinds(named: str, bundles: Sequence[Bundle], encoder: Encoder) -> list[str]:
    """The kinds to keep: those named, by commas, and those that the bundles read."""
    from morelli.encoders import expand_kinds

    wanted = [*named.split(","), *(kind for bundle in bundles for kind in bundle.kinds)]
    return list(dict.fromkeys(expand_kinds(wanted, layers=encoder.layers)))


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
