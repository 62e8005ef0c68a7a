"""A distilled map's files: `map.json` and `map.safetensors`, written whole, read only after checks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from morelli.artefacts import COUNT, Format, read_folder, write_folder
from morelli.atlas.distiller._map import DistilledMap
from morelli.detectors import Calibration
from morelli.encoders import Build
from morelli.errors import ArtifactError, UsageError

MANIFEST, TENSORS = "map.json", "map.safetensors"


def _files_of_version_1(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return {TENSORS: {"sha256": document.get("tensors_sha256")}}


FORM = Format(
    name="morelli-distilled-map",
    what="distilled map",
    manifest=MANIFEST,
    version=2,
    again="fit the distiller again",
    schema={
        "kind": str,
        "unit": bool,
        "activation": str,
        "bias": float,
        "names": [str],
        "build": dict,
        "calibration": dict,
        "record": dict,
        "shape?": [COUNT],
    },
    dtypes=("float64",),
    largest=1 << 30,
    files_of=_files_of_version_1,
)


def write_map(distilled: DistilledMap, folder: Path) -> None:
    """Write `distilled` to `folder`, replacing a map that is there; see `write_folder`."""
    document = {
        "kind": distilled.kind,
        "unit": distilled.unit,
        "activation": distilled.activation,
        "bias": float(distilled.bias),
        "names": list(distilled.names),
        "build": distilled.build.to_json(),
        "calibration": distilled.calibration.to_json(),
        "record": dict(distilled.record),
    }
    # float32 would halve the file, but the impacts would no longer sum to the logit as exactly.
    tensors = {name: getattr(distilled, name) for name in ("A", "b", "w")}
    write_folder(folder, FORM, document, tensors={TENSORS: tensors})


def read_map(folder: Path) -> DistilledMap:
    """The map in `folder`, all of it checked."""
    found = read_folder(folder, FORM)
    document, tensors = found.document, found.tensors.get(TENSORS, {})
    if set(tensors) != {"A", "b", "w"} or document.get("shape", list(tensors["A"].shape)) != list(
        tensors["A"].shape
    ):
        raise ArtifactError(
            f"{folder / TENSORS} does not hold the tensors that {MANIFEST} declares; {FORM.again}"
        )
    try:
        return DistilledMap(
            kind=document["kind"],
            unit=document["unit"],
            A=tensors["A"],
            b=tensors["b"],
            activation=document["activation"],
            w=tensors["w"],
            bias=float(document["bias"]),
            build=Build.from_json(document["build"]),
            names=tuple(document["names"]),
            calibration=Calibration.from_json(document["calibration"]),
            record=document["record"],
        )
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise ArtifactError(f"{folder} is a damaged distilled map ({error}); {FORM.again}") from error
