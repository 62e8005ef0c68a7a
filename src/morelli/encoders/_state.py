"""Tensors out of weights files: safetensors, or torch's format with code execution ruled out."""

from __future__ import annotations

import json
import mmap
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.encoders._extras import require_torch
from morelli.errors import WeightsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STORED: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),  # numpy has no bfloat16; these are the upper halves of float32
}
EVERY_SECONDS = 0.02
"""Between two times of giving back what was read of a file; a compiler reads some ten MB meanwhile."""
_WHOLE_NUMBERS = ("BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64")
"""Not weights: checkpoints store numbers of positions among them."""


def read_state(files: Sequence[Path], *, prefixes: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
    """The tensors whose names begin with one of `prefixes`, as float32; whole numbers are left out.

    Those that are stored as float32 in safetensors lie in the file still (mapped, private to this process).

    Raises:
        WeightsError: a file cannot be read, or a tensor has another dtype than float16, bfloat16,
            float32 or float64.
        UsageError: a file is in torch's format, and torch is not installed.
    """
    state: dict[str, NDArray[np.float32]] = {}
    for path in files:
        if path.suffix == ".safetensors":
            state |= _safetensors(path, prefixes)
            continue
        for name, value in _torch_state(path).items():
            if name.startswith(prefixes) and value.is_floating_point():
                state[name] = value.float().numpy()
    return state


@contextmanager
def read_once(state: Mapping[str, NDArray[np.float32]]) -> Iterator[None]:
    """While the tensors are read one after the other, give back the memory of those that lie in a file.

    A mapped file counts as this process's memory as far as it was read. Who looks at a tensor again reads it
    from the file; what was written into one is lost.
    """
    maps = _maps(state.values())
    done = threading.Event()

    def give_back() -> None:
        for mapped in maps:
            mapped.madvise(mmap.MADV_DONTNEED)

    def again_and_again() -> None:
        while not done.wait(EVERY_SECONDS):
            give_back()

    if not maps or not hasattr(mmap, "MADV_DONTNEED"):
        yield
        return
    thread = threading.Thread(target=again_and_again, name="give back weights", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        give_back()


def _maps(values: Iterable[NDArray[Any]]) -> list[mmap.mmap]:
    """The mapped files in which some of these arrays lie."""
    found: dict[int, mmap.mmap] = {}
    for value in values:
        owner: Any = value
        while owner is not None and not isinstance(owner, mmap.mmap):
            owner = getattr(owner, "base", None)
        if owner is not None:
            found[id(owner)] = owner
    return list(found.values())


def tensor_shapes(files: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors, without reading the tensors where the format allows."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in files:
        if path.suffix == ".safetensors":
            with _opened(path) as stored:
                shapes |= {name: tuple(stored.get_slice(name).get_shape()) for name in list(stored.keys())}
        else:
            shapes |= {name: tuple(value.shape) for name, value in _torch_state(path).items()}
    return shapes


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as stored:
            yield stored
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({error}).") from error


def _safetensors(path: Path, prefixes: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
    with _opened(path):
        pass  # checks the header: offsets without gaps, shapes that fit, an end within the file
    try:
        # Copy on write: arrays may be written to, the file never is.
        data = np.memmap(path, dtype=np.uint8, mode="c")
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read ({error}).") from error
    end = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header: dict[str, Any] = json.loads(data[8:end].tobytes())
    found = {}
    for name, entry in header.items():
        if name == "__metadata__" or not name.startswith(prefixes) or entry["dtype"] in _WHOLE_NUMBERS:
            continue
        stored = _STORED.get(entry["dtype"])
        if stored is None:
            raise WeightsError(
                f"{path} stores the tensor {name!r} as {entry['dtype']}; float16, bfloat16, float32 and "
                "float64 can be read."
            )
        first, last = entry["data_offsets"]
        flat = np.asarray(data[end + first : end + last]).view(stored)
        found[name] = _float32(flat, bfloat16=entry["dtype"] == "BF16").reshape(entry["shape"])
    return found


def _float32(stored: NDArray[Any], *, bfloat16: bool) -> NDArray[np.float32]:
    if bfloat16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32, copy=False)


def _torch_state(path: Path) -> dict[str, Any]:
    import pickle

    require_torch(f"{path.name}, a weights file in torch's own format,")
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path} cannot be read as plain tensors ({error}).") from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path} is no state dict.")
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
