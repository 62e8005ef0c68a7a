"""The activations of a distilled dimension, in numpy."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError

Activation = Literal["identity", "relu", "tanh"]
ACTIVATIONS: tuple[str, ...] = get_args(Activation)


def require_activation(name: str) -> None:
    """Raise `UsageError` unless `name` is an activation."""
    if name not in ACTIVATIONS:
        raise UsageError(f"activation is {name!r}; choose {', '.join(ACTIVATIONS)}")


def activate(name: str, h: NDArray[Any]) -> NDArray[Any]:
    """act(h), same shape."""
    if name == "relu":
        return np.asarray(np.maximum(h, 0))
    return np.asarray(np.tanh(h)) if name == "tanh" else h


def slope(name: str, z: NDArray[Any]) -> NDArray[Any]:
    """act'(h) as a function of z = act(h), same shape."""
    if name == "relu":
        return (z > 0).astype(z.dtype)
    return 1 - z * z if name == "tanh" else np.ones_like(z)


def unit_rows(X: NDArray[Any]) -> NDArray[np.float64]:
    """X (n, d) in float64 with rows of length 1; zero rows stay zero."""
    X = np.asarray(X, dtype=np.float64)
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    return np.asarray(X / np.where(lengths > 0, lengths, 1.0))
