"""Tensors out of weights files: safetensors, or torch's format with code execution ruled out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from morelli.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor


def read_state(files: Sequence[Path], *, prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors whose names begin with one of `prefixes`.

    Raises:
        WeightsError: a file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    state: dict[str, Tensor] = {}
    for path in files:
        if path.suffix != ".safetensors":
            state |= {name: value for name, value in _torch_state(path).items() if name.startswith(prefixes)}
            continue
        try:
            with safe_open(path, framework="pt") as stored:
                state |= {
                    name: stored.get_tensor(name) for name in list(stored.keys()) if name.startswith(prefixes)
                }
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path} cannot be read ({error}).") from error
    return state


def tensor_names(files: Sequence[Path]) -> set[str]:
    """Names of all tensors, without reading the tensors where the format allows."""
    from safetensors import SafetensorError, safe_open

    names: set[str] = set()
    for path in files:
        if path.suffix != ".safetensors":
            names |= _torch_state(path).keys()
            continue
        try:
            with safe_open(path, framework="pt") as stored:
                names |= set(stored.keys())
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path} cannot be read ({error}).") from error
    return names


def _torch_state(path: Path) -> dict[str, Tensor]:
    import pickle

    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path} cannot be read as plain tensors ({error}).") from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path} is no state dict.")
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
