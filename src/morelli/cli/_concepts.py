"""`morelli concepts`: named directions to explain generators with, made from edits, texts or examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from morelli.cli._console import console, printable, progress
from morelli.cli._encoder_loading import named_encoder, weights_progress
from morelli.cli._errors import warn
from morelli.cli._options import Device, DeviceChoice, Dtype, DtypeChoice, Offline, Quiet, WeightsPath
from morelli.errors import ImageError, UsageError

if TYPE_CHECKING:
    from PIL import Image

    from morelli.encoders import Encoder
    from morelli.explanation.concepts import ConceptBank

concepts = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


class ConceptsFrom(StrEnum):
    """What directions are made from."""

    edits = "edits"
    texts = "texts"
    vocabulary = "vocabulary"
    bank = "bank"
    examples = "examples"


BankFolder = Annotated[
    Path, typer.Argument(metavar="BANK", show_default=False, help="A concept bank, or default.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@concepts.callback()
def _group() -> None:
    """Build banks of concepts, list them, look into them.

    A concept is a named direction in the encoder's feature space. `morelli explain generator` says which of
    them lie along the difference between a generator's images and real ones.
    """


@concepts.command()
def build(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH",
            show_default=False,
            help="Real photographs for edits, a list of texts, or an .npz text bank.",
        ),
    ] = None,
    *,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="BANK", show_default=False, help="Folder to write.")
    ],
    made_from: Annotated[ConceptsFrom, typer.Option("--from", help="What the directions are made from.")] = (
        ConceptsFrom.edits
    ),
    kind: Annotated[
        str, typer.Option(help="Feature kind: final, layer:k or mean:k; texts exist in final only.")
    ] = "final",
    encoder: Annotated[
        str, typer.Option(help="A registered name, a hub id, or a model folder in hub format.")
    ] = "clip-vit-b16",
    transform: Annotated[
        str | None, typer.Option(metavar="ID", help="Another image transform than the encoder's own.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the concept that examples show.")
    ] = None,
    with_it: Annotated[
        list[str] | None, typer.Option("--with", metavar="PATH", help="Pictures that have it.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option("--without", metavar="PATH", help="Pictures that lack it.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=4, help="How many photographs edits are tried on, at most.")
    ] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the choice of photographs and of edits with noise.")] = 0,
    dtype: Dtype = DtypeChoice.auto,
    weights: WeightsPath = None,
    device: Device = DeviceChoice.auto,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Build a concept bank.

    From edits: each photograph is made more saturated, blurred, compressed and so on, and the direction is
    how its features move; this needs no text tower. From texts: a file with one text a line, or opposites
    as `one | other`; without a file, opposites that come along. The text tower of clip-vit-b16 comes from
    the model hub, with clip-vit-b16-openai. From a text bank: an .npz with the arrays
    `names` and `emb` of the same encoder. From examples: pictures with and without the concept.

    Examples:

        morelli concepts build photos/ -o edits.concepts

        morelli concepts build photos/ -o early.concepts --kind layer:8

        morelli concepts build looks.txt -o looks.concepts --from texts --encoder models/clip/

        morelli concepts build -o bokeh.concepts --from examples --name bokeh --with a/ --without b/
    """
    from morelli.explanation.concepts import (
        ConceptBank,
        concepts_of_text_bank,
        edit_banks,
        text_concepts,
        vocabulary_concepts,
    )

    given = list(paths or [])
    ConceptBank.check_target(out)
    _check(made_from, given, kind=kind, name=name, with_it=with_it, without=without)
    loaded = named_encoder(
        encoder,
        dtype=dtype,
        device=device,
        weights=weights,
        transform=transform,
        offline=offline,
        quiet=quiet,
    )
    if made_from is ConceptsFrom.edits:
        with progress(quiet) as display:
            task = display.add_task("photographs", total=None)

            def advance(done: int, total: int) -> None:
                display.update(task, completed=done, total=total)

            pictures = _pictures(given, limit, seed)
            bank = edit_banks(pictures, loaded, kinds=[kind], random_state=seed, progress=advance)[kind]
    elif made_from is ConceptsFrom.texts:
        with weights_progress(quiet) as on_progress:
            bank = text_concepts(loaded, _texts(given), progress=on_progress)
    elif made_from is ConceptsFrom.vocabulary:
        with weights_progress(quiet) as on_progress:
            bank = vocabulary_concepts(loaded, progress=on_progress)
    elif made_from is ConceptsFrom.bank:
        from morelli.encoders import TextBank

        bank = concepts_of_text_bank(TextBank.load(given[0]), build=loaded.build)
        bank.check(loaded.build, loaded.dim)
    else:
        assert name is not None
        bank = _examples(name, with_it or [], without or [], kind, loaded)
    bank.save(out)
    if not quiet:
        typer.echo(f"{out}: {len(bank):,} concepts in {bank.kind} of {loaded.card.name}.", err=True)


