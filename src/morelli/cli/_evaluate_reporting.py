"""From a run to its report: what every command under `morelli evaluate` that writes one does last."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.cli._console import progress
from morelli.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from morelli.evaluation import MeasureOptions, Run
    from morelli.images import ImageItem
    from morelli.images.layouts import SourceReport
    from morelli.reports import Report


def listed(
    paths: Sequence[str], reading: Mapping[str, Any], report: SourceReport | None = None
) -> Callable[[], list[ImageItem]]:
    """A call that lists the images of these sources; `reading`: further arguments of `iter_source`."""
    from morelli.images import iter_source

    return lambda: list(iter_source(list(paths), report=report, **reading))


def reported(
    made: Run,
    out: Path,
    *,
    options: MeasureOptions,
    name: str,
    images: Sequence[str] | None,
    reading: Mapping[str, Any],
    audit: Path | None,
    maps: Any,
    spectra: bool,
    thumbnails: bool,
    quiet: bool,
) -> Report:
    """Execute the run and write its report."""
    from morelli.artefacts import check_results, read_json
    from morelli.evaluation import execute
    from morelli.reports import report_folder, write_report

    report_folder(out)

    found = None
    if audit is not None:
        file = audit / "audit.json" if audit.is_dir() else audit
        try:
            if audit.is_dir():
                check_results(audit, what="audit")
            found = read_json(file, what="audit")
        except ArtifactError as error:
            raise ArtifactError(f"{error}; make it with `morelli audit -o`") from error
        if not isinstance(found, dict):
            raise ArtifactError(f"{file} is no audit; make it with `morelli audit -o`")
    if spectra and not images:
        raise UsageError("--spectra needs the images themselves: --images PATH.")
    with progress(quiet) as display:
        task = display.add_task("evaluating", total=None)
        executed = execute(made)
        return write_report(
            executed,
            out,
            options=options,
            name=name,
            command=shlex.join(["morelli", *sys.argv[1:]]),
            images=listed(images, reading) if images else None,
            audit=found,
            maps=maps,
            spectra=spectra,
            thumbnails=thumbnails,
            progress=lambda what: display.update(task, description=what),
        )
