"""A pyramid on disk: one Arrow file per level, and the images' columns in its order as .npy files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from morelli.artefacts import replacing_folder
from morelli.artefacts.schema import Number, check_schema
from morelli.atlas.cells._files import (
    read_array,
    read_json,
    read_table,
    write_array,
    write_json,
    write_table,
)
from morelli.atlas.cells._rows import Rows, Scoring
from morelli.detectors import Calibration
from morelli.errors import ArtifactError

_COLUMNS: dict[str, tuple[type, int]] = {
    "labels": (np.int8, 1),
    "impacts": (np.float32, 2),
    "logits": (np.float32, 1),
    "values": (np.float32, 2),
    "errors": (np.int8, 1),
    "copies": (np.int32, 1),
}
_ABOUT = "cells.json"
_SCHEMA = {
    "images": Number(0, 2**31, whole=True),
    "levels": Number(0, 16, whole=True),
    "columns": [str],
    "scoring": {"calibration": dict, "real": float, "ai": float},
}


def write_pyramid(
    folder: Path,
    order: NDArray[np.int32],
    codes: NDArray[np.uint32],
    rows: Rows,
    *,
    scoring: Scoring,
    tables: tuple[pa.Table, ...],
) -> None:
    """Write the folder whole or not at all; an older pyramid there is replaced."""
    columns = rows.columns()
    about = {
        "format": "morelli-cells",
        "version": 1,
        "images": len(order),
        "dimensions": rows.dimensions,
        "levels": len(tables) - 1,
        "columns": sorted(columns),
        "scoring": {
            "calibration": scoring.calibration.to_json(),
            "real": scoring.real,
            "ai": scoring.ai,
        },
    }
    with replacing_folder(folder, what="pyramid", ours=lambda _: True, replaced=_own_names) as fresh:
        for level, table in enumerate(tables):
            write_table(fresh / f"level-{level:02d}.arrow", table)
        for name, column in {"order": order, "codes": codes, **columns}.items():
            write_array(fresh / f"{name}.npy", column)
        write_json(fresh / _ABOUT, about)


def _own_names(folder: Path) -> set[str]:
    columns = {f"{name}.npy" for name in ("order", "codes", *(f.name for f in fields(Rows)))}
    return {_ABOUT, *columns, *(path.name for path in folder.glob("level-*.arrow"))}


def read_pyramid(
    folder: Path,
) -> tuple[NDArray[np.int32], NDArray[np.uint32], Rows, Scoring, tuple[pa.Table, ...]]:
    """What `write_pyramid` wrote, memory-mapped.

    Raises:
        ArtifactError: missing, damaged, or no pyramid of this version.
    """
    about = read_json(folder / _ABOUT)
    if about.get("format") != "morelli-cells" or about.get("version") != 1:
        raise ArtifactError(f"{folder / _ABOUT} describes no cells of version 1; build the atlas again")
    check_schema(about, _SCHEMA, folder / _ABOUT)
    try:
        n, levels, named = int(about["images"]), int(about["levels"]), list(about["columns"])
        kept = about["scoring"]
        scoring = Scoring(Calibration.from_json(kept["calibration"]), float(kept["real"]), float(kept["ai"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder / _ABOUT} is incomplete ({error}); build the atlas again") from error
    if not set(named) <= set(_COLUMNS) or not {"labels", "impacts", "logits"} <= set(named):
        raise ArtifactError(f"{folder / _ABOUT} names the columns {named}; build the atlas again")
    arrays: dict[str, NDArray[Any]] = {
        name: read_array(folder / f"{name}.npy", *_COLUMNS[name]) for name in named
    }
    order = read_array(folder / "order.npy", np.int32, 1)
    codes = read_array(folder / "codes.npy", np.uint32, 1)
    tables = tuple(read_table(folder / f"level-{level:02d}.arrow") for level in range(levels + 1))
    lengths = {name: len(array) for name, array in {"order": order, "codes": codes, **arrays}.items()}
    lengths |= {f"level {k}": int(np.sum(table["count"].to_numpy())) for k, table in enumerate(tables)}
    wrong = [name for name, length in lengths.items() if length != n]
    if wrong:
        raise ArtifactError(
            f"{folder} holds {n} images by cells.json but another number by {', '.join(wrong)}; "
            "build the atlas again"
        )
    return order, codes, Rows(**arrays), scoring, tables
