"""`morelli info`: versions, places on disk, and the shipped detector."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from typing import Annotated, Any

import typer

from morelli.cli._console import console

LIBRARIES = ["openvino", "torch", "transformers", "pylance", "openTSNE", "scikit-learn", "pillow", "numpy"]


def info(
    json_document: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Say what is installed, where weights are kept, and which detector is shipped.

    Put its output into a bug report.

    Examples:

        morelli info

        morelli info --json
    """
    facts = _facts()
    if json_document:
        typer.echo(json.dumps(facts, indent=1))
        return
    screen = console()
    for name, value in facts.items():
        if isinstance(value, dict):
            screen.print(name, style="bold", highlight=False)
            for key, inner in value.items():
                screen.print(f"  {key:<14} {inner}", markup=False, highlight=False, soft_wrap=True)
        else:
            screen.print(f"{name:<16} {value}", markup=False, highlight=False, soft_wrap=True)


def _facts() -> dict[str, Any]:
    from morelli._version import __version__
    from morelli.encoders import cache_root

    return {
        "morelli": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "weights cache": str(cache_root()),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "detector": _detector(),
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _detector() -> dict[str, Any]:
    from morelli.detectors import Bundle, default_bundle_path
    from morelli.errors import ArtifactError

    path = default_bundle_path()
    try:
        bundle = Bundle.load(path)
    except ArtifactError as error:
        return {"path": str(path), "problem": str(error)}
    return {
        "name": bundle.name,
        "path": str(path),
        "encoder": bundle.build.encoder,
        "build": bundle.build.fingerprint,
        "kinds": bundle.kind_ranges,
    }
