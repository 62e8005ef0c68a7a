"""Tensors of a small .pth file, read as data: no torch, and nothing in the file can run.

A .pth file is a pickle. This reader lets it name exactly the handful of constructors that a saved
state dict needs – each replaced by a plain function here – and refuses everything else before it is
called. Both layouts are read: the zip of torch >= 1.6, and the older stream of pickles.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.artefacts import read_file
from morelli.errors import ArtifactError

MAX_BYTES = 64 * 2**20
MOST_ENTRIES = 10_000
DEEPEST = 64
LONGEST_NAME = 4096
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
}


class _Storage:
    """A named run of numbers; legacy files give the numbers after the names."""

    def __init__(self, key: str, dtype: np.dtype[Any]) -> None:
        self.key, self.dtype = key, dtype
        self.values: NDArray[Any] = np.empty(0, dtype)


class _Tensor:
    """A view of a storage, resolved once its numbers are there."""

    def __init__(
        self, storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]
    ) -> None:
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride

    def array(self) -> NDArray[Any]:
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        if self.offset < 0 or min((*self.shape, *self.stride, 1)) < 0 or last >= len(self.storage.values):
            raise ArtifactError("a tensor reaches beyond its storage; the file is damaged")
        steps = tuple(s * self.storage.dtype.itemsize for s in self.stride)
        view = np.lib.stride_tricks.as_strided(self.storage.values[self.offset :], self.shape, steps)
        return view.copy()


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> _Tensor:
    sizes = (*shape, *stride, offset)
    if not isinstance(storage, _Storage) or not all(isinstance(n, int) for n in sizes):
        raise ArtifactError("a tensor of the file is not described by numbers")
    if len(shape) != len(stride) or np.prod([float(n) for n in shape]) > MAX_BYTES:
        raise ArtifactError("a tensor of the file has an impossible shape")
    return _Tensor(storage, offset, tuple(shape), tuple(stride))


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


class _Reader(pickle.Unpickler):
    """An unpickler that can only build dictionaries, lists, numbers and `_Tensor`s."""

    allowed: Mapping[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        **{("torch", name): dtype for name, dtype in _STORAGES.items()},
    }

    def __init__(self, stream: io.BytesIO, storage: Callable[[str, np.dtype[Any], int], _Storage]) -> None:
        super().__init__(stream)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise ArtifactError(
                f"the file asks for {module}.{name}, which no saved weights need; it was refused unread. "
                "Save the state dict alone: torch.save(head.state_dict(), …)"
            )
        return self.allowed[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        known = isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"
        if not known or not isinstance(pid[1], np.dtype) or not isinstance(pid[4], int):
            raise ArtifactError("the file names a storage in an unknown way")
        return self._storage(str(pid[2]), pid[1], pid[4])


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """All tensors of a saved (possibly nested) state dict, by dotted name.

    Raises:
        ArtifactError: no such file, too large, damaged, or asking for anything but tensors.
    """
    if not path.exists():
        raise ArtifactError(f"{path} cannot be read: there is no such file")
    # What was named by the user may be a link.
    data = read_file(path.resolve(), largest=MAX_BYTES, what="file of a linear head")
    try:
        tree = _read_zip(data) if data.startswith(b"PK\x03\x04") else _read_legacy(data)
        tensors = _leaves(tree)
        # With stride 0 a tensor is larger than its storage, and many may share one.
        size = sum(math.prod(one.shape) * one.storage.dtype.itemsize for one in tensors.values())
        if size > MAX_BYTES:
            raise ArtifactError(f"its tensors have {size / 2**20:,.0f} MiB; a linear head has a few KiB")
        return {name: tensor.array() for name, tensor in tensors.items()}
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error
    except Exception as error:
        # A hand-made pickle can fail in any way; whatever it is, the file holds no usable weights.
        raise ArtifactError(
            f"{path} is no readable file of weights: {type(error).__name__}: {error}"
        ) from error


def _read_zip(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
            raise ArtifactError("the archive unpacks to more than a head can hold")
        names = archive.namelist()
        main = next((name for name in names if name.rsplit("/", 1)[-1] == "data.pkl"), None)
        if main is None:
            raise ArtifactError("the archive holds no data.pkl, so torch did not write it")
        root = main.removesuffix("data.pkl")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise ArtifactError("the file was written on a big-endian machine, which is not read")

        def storage(key: str, dtype: np.dtype[Any], count: int) -> _Storage:
            one = _Storage(key, dtype)
            one.values = np.frombuffer(archive.read(f"{root}data/{key}"), dtype)
            if len(one.values) != count:
                raise ArtifactError(f"storage {key} holds {len(one.values)} numbers, {count} were announced")
            return one

        return _Reader(io.BytesIO(archive.read(main)), storage).load()


def _read_legacy(data: bytes) -> Any:
    stream = io.BytesIO(data)
    storages: dict[str, _Storage] = {}

    def storage(key: str, dtype: np.dtype[Any], _count: int) -> _Storage:
        return storages.setdefault(key, _Storage(key, dtype))

    if _Reader(stream, storage).load() != _LEGACY_MAGIC:
        raise ArtifactError("it is neither a zip nor an older file of torch")
    for _ in ("protocol version", "system"):
        _Reader(stream, storage).load()
    tree = _Reader(stream, storage).load()
    for key in _Reader(stream, storage).load():
        (count,) = struct.unpack("<q", stream.read(8))
        one = storages[key]
        if not 0 <= count * one.dtype.itemsize <= len(data):
            raise ArtifactError(f"storage {key} announces {count} numbers, more than the file holds")
        one.values = np.frombuffer(stream.read(count * one.dtype.itemsize), one.dtype)
    return tree


def _leaves(tree: Any) -> dict[str, _Tensor]:
    """The tensors of nested dictionaries by dotted name.

    One dictionary may stand in another many times over, so that a small file stands for more than fits
    anywhere: every entry that is looked at counts, not every one that is stored.
    """
    found: dict[str, _Tensor] = {}
    waiting: list[tuple[str, Any, int]] = [("", tree, 0)]
    seen = 0
    while waiting:
        name, value, depth = waiting.pop()
        if isinstance(value, _Tensor):
            found[name] = value
        elif isinstance(value, dict):
            seen += len(value)
            if seen > MOST_ENTRIES or depth > DEEPEST:
                raise ArtifactError(
                    f"it has over {MOST_ENTRIES:,} entries, or nests them over {DEEPEST} deep"
                )
            for key, one in reversed(value.items()):
                text = str(key)
                if len(name) + len(text) > LONGEST_NAME:
                    raise ArtifactError(f"it has a name of over {LONGEST_NAME:,} characters")
                waiting.append((f"{name}.{text}" if name else text, one, depth + 1))
    return found
