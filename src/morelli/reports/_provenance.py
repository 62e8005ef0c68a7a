"""Where every number of a report comes from: artefacts by hash, versions, seed, command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from morelli.evaluation import Run, versions


def provenance(
    *,
    run: Run | None,
    record: Mapping[str, Any],
    predictions_sha256: str,
    command: str,
    folder: Path,
) -> dict[str, Any]:
    """What the report was made from.

    record: the predictions' own record of their run. predictions_sha256: of the table that lies beside the
    report. command: as it was typed.
    """
    build = record.get("build")
    return {
        "command": command,
        "predictions": {"path": "predictions.parquet", "sha256": predictions_sha256},
        "build": build,
        "fingerprint": fingerprint(build),
        "features_digest": record.get("features"),
        "bundles": record.get("bundles", {}),
        "seed": record.get("seed"),
        "versions": dict(run.versions) if run is not None and run.versions else versions(),
        "inputs": [relative(i, folder) for i in run.to_json()["inputs"]] if run is not None else [],
        "run": run.to_json() if run is not None else None,
    }


def fingerprint(build: Mapping[str, Any] | None) -> str | None:
    """The build's short name, from its JSON."""
    if not build:
        return None
    from morelli.encoders import Build

    return Build.from_json(dict(build)).fingerprint


def relative(entry: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """An input with its path as it is seen from the report's folder too, so that both can move together."""
    import os

    path = Path(entry["path"])
    if entry["role"] == "bundle" and entry["path"] == "default":
        return dict(entry)
    return {**entry, "from_report": os.path.relpath(path.resolve(), folder.resolve())}
