"""Arrays as safetensors: contiguous when written, checked against their declaration when read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.errors import ArtifactError

Tensors = dict[str, NDArray[Any]]

DTYPES = ("float16", "float32", "float64", "uint8", "int8", "int32", "int64", "uint64", "bool")


def pack_tensors(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file of named arrays of any memory layout.

    Example:
        >>> turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
        >>> bool((unpack_tensors(pack_tensors({"x": turned}), Path("x"))["x"] == turned).all())
        True
    """
    from safetensors.numpy import save

    # safetensors 0.8 stores the memory of a transposed or sliced array as it lies, without a word.
    packed = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.ndim == 0:  # ascontiguousarray gives it an axis
            packed[name] = packed[name].reshape(())
    return save(packed, metadata=None if metadata is None else dict(metadata))


def declare_tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Shape and dtype of named arrays, as a manifest states them."""
    return {name: {"shape": list(array.shape), "dtype": str(array.dtype)} for name, array in arrays.items()}


def unpack_tensors(
    data: bytes,
    file: Path,
    *,
    declared: Mapping[str, Any] | None = None,
    declared_by: str = "the manifest",
    dtypes: Collection[str] = DTYPES,
    finite: bool = True,
) -> Tensors:
    """The arrays of a safetensors file that was read from `file`.

    Args:
        declared: what `declare_tensors` gave, None if nothing was declared.
        declared_by: where it was declared, for messages.
        dtypes: dtypes that may occur.
        finite: refuse NaN and infinities.

    Raises:
        ArtifactError: damaged, other tensors than declared, another dtype, or not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found: Tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ArtifactError(f"{file} is no valid safetensors file: {error}") from error
    if declared is not None and set(found) != set(declared):
        raise ArtifactError(
            f"{file} holds the tensors {sorted(found)}, not those that {declared_by} declares"
        )
    for name, array in found.items():
        if declared is not None:
            facts = declared[name]
            if list(array.shape) != facts["shape"] or str(array.dtype) != facts["dtype"]:
                raise ArtifactError(
                    f"{file}: tensor {name} is {array.dtype} {list(array.shape)}, declared as "
                    f"{facts['dtype']} {facts['shape']}"
                )
        if str(array.dtype) not in dtypes:
            raise ArtifactError(f"{file}: tensor {name} has dtype {array.dtype}, which does not belong here")
        if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtifactError(f"{file}: tensor {name} holds values that are not finite")
    return found
