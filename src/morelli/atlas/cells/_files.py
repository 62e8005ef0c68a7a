"""Files of the cells: written beside their place and renamed when whole, the same bytes every time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from morelli.artefacts import parse_json as parse_text
from morelli.artefacts import read_json as parse_json
from morelli.artefacts import replacing_file, write_file
from morelli.artefacts.tensors import pack_tensors
from morelli.errors import ArtifactError


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as .npy, which can be memory-mapped."""
    with replacing_file(path) as file:
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)


def read_array(path: Path, dtype: Any, ndim: int) -> NDArray[Any]:
    """The memory-mapped array of a .npy file.

    Raises:
        ArtifactError: missing, damaged, or of another kind than expected.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); build the atlas again") from error
    if array.dtype != np.dtype(dtype) or array.ndim != ndim:
        raise ArtifactError(
            f"{path} holds {array.dtype} with {array.ndim} axes where {np.dtype(dtype)} with {ndim} belongs; "
            "build the atlas again"
        )
    return np.asarray(array)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as an uncompressed Arrow IPC file, which can be memory-mapped."""
    with replacing_file(path) as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def read_table(path: Path) -> pa.Table:
    """The memory-mapped table of an Arrow IPC file.

    Raises:
        ArtifactError: missing or damaged.
    """
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); build the atlas again") from error


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON with sorted keys."""
    write_file(path, json.dumps(data, indent=2, sort_keys=True) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file.

    Raises:
        ArtifactError: missing, damaged, or no object.
    """
    try:
        data = parse_json(path, what="atlas")
    except ArtifactError as error:
        raise ArtifactError(f"{error}; build the atlas again") from error
    if not isinstance(data, dict):
        raise ArtifactError(f"{path} holds no JSON object; build the atlas again")
    return data


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
    """Write arrays and one JSON object as safetensors."""
    # One key only: safetensors keeps its metadata in a hash map, whose order differs from run to run.
    metadata = {"about": json.dumps(about, sort_keys=True)}
    write_file(path, pack_tensors(tensors, metadata))


def read_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What `write_tensors` wrote.

    Raises:
        ArtifactError: missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = parse_text((file.metadata() or {})["about"], path)
            if not isinstance(about, dict):
                raise ArtifactError("its facts are no object")
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except (ArtifactError, OSError, ValueError, KeyError, SafetensorError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); build the atlas again") from error