@concepts.command("list")
def list_(bank: BankFolder, *, json_document: Json = False) -> None:
    """List a bank's concepts: both ends, what they were made from, how reliable they are.

    Reliability is the cosine between the directions of two halves of the material: below about 0.5 the
    direction is mostly chance, and more photographs or examples are needed.

    Examples:

        morelli concepts list default

        morelli concepts list edits.concepts
    """
    found = concept_bank(bank)
    if json_document:
        rows = [{**c.__dict__} for c in found.concepts]
        build = found.build.to_json() if found.build else None
        typer.echo(json.dumps({"kind": found.kind, "build": build, "concepts": rows}, ensure_ascii=False))
        return
    from rich import box
    from rich.table import Table

    table = Table("concept", "opposite", "made from", "reliability", box=box.SIMPLE_HEAD, pad_edge=False)
    for one in found.concepts:
        sure = "" if one.reliability is None else f"{one.reliability:.2f}"
        table.add_row(printable(one.name), printable(one.opposite), one.source, sure)
    console().print(table)
    console().print(f"{len(found):,} concepts in {found.kind}, {found.dim} values each.", highlight=False)


@concepts.command()
def inspect(
    bank: BankFolder,
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="A concept of the bank.")],
    *,
    table: Annotated[
        Path | None, typer.Option(metavar="F.lance", help="Show the images of this table at both ends.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many neighbours and images.")] = 5,
) -> None:
    """Say how a concept was made, which others resemble it, and which images lie at its ends.

    Examples:

        morelli concepts inspect edits.concepts "more saturated"

        morelli concepts inspect edits.concepts hazy --table mine.lance
    """
    import numpy as np

    found = concept_bank(bank)
    row = found.index(name)
    one = found.concepts[row]
    screen = console()

    def print_line(text: str) -> None:
        screen.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    print_line(f"{one.name} (opposite: {one.opposite})")
    print_line(f"  made from {one.source}: {one.description}")
    if one.reliability is not None:
        print_line(f"  reliability {one.reliability:.2f}, on {one.n:,} images")
    cosine = found.directions @ found.directions[row]
    order = [i for i in np.argsort(-np.abs(cosine)) if i != row][:top]
    for i in order:
        print_line(f"  {cosine[i]:+.2f}  {found.concepts[i].name}")
    if table is None:
        return
    from morelli.features import FeatureTable

    features = FeatureTable.open(table).load(kinds=[found.kind])
    X = features.matrix(found.kind)
    found.check(features.build, X.shape[1])
    unit = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12)
    at = unit @ found.directions[row]
    at = (at - at.mean()) / max(float(at.std()), 1e-12)
    uris = features.column("uri")
    for end, ranked in ((one.name, np.argsort(-at)[:top]), (one.opposite, np.argsort(at)[:top])):
        print_line(f"{end}, in standard deviations:")
        for i in ranked:
            print_line(f"  {at[i]:+.1f}  {uris[i]}")


def concept_bank(path: Path) -> ConceptBank:
    """The bank in a folder; the word default stands for the one that comes along."""
    from morelli.explanation.concepts import ConceptBank, default_concepts_path

    return ConceptBank.load(default_concepts_path() if str(path) == "default" else path)


def _check(
    made_from: ConceptsFrom,
    given: list[str],
    *,
    kind: str,
    name: str | None,
    with_it: list[str] | None,
    without: list[str] | None,
) -> None:
    """Refuse what cannot work before weights are loaded."""
    if made_from is ConceptsFrom.edits and not given:
        raise UsageError("Edits need real photographs: morelli concepts build PHOTOS -o BANK.")
    if made_from is ConceptsFrom.bank and len(given) != 1:
        raise UsageError("--from bank takes one .npz file with the arrays names and emb.")
    if made_from in (ConceptsFrom.examples, ConceptsFrom.vocabulary) and given:
        raise UsageError(
            f"--from {made_from.value} takes no PATH; examples are named by --with and --without."
        )
    if made_from is ConceptsFrom.examples and not (name and with_it and without):
        raise UsageError("Examples need --name NAME, --with PATH and --without PATH.")
    if made_from not in (ConceptsFrom.edits, ConceptsFrom.examples) and kind != "final":
        raise UsageError(
            f"Texts live in the final embedding only, not in {kind}; use --from edits or --from examples."
        )


def _texts(paths: list[str]) -> list[str | tuple[str, str]] | None:
    from morelli.explanation.concepts import read_text_list

    return [text for path in paths for text in read_text_list(path)] or None


def _pictures(paths: list[str], limit: int, seed: int) -> Iterator[Image.Image]:
    """At most `limit` images of the sources, chosen by the seed; unreadable ones are named and left out."""
    import numpy as np

    from morelli.images import decode, iter_source
    from morelli.images.layouts import SourceReport

    report = SourceReport()
    items = list(iter_source(paths, report=report))
    if passed := report.passed_over():
        warn(printable(passed))
    order = np.random.default_rng(seed).permutation(len(items))
    taken = 0
    for i in order:
        if taken == limit:
            return
        try:
            yield decode(items[i].read()).image
        except ImageError as error:
            warn(f"{printable(items[i].uri)}: {error}")
            continue
        taken += 1


def _examples(name: str, with_it: list[str], without: list[str], kind: str, loaded: Encoder) -> ConceptBank:
    import numpy as np

    from morelli.explanation.concepts import example_concepts

    sides = []
    for paths in (with_it, without):
        rows = [
            loaded.trace(loaded.transform(image)[None], kinds=[kind])[kind][0]
            for image in _pictures(paths, 10_000, 0)
        ]
        sides.append(np.stack(rows) if rows else np.empty((0, loaded.dim), np.float32))
    return example_concepts({name: (sides[0], sides[1])}, kind=kind, build=loaded.build)
