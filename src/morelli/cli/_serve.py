"""`morelli serve`: the browser app and the HTTP interface, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from morelli.cli._console import error_console
from morelli.cli._options import (
    Device,
    DeviceChoice,
    Offline,
    PrecisionChoice,
    PrecisionOption,
    Trust,
    TrustedEncoder,
    WeightsPaths,
)

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve_command(
    *,
    atlas: Annotated[
        list[Path] | None, typer.Option(metavar="NAME.atlas", help="An atlas to explore; may be repeated.")
    ] = None,
    report: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="A written report to show; may be repeated.")
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Folder that requests may read images from; may be repeated."),
    ] = None,
    collections: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Let the app build atlases from folders below this one, and write them into it.",
        ),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Detector, instead of the shipped one.")
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="A second detector, whose verdicts are shown beside the first one's."
        ),
    ] = None,
    distilled: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Distilled map, instead of the shipped one.")
    ] = None,
    concepts: Annotated[
        list[Path] | None, typer.Option(metavar="BANK", help="Concept bank for evidence in words.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="F.lance", help="Real images that concepts are measured from.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Allow uploads to be kept here when a request asks for it."),
    ] = None,
    feedback: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep what people call wrong, as F.jsonl or F.lance."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8017,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="MORELLI_TOKEN", help="What requests must carry; made up if the address needs one."
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST", help="Another name that browsers reach this server by; may be repeated."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
    trust: Trust = None,
    encoder: TrustedEncoder = None,
    weights: WeightsPaths = None,
    device: Device = DeviceChoice.auto,
    precision: PrecisionOption = PrecisionChoice.auto,
    offline: Offline = False,
) -> None:
    """Serve the browser app and the HTTP interface: check images, explore atlases, look at evaluations.

    Open the address that it prints. Only this machine can reach the server unless --host says otherwise; then
    requests need a token of 16 characters or more, which is made up and printed if none is given. No picture
    that is uploaded is kept, and no request leaves the machine.

    Examples:

        morelli serve

        morelli serve --atlas set.atlas --report report/

        morelli serve --collections pictures/

        morelli serve --bundle my-bundle/ --beside other-bundle/

        morelli serve --host 0.0.0.0 --name lab.example.org
    """
    from morelli.server import ServerSettings, new_token, serve

    if token is None and host not in LOOPBACK:
        token = new_token()
    settings = ServerSettings(
        host=host,
        port=port,
        token=token,
        hosts=tuple(name or ()),
        roots=tuple(root or ()),
        bundle=bundle,
        beside=beside,
        distilled=distilled,
        concepts=tuple(concepts or ()),
        reference=reference,
        atlases=tuple(atlas or ()),
        reports=tuple(report or ()),
        collections=collections,
        keep=keep,
        feedback=feedback,
        trust=trust,
        encoder=encoder,
        weights=tuple(weights) if weights and len(weights) > 1 else weights[0] if weights else None,
        device=device.value,
        precision=precision.value,
        offline=offline,
        workers=workers,
    )
    errors = error_console()
    serve(settings, on_message=lambda line: errors.print(line, highlight=False, markup=False, soft_wrap=True))
