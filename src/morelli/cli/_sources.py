"""Sources as the command line names them: what is read, from where, and what was understood."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from morelli.cli._console import error_console, printable
from morelli.cli._errors import warn
from morelli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from morelli.cli._options import Engine, LabelSource, LayoutName
    from morelli.encoders.cluster import Cluster
    from morelli.images import Limits
    from morelli.images.layouts import SourceReport

_READ = re.compile(r"(?:https?|s3|gs|hf)://", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def collection_of(
    *,
    label_from: LabelSource | None,
    layout: LayoutName | None,
    image_column: str | None,
    label_column: str | None,
    root: Path | None = None,
) -> dict[str, Any]:
    """The arguments of `iter_source` for a collection on this machine; addresses are refused."""
    return {
        "label_from": "folders" if label_from else None,
        "root": root,
        "layout": layout.value if layout else None,
        "image_column": image_column,
        "label_column": label_column,
    }


def reading_of(
    sources: Sequence[str],
    *,
    label_from: LabelSource | None,
    root: Path | None,
    layout: LayoutName | None,
    image_column: str | None,
    label_column: str | None,
    remote: bool,
    offline: bool,
) -> dict[str, Any]:
    """The arguments of `iter_source` for these options, addresses included.

    An address on the command line is a wish to read it, and a line says so; one in a table is not.
    """
    addresses = [source for source in sources if _ADDRESS.match(source)]
    if offline and (remote or addresses):
        raise UsageError("--offline reads no addresses; download them first and give the local paths.")
    for address in addresses:
        if _READ.match(address):  # others are refused, with their reason
            warn(f"reading {printable(address)} from the network")
    if remote:
        warn("addresses in manifests are read from the network")
    collection = collection_of(
        label_from=label_from,
        layout=layout,
        image_column=image_column,
        label_column=label_column,
        root=root,
    )
    return {**collection, "remote": "all" if remote else None if offline else "given"}


def engine_of(
    engine: Engine, *, address: str | None, actors: int | None, cpus: int | None, offline: bool
) -> Literal["local"] | Cluster:
    """Where to work, as these options say."""
    if engine.value == "local":
        if not address and actors is cpus is None:
            return "local"
        raise UsageError("--ray-address, --ray-actors and --ray-cpus belong to --engine ray; add it.")
    from morelli.encoders.cluster import Cluster, require_ray

    require_ray()
    return Cluster(address, actors, cpus, offline=offline)


def limits_of(max_pixels: int | None, max_files: int | None = None) -> Limits:
    """The usual limits, with other numbers of pixels and of files where they were asked for."""
    from morelli.images import Limits

    requested = {"max_pixels": max_pixels, "max_members": max_files}
    return Limits(**{name: value for name, value in requested.items() if value is not None})


def print_source_report(report: SourceReport, reading: Mapping[str, Any], *, quiet: bool) -> None:
    """What was understood, where labels were asked for or a known layout was met, and what was not read."""
    requested = reading["label_from"] or reading["layout"] or reading["label_column"] or report.layouts
    lines = [report.sentence() if requested else "", report.passed_over()]
    if requested and report.images and report.unlabelled == report.images:
        lines.append(
            "no image has a label: give each class alone with --label real and --label fake, or a manifest "
            "with the columns path, label and generator (--label-column names another one)"
        )
    for warning in filter(None, (report.contradictions(), report.same_names())):
        warn(printable(warning))
    for line in filter(None, lines):
        if not quiet:
            error_console().print(printable(line), highlight=False, markup=False, soft_wrap=True)
