"""Files of the cells: written beside their place and renamed when whole, the same bytes every time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from morelli.errors import ArtifactError


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as .npy, which can be memory-mapped."""

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)

    _whole(path, write)


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

    def write(part: Path) -> None:
        with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())

    _whole(path, write)


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
    text = json.dumps(data, indent=2, sort_keys=True) + "\n"
    _whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file.

    Raises:
        ArtifactError: missing, damaged, or no object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); build the atlas again") from error
    if not isinstance(data, dict):
        raise ArtifactError(f"{path} holds no JSON object; build the atlas again")
    return data


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
    """Write arrays and one JSON object as safetensors."""
    from safetensors.numpy import save_file

    # One key only: safetensors keeps its metadata in a hash map, whose order differs from run to run.
    metadata = {"about": json.dumps(about, sort_keys=True)}
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    _whole(path, lambda part: save_file(arrays, part, metadata=metadata))


def read_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What `write_tensors` wrote.

    Raises:
        ArtifactError: missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["about"])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); build the atlas again") from error


def _whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside `path` and rename, so that a reader meets the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
