"""What `morelli serve` says when it starts: where it is, what it has, and what it lacks."""

from __future__ import annotations

from pathlib import Path

from morelli.artefacts import check_results, read_json
from morelli.artefacts.text import visible
from morelli.errors import UsageError
from morelli.server._settings import ServerSettings, artefact_name, is_loopback
from morelli.server._static import STATIC


def greeting(settings: ServerSettings, address: str, *, static: Path = STATIC) -> list[str]:
    """The lines of the first screen.

    Raises:
        ArtifactError: an atlas that the settings name is none, or the second detector has no manifest.
        UsageError: a report that they name is none.
    """
    lines = [f"Morelli is at {address}"]

    def add_line(what: str, text: str) -> None:
        lines.append(f"  {what:<10}{text}")

    detector = "the shipped detector" if settings.bundle is None else f"the detector {settings.bundle.name}"
    beside = "" if settings.beside is None else f", and beside it {_beside(settings.beside)}"
    add_line("check", f"{detector}{beside}; its encoder is being loaded")
    add_line(
        "explore",
        _atlases(settings) or "no atlas: build one with `morelli atlas build`, then --atlas NAME.atlas",
    )
    if settings.reports:
        add_line("evaluate", ", ".join(map(_report, settings.reports)))
    roots = ", ".join(str(root) for root in settings.roots)
    add_line("files", roots or "none can be named in requests (--root FOLDER allows it); uploads work")
    if not (static / "index.html").is_file():
        add_line(
            "app", "not built: run `make app` (needs Node), then reload. The HTTP interface works: /api/docs"
        )
    if settings.collections is not None:
        add_line("build", f"atlases from folders below {settings.collections}, written into it")
    if settings.keep is not None:
        add_line("kept", f"uploads, where a request asks for it, in {settings.keep}")
    alone = is_loopback(settings.host)
    lines.append(
        "Only this machine can reach it. Ctrl-C stops it."
        if alone
        else "Other machines can reach it, with this token; the way is not encrypted. Ctrl-C stops it."
    )
    return lines


def _beside(path: Path) -> str:
    """The second detector's name out of its manifest; the rest is read once, with the first detector."""
    manifest = next((one for one in (path / "ensemble.json", path / "bundle.json") if one.is_file()), None)
    if manifest is None:
        from morelli.detectors import load_detector

        return load_detector(path).name  # raises, and says what is wrong with the folder
    found = read_json(manifest, what="detector")
    name = found.get("name") if isinstance(found, dict) else None
    return visible(str(name or path.name))


def _atlases(settings: ServerSettings) -> str:
    if not settings.atlases:
        return ""
    from morelli.atlas import AtlasRecord

    return ", ".join(
        f"{artefact_name(path)} ({AtlasRecord.read(path).images:,} images)" for path in settings.atlases
    )


def _report(path: Path) -> str:
    if not any((path / name).is_file() for name in ("report.html", "report.json")):
        raise UsageError(f"{path} holds no report; write one with `morelli evaluate`.")
    check_results(path, but=("predictions.parquet",))
    return artefact_name(path)
