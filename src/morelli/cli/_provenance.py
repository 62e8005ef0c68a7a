"""`morelli provenance`: what files say about themselves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from morelli.cli._console import console, printable, progress
from morelli.cli._errors import outcome
from morelli.cli._failures import print_failures
from morelli.cli._options import ImageColumn, LabelColumn, LabelFrom, LayoutOption, Quiet, Root, Sources
from morelli.cli._outputs import CLAIMS, STRENGTHS
from morelli.cli._sources import collection_of, print_source_report
from morelli.errors import SourceError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from morelli.images import ImageItem
    from morelli.provenance import Finding, Provenance

SHOWN = 50
SHORT = 60


def provenance(
    sources: Sources,
    *,
    trust: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM",
            help="Root certificates of trusted signers; without them every valid signer is unknown.",
        ),
    ] = None,
    pixels: Annotated[
        bool,
        typer.Option(
            "--pixels", help="Decode each picture too: look for watermarks, compare the EXIF thumbnail."
        ),
    ] = False,
    label_from: LabelFrom = None,
    layout: LayoutOption = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    root: Root = None,
    json_document: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    quiet: Quiet = False,
) -> None:
    """Say what files say about themselves: Content Credentials, IPTC, generator metadata, camera data.

    It is evidence apart from any verdict on the pixels: it may raise suspicion and never lowers it, and a
    file without any statement proves nothing. Nothing is fetched from the network.

    Examples:

        morelli provenance picture.png

        morelli provenance incoming/ --trust anchors.pem --json

    Exit codes: 0 all done, 2 wrong usage, 3 some files failed (listed), 4 nothing could be done.
    """
    import json

    from morelli.errors import ImageError
    from morelli.images import decode, iter_source, read_bytes
    from morelli.images.layouts import SourceReport
    from morelli.provenance import TrustList, read_provenance

    reading = collection_of(
        label_from=label_from, layout=layout, image_column=image_column, label_column=label_column, root=root
    )
    understood = SourceReport()
    anchors = TrustList.load(trust) if trust is not None else None
    counts: Counter[str] = Counter()
    shown: list[tuple[str, Provenance]] = []
    records: list[dict[str, Any]] = []
    failed: list[tuple[str, str, str]] = []
    done = 0
    with progress(quiet, lines=not json_document) as display:
        task = display.add_task("reading", total=None)
        for item in iter_source(list(sources), report=understood, **reading):
            try:
                data = read_bytes(item)
                found = read_provenance(data, trust=anchors, pixels=pixels)
                if found.format is None:
                    decode(data)  # which says what it is instead
                    raise ImageError("not_an_image", "the content is not an image in any accepted format")
            except ImageError as error:
                failed.append((item.uri, error.reason, str(error)))
                if json_document:
                    failure = {"reason": error.reason, "message": str(error)}
                    records.append({"uri": item.uri, **_labels(item), "error": failure})
                continue
            done += 1
            counts[found.claims] += 1
            if json_document:
                records.append({"uri": item.uri, **_labels(item), **found.to_json()})
            elif len(shown) < SHOWN:
                shown.append((item.uri, found))
            display.update(task, completed=done)
    print_source_report(understood, reading, quiet=quiet or json_document)
    if json_document:
        summary = {"done": done, "failed": len(failed), "claims": {name: counts[name] for name in CLAIMS}}
        typer.echo(json.dumps({"files": records, "summary": summary}, indent=1, ensure_ascii=False))
    elif not quiet and done:
        _show(shown, counts, done)
    if not quiet:
        print_failures(failed, "read", rest="--json lists them all", sources=sources, done=done)
    if not done + len(failed):
        raise SourceError(f"No image found in {', '.join(sources)}.")
    raise typer.Exit(outcome(done, len(failed)))


def _labels(item: ImageItem) -> dict[str, str]:
    """What the collection says of an image, where it says anything; apart from what the file says."""
    given = {
        "label": None if item.label is None else ("real", "fake")[item.label],
        "generator": item.generator,
    }
    return {name: value for name, value in given.items() if value is not None}


def _show(shown: list[tuple[str, Provenance]], counts: Counter[str], done: int) -> None:
    screen = console()
    screen.print(provenance_table(shown))
    for uri, found in shown:
        if found.suspicious or len(shown) == 1:
            name = f" – {printable(uri)}" if len(shown) > 1 else ""
            screen.print(_text(f"{CLAIMS[found.claims][0]} {found.sentence}{name}"), soft_wrap=True)
    if done > len(shown):
        screen.print(f"{done - len(shown):,} further files are not shown; --json lists all.", highlight=False)
    words = ", ".join(f"{counts[name]} {CLAIMS[name][1]}" for name in CLAIMS if counts[name])
    screen.print(f"{'1 file' if done == 1 else f'{done:,} files'}: {words}", highlight=False)
    screen.print("A file without a statement proves nothing.", style="dim", highlight=False)


def provenance_table(shown: list[tuple[str, Provenance]]) -> Table:
    """One row for each finding, under the file's name."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("file", overflow="fold", min_width=12)
    table.add_column("claim", no_wrap=True)
    table.add_column("worth", overflow="fold", min_width=8)
    table.add_column("tool", overflow="fold", min_width=8)
    table.add_column("where", overflow="fold", min_width=8)
    table.add_column("details", overflow="fold", min_width=12)
    for uri, found in shown:
        name = printable(uri)
        for finding in found.findings:
            mark, words, colour = CLAIMS[finding.claims]
            tool = " ".join(filter(None, (finding.tool, finding.version)))
            table.add_row(
                _text(name),
                _text(f"{mark} {words}", colour),
                _text(STRENGTHS[finding.strength]),
                _text(tool or "–"),
                _text(finding.place),
                _text(_details(finding), "dim"),
            )
            name = ""
        if not found.findings:
            table.add_row(_text(name), _text("– says nothing", "grey58"), *[_text("–", "dim")] * 4)
        for watermark, state in found.watermarks.items():
            table.add_row("", _text("", ""), "", _text(watermark), _text("pixels"), _text(state, "dim"))
        for note in found.notes:
            table.add_row("", _text("note", "yellow3"), "", "", "", _text(note, "dim"))
    return table


def _details(finding: Finding) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in finding.details.items())


def _short(value: str) -> str:
    line = " ".join(value.split())
    return line if len(line) <= SHORT else line[: SHORT - 1] + "…"


def _text(words: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(printable(words), style=style)
