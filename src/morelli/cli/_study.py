"""`morelli study`: what makes a detector carry over to generators it never saw."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from morelli.cli._console import console, error_console
from morelli.cli._explain import load_banks
from morelli.cli._options import PerturbationId, Quiet
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.explanation.concepts import ConceptBank
    from morelli.features import Features

study = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


class Basis(StrEnum):
    """In which basis components are removed."""

    identity = "identity"
    pca = "pca"
    residual = "residual"


class Reals(StrEnum):
    """What of the real images stays on one side of a halving."""

    source = "source"
    image = "image"


@study.callback()
def _group() -> None:
    """Run whole studies on a labelled table."""


@study.command()
def transfer(
    table: Annotated[Path, typer.Argument(metavar="F.lance", show_default=False, help="Labelled features.")],
    *,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", show_default=False, help="Folder to write.")
    ],
    unit: Annotated[str, typer.Option(help="Column that says what counts as one generator.")] = "lineage",
    least: Annotated[int, typer.Option(min=2, help="Fewest images of a generator.")] = 10,
    splits: Annotated[int, typer.Option(min=1, help="Halvings of the real images, each used both ways.")] = 1,
    holdouts: Annotated[
        int,
        typer.Option(
            min=0, help="Folds of generators held out of a choice together; 0 each by itself, slower."
        ),
    ] = 6,
    families: Annotated[
        str, typer.Option(help="The two values of the column family to cross, by a comma.")
    ] = "gan,diffusion",
    basis: Annotated[Basis, typer.Option(help="Basis in which components are removed.")] = Basis.identity,
    reals: Annotated[
        Reals, typer.Option(help="Halve real images by source, or image by image, which flatters.")
    ] = Reals.source,
    concepts: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="BANK",
            show_default=False,
            help="Concept banks in which generators and heads are explained, or default.",
        ),
    ] = None,
    perturbation: PerturbationId = None,
    controls: Annotated[
        bool, typer.Option("--controls/--no-controls", help="Remove as many at random, too.")
    ] = True,
    variants: Annotated[
        str,
        typer.Option(metavar="NAMES", help="Rows beside the baseline, by commas, as study.json names them."),
    ] = "",
    bundle: Annotated[
        bool, typer.Option("--bundle/--no-bundle", help="Also fit the winner, as FOLDER/bundle.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Seed of splits, folds and bootstrap draws.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Compare what carries over to unseen generators: embedding, blocks, components removed, heads chosen.

    The table needs final; blocks count where it has layers, heads where it has heads. A detector is
    fitted on one generator and scored on another, over all pairs, and whatever a row chooses, it chooses
    without the generators it is scored on. Each detector is also trained on all known generators together.
    The folder gets study.html, study.md, study.json and study.png, and the winner as a bundle.

    Examples:

        morelli extract set.csv -o F.lance --kinds final,layers,heads

        morelli study transfer F.lance -o study/

        morelli study transfer F.lance -o study/ --concepts default --reals image

        morelli study transfer F.lance -o study/ --basis pca --splits 3 --holdouts 0

        morelli study transfer F.lance -o study/ --variants "heads removed,random heads,directions"
    """
    from morelli.explanation.study import StudyOptions, study_bundle, transfer_study
    from morelli.features import FeatureTable
    from morelli.reports import report_folder, study_json, study_page, write_study

    report_folder(out, "study")
    source = FeatureTable.open(table)
    banks = load_banks(concepts or [])
    studied = ("final", "layer", "head", "headraw")
    kinds = [k for k in source.kinds if k.split(":")[0] in studied or any(k == bank.kind for bank in banks)]
    pair = tuple(part.strip() for part in families.split(",") if part.strip())
    if len(pair) != 2:
        raise UsageError(f"--families takes two names with a comma between; got {families!r}.")
    features = source.load(kinds=kinds, where=source.one_perturbation(perturbation, "label IS NOT NULL"))
    options = StudyOptions(
        unit=unit, least=least, splits=splits, holdouts=holdouts, families=pair, controls=controls,
        variants=tuple(name.strip() for name in variants.split(",") if name.strip()),
        mask={"basis": basis.value}, seed=seed, reals=reals.value,
    )  # fmt: skip
    errors = error_console()
    on_progress = None if quiet else lambda title: errors.print(f"{title} …", highlight=False, markup=False)
    result = transfer_study(features, options, progress=on_progress)
    document = study_json(result)
    if banks and on_progress:
        on_progress("explanations")
    explained = _explained(features, banks, document, seed)
    command = shlex.join(["morelli", *sys.argv[1:]])
    page = study_page(document, explanations=explained, command=command)
    fitted = None
    if bundle and result.winner.name != "residual":
        if on_progress:
            on_progress("bundle of the winner")
        fitted = study_bundle(result, features, name=out.resolve().name, command=command)
    write_study(result, out, page=page, explanations=explained, bundle=fitted)
    if quiet:
        return
    screen = console()
    screen.print(f"  {'':<50} one generator trains          all others train", highlight=False, markup=False)
    for row in result.rows:
        gain, more = (("" if g is None else str(g)) for g in (row.gain, row.pooled_gain))
        screen.print(
            f"  {row.title:<50} {row.ood:.3f} {gain:<23} {row.pooled.ood:.3f} {more}".rstrip(),
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
    screen.print(f"{out}: {document['verdict']}", highlight=False, markup=False, soft_wrap=True)


def _explained(
    features: Features, banks: list[ConceptBank], document: dict[str, Any], seed: int
) -> list[dict[str, Any]]:
    """Generators with images enough in the words of the banks; `document` is told of the kept heads."""
    from morelli.explanation import (
        LEAST_EXPLAINED,
        Heads,
        describe_heads,
        explain_generator,
        rows_of_generator,
    )
    from morelli.reports import explanation_json

    if not banks:
        return []
    heads = document["heads"]
    spoken = next((bank for bank in banks if bank.kind == "final"), None)
    if heads and spoken is not None:
        found = describe_heads(Heads.of(features), spoken, which=heads["kept"][:16])
        heads["texts"] = {
            str(k): str(one).partition(": ")[2] for k, one in zip(heads["kept"], found, strict=False)
        }
    return [
        explanation_json(explain_generator(features, name, bank, random_state=seed))
        for name in document["generators"]
        if len(rows_of_generator(features, name)) >= LEAST_EXPLAINED
        for bank in banks
    ]
