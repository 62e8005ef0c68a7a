"""`morelli recipe`: whole detectors from public collections."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from morelli.cli._console import console, error_console, progress
from morelli.cli._encoder_loading import named_encoder
from morelli.cli._options import (
    Device,
    DeviceChoice,
    Dtype,
    DtypeChoice,
    Offline,
    OptionalWorkers,
    Quiet,
    WeightsPath,
)
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.recipes.plans import Plan

recipe = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", show_default=False, help="A recipe that `list` shows, or a JSON file."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@recipe.callback()
def _group() -> None:
    """Build a whole detector from public collections, or from your own folders.

    A recipe says which part of which collections is taken, on which terms they are given, which encoder sees
    the images, and how the detector is fitted and measured.
    """


@recipe.command("list")
def list_recipes(json_document: Json = False) -> None:
    """List the recipes with their collections, subset sizes, licences and encoder.

    Examples:

        morelli recipe list

        morelli recipe list --json
    """
    from morelli.recipes.plans import plans

    found = plans()
    if json_document:
        rows = [{"name": one.name, **one.document} for one in found]
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for one in found:
        _show(one)


@recipe.command("run")
def run(
    name: Name,
    *,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", show_default=False, help="Folder to write.")
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FOLDER",
            help="Folder on this machine that has a collection, instead of the hub. Again for more.",
        ),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(metavar="NAME", help="Another encoder than the recipe's.")
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(min=1, help="Images of each class of every collection at most, for a trial."),
    ] = None,
    remote: Annotated[
        bool,
        typer.Option("--remote", help="Fetch the repositories that a recipe file of others names."),
    ] = False,
    dtype: Dtype = DtypeChoice.auto,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the parts taken, of folds and draws.")] = 0,
    weights: WeightsPath = None,
    workers: OptionalWorkers = None,
    device: Device = DeviceChoice.auto,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Take a part of each collection, align, extract, fit and evaluate; write bundle, card and report.

    Stop it at any moment and start it again: each step's output is kept in FOLDER/work and recognised by a
    hash of what went into it. Collections of the hub are streamed: of a Parquet file only some row groups
    are read.

    Examples:

        morelli recipe run own-folders -o mine/ --data my-pictures/

        morelli recipe run openfake -o openfake/ --images 2000

        morelli recipe run genimage -o genimage/ --data GenImage/ --encoder clip-vit-b16
    """
    from morelli.recipes.plans import plan
    from morelli.recipes.run import run_plan

    chosen = plan(name)
    if images is not None:
        chosen = chosen.scaled(images)
    if not quiet:
        _show(chosen, encoder=encoder)
    model = named_encoder(
        encoder or chosen.encoder,
        dtype=dtype,
        device=device,
        weights=weights,
        offline=offline,
        quiet=quiet,
    )
    with progress(quiet) as display:
        task = display.add_task("", total=None)

        def step(title: str, again: bool) -> None:
            display.update(task, description=title, completed=0, total=None)
            if not quiet:
                there = ": there already" if again else ""
                error_console().print(f"{title}{there}", markup=False, highlight=False)

        def advance(what: str, done: int, total: int | None) -> None:
            display.update(task, description=what, completed=done, total=total)

        made = run_plan(
            chosen,
            out,
            encoder=model,
            data=_data(chosen, data or []),
            fetch=not offline and (chosen.shipped or remote),
            seed=seed,
            command=shlex.join(["morelli", *sys.argv[1:]]),
            workers=workers,
            on_step=step,
            on_progress=advance,
        )
    if quiet:
        return
    screen = console()
    auc, found = made.bundle.metrics["auc"], made.bundle.metrics["tpr_at_5_percent_fpr"]
    screen.print(
        f"{out}/bundle: AUC {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f}), "
        f"{100 * found['value']:.0f} % found at 5 % false alarms, groups held out.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    screen.print(f"Report: {out}/report/report.html", highlight=False, markup=False, soft_wrap=True)
    screen.print(f"Use it: morelli detect PICTURES --bundle {out}/bundle", markup=False, soft_wrap=True)


def _data(chosen: Plan, given: list[str]) -> dict[str, Path]:
    """Folders by collection; a bare folder is that of a recipe's only collection."""
    names = [one.name for one in chosen.collections]
    found: dict[str, Path] = {}
    for text in given:
        name, sign, path = text.partition("=")
        if not sign or name not in names:
            if len(names) > 1:
                raise UsageError(
                    f"--data {text}: say of which collection, as NAME=FOLDER: {', '.join(names)}."
                )
            name, path = names[0], text
        if name in found:
            raise UsageError(f"--data names a folder of {name} twice.")
        found[name] = Path(path)
    return found


def _show(one: Plan, *, encoder: str | None = None) -> None:
    """A recipe on the screen: what is taken, and on which terms."""
    screen = console()

    def line(text: str, **how: Any) -> None:
        screen.print(text, highlight=False, markup=False, soft_wrap=True, **how)

    line(f"{one.name}: {one.title}", style="bold")
    for part in one.collections:
        where = f"hub {part.repository}" if part.repository else "a folder of yours (--data)"
        line(f"  {part.name}: up to {part.real:,} real and {part.fake:,} generated, from {where}")
        line(f"    terms: {part.licence}")
        line(f"    see {part.page}")
    detector = one.fit["detector"]
    line(f"  encoder {encoder or one.encoder}; {detector}; measured by {', '.join(one.evaluate)}")
    line(f"  not measured: {one.unmeasured}")
