"""`morelli explain`: in words, what sets a generator's images apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from morelli.cli._concepts import concept_bank
from morelli.cli._console import console, printable
from morelli.cli._options import PerturbationId, Quiet
from morelli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from morelli.explanation.concepts import ConceptBank
    from morelli.features import Features

explain = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@explain.callback()
def _group() -> None:
    """Explain what separates images, in the words of a concept bank (see `morelli concepts`)."""


@explain.command()
def generator(
    name: Annotated[
        str, typer.Argument(metavar="GENERATOR", show_default=False, help="A generator in the table.")
    ],
    table: Annotated[Path, typer.Argument(metavar="F.lance", show_default=False, help="Labelled features.")],
    *,
    concepts: Annotated[
        list[Path],
        typer.Option(
            metavar="BANK", show_default=False, help="A concept bank, or default; several are put together."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Write a page, a plot and JSON there."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="GENERATOR", help="Compare with this generator instead of real images."),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Corrected p-value below which a concept is named.")] = 0.01,
    permutations: Annotated[int, typer.Option(min=100, help="Random relabellings behind p-values.")] = 2000,
    perturbation: PerturbationId = None,
    seed: Annotated[int, typer.Option(help="Seed of permutations and bootstrap.")] = 0,
    json_document: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    quiet: Quiet = False,
) -> None:
    """Say which concepts set a generator's images apart from the real ones in a feature table.

    Each finding has its cosine with the generator's residual (mean of its images minus mean of the real
    ones), an interval, and a p-value corrected for the number of concepts. What file facts alone could
    explain is said too: formats and sizes that differ, and how well they tell the sets apart.

    Examples:

        morelli explain generator sdxl mine.lance --concepts default

        morelli explain generator sdxl mine.lance --concepts edits.concepts --against dalle3 -o sdxl/
    """
    from morelli.encoders import kind_ranges
    from morelli.explanation import explain_generator, rows_of_generator
    from morelli.features import FeatureTable
    from morelli.reports import explanation_json, explanation_sentences, report_folder, write_explanation

    if out is not None:
        report_folder(out, "explanation")
    banks = load_banks(concepts)
    if len(banks) > 1:
        raise UsageError("These banks are of several feature kinds; explain in one kind at a time.")
    bank = banks[0]
    source = FeatureTable.open(table)
    if bank.kind not in source.kinds:
        raise UsageError(
            f"{table} has no features of kind {bank.kind}, which the concepts are made of; it has "
            f"{kind_ranges(source.kinds)}. Extract with --kinds {bank.kind}, or build a bank with --kind."
        )
    where = source.one_perturbation(perturbation, "label IS NOT NULL")
    features = source.load(kinds=[bank.kind], where=where)
    first = rows_of_generator(features, name)
    found = explain_generator(
        features,
        name,
        bank,
        against=against,
        alpha=alpha,
        permutations=permutations,
        metadata_auc=_metadata_auc(features, first) if against is None else None,
        random_state=seed,
    )
    if out is not None:
        write_explanation(found, out)
    if json_document:
        typer.echo(json.dumps(explanation_json(found), ensure_ascii=False))
    elif not quiet:
        screen = console()
        for sentence in explanation_sentences(found):
            screen.print(printable(f"- {sentence}"), markup=False, highlight=False, soft_wrap=True)
        if out is not None:
            screen.print(f"{out}: explanation.html, .md, .png and .json", highlight=False)


def load_banks(paths: Sequence[Path]) -> list[ConceptBank]:
    """The banks, those of one feature kind put together, in the order in which kinds first occur."""
    found: dict[str, ConceptBank] = {}
    for path in paths:
        bank = concept_bank(path)
        found[bank.kind] = found[bank.kind].joined(bank) if bank.kind in found else bank
    return list(found.values())


def _metadata_auc(features: Features, first: npt.NDArray[np.intp]) -> float | None:
    """How well file facts alone tell these fakes from the reals; None where that cannot be computed."""
    import numpy as np

    from morelli.audit import metadata_only_auc

    rows = np.concatenate([np.flatnonzero(features.labels == 0), first])
    try:
        return metadata_only_auc(features.take(rows), rounds=20).auc
    except UsageError:
        return None
