"""`morelli bank`: the evidence inside a bundle, changed without refitting."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from morelli.cli._console import console, printable
from morelli.cli._errors import warn
from morelli.cli._outputs import LABELS
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.detectors import Bank, Bundle

bank = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", show_default=False, help="A bundle folder.")]
Out = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="BUNDLE", help="Folder to write instead of changing BUNDLE."),
]


@bank.callback()
def _group() -> None:
    """Look at a bundle's bank of labelled features, add to it, remove from it.

    The bank gives every verdict its nearest pictures and decides what is out of domain. For a detector by
    nearest neighbours it is also what scores; a linear probe's scores do not move.

    Several programs may change one bundle at once: the second waits for the first, and no change is lost.
    """


@bank.command()
def info(
    bundle: BundleFolder,
    *,
    json_document: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Count the bank's images by label, and by generator or source.

    Examples:

        morelli bank info my-bundle/
    """
    members = _bank_of(_load(bundle), bundle)
    counts: Counter[tuple[str, str]] = Counter(
        (LABELS[int(label)], _shown(generator))
        for label, generator in zip(members.labels, members.generators, strict=True)
    )
    if json_document:
        rows = [{"label": label, "origin": name, "images": n} for (label, name), n in sorted(counts.items())]
        document = {"images": len(members), "kinds": members.kinds, "limit": members.limit, "origins": rows}
        typer.echo(json.dumps(document, indent=1))
        return
    from rich import box
    from rich.table import Table

    table = Table("label", "generator or source", "images", box=box.SIMPLE_HEAD, pad_edge=False)
    for (label, name), n in sorted(counts.items()):
        table.add_row(label, printable(name), f"{n:,}")
    screen = console()
    screen.print(table)
    limit = "no limit" if members.limit is None else f"cosine distance {members.limit:.3f}"
    screen.print(
        f"{len(members):,} images compared by {', '.join(members.kinds)}; out of domain beyond: {limit}.",
        highlight=False,
    )


@bank.command()
def add(
    bundle: BundleFolder,
    table: Annotated[
        Path,
        typer.Argument(metavar="F.lance", show_default=False, help="Labelled features, same build."),
    ],
    *,
    out: Out = None,
) -> None:
    """Add the labelled images of a feature table to the bank; images that it has already are left out.

    Examples:

        morelli bank add my-bundle/ newcomers.lance

        morelli bank add my-bundle/ newcomers.lance -o wider-bundle/
    """
    from morelli.features import FeatureTable

    with _held(bundle, out):
        detector = _load(bundle)
        detector.check_target(out or bundle)
        before = len(_bank_of(detector, bundle))
        source = FeatureTable.open(table)
        source.build.require_same(detector.build, what=f"the bundle {bundle}")
        missing = [kind for kind in _bank_of(detector, bundle).kinds if kind not in source.kinds]
        if missing:
            again = detector.extract_command()
            raise UsageError(f"{table} lacks {', '.join(missing)}. Extract again: {again}")
        features = source.load(kinds=list(_bank_of(detector, bundle).kinds), where="label IS NOT NULL")
        grown = detector.with_bank_added(features)
        grown.save(out or bundle)
    after = len(_bank_of(grown, bundle))
    typer.echo(f"{out or bundle}: {after - before:,} images added, {after:,} in the bank.")


@bank.command()
def remove(
    bundle: BundleFolder,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="SHA256", help="Ids of images, or unambiguous beginnings of them."),
    ] = None,
    *,
    generator: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Every image by this generator or source.")
    ] = None,
    out: Out = None,
) -> None:
    """Remove images from the bank, by id or all of one generator or source.

    Ids are the SHA-256 of the image files; verdicts name them as `id` of a neighbour.

    Examples:

        morelli bank remove my-bundle/ 2d2da5e2 77c1f0aa

        morelli bank remove my-bundle/ --generator stylegan
    """
    if not ids and not generator:
        raise UsageError("Name ids or a --generator to remove.")
    with _held(bundle, out):
        detector = _load(bundle)
        detector.check_target(out or bundle)
        members = _bank_of(detector, bundle)
        gone = list(ids or [])
        for name in generator or []:
            found = [
                one for one, made in zip(members.ids, members.generators, strict=True) if _shown(made) == name
            ]
            if not found:
                raise UsageError(
                    f"No image by {name!r} in the bank; `morelli bank info {bundle}` lists what is."
                )
            gone += found
        shrunk = detector.with_bank_removed(list(dict.fromkeys(gone)))
        shrunk.save(out or bundle)
    after = len(_bank_of(shrunk, bundle))
    typer.echo(f"{out or bundle}: {len(members) - after:,} images removed, {after:,} in the bank.")


def _shown(generator: str | None) -> str:
    """The name under which `info` counts an image, and `remove` takes it."""
    return generator or "unknown"


@contextmanager
def _held(bundle: Path, out: Path | None) -> Iterator[None]:
    """Hold the bundle from reading to writing, unless another folder is written."""
    if out is not None and out.resolve() != bundle.resolve():
        yield
        return
    from morelli.artefacts import locked

    with locked(bundle, on_message=lambda line: warn(printable(line))):
        yield


def _load(path: Path) -> Bundle:
    from morelli.detectors import Bundle

    return Bundle.load(path)


def _bank_of(bundle: Bundle, path: Path) -> Bank:
    if bundle.bank is None:
        raise UsageError(f"{path} has no bank: it was imported, or fitted without one.")
    return bundle.bank
