"""Where the weights of a CLIP image tower are read from, when something needs them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from morelli.encoders._state import read_state, tensor_shapes
from morelli.encoders._vit_weights import (
    PREFIXES,
    Floats,
    VisionTransformer,
    check_shapes,
    vit_weights_from_state,
)

_TOWER, _FIRST = "vision_model.", "embeddings.class_embedding"
_ALONE = ("embeddings.", "pre_layrnorm.", "encoder.", "post_layernorm.")
"""Beginnings of the tensors' names in a checkpoint that holds the tower alone."""


class VisionSource:
    """Checked weights files of a CLIP, read when asked for.

    A runtime keeps a copy of the weights in a layout of its own, and most programs need no other.

    Attributes:
        config: the vision part of `config.json`, defaults written out.
        sha256: the build's hash of the weights.
    """

    def __init__(self, files: Sequence[Path], config: Mapping[str, Any], *, sha256: str) -> None:
        """Hold the files to `config`, the vision part of the checkpoint's `config.json`.

        Raises:
            WeightsError: a file cannot be read, or a tensor is missing or has another shape.
        """
        shapes = tensor_shapes(files)
        # A tower saved alone (transformers 5.24, CLIPVisionModel) leaves out the name of the tower.
        self._alone = f"{_TOWER}{_FIRST}" not in shapes and _FIRST in shapes
        check_shapes({self._name(name): shape for name, shape in shapes.items()}, config)
        self._files, self.config, self.sha256 = tuple(files), dict(config), sha256
        self._kept: VisionTransformer | None = None
        self._lock = threading.Lock()

    def state(self) -> dict[str, Floats]:
        """Tensors by their names in a whole checkpoint, in the files' own memory where float32."""
        if not self._alone:
            return read_state(self._files, prefixes=PREFIXES)
        return {self._name(name): value for name, value in read_state(self._files, prefixes=_ALONE).items()}

    def _name(self, stored: str) -> str:
        return f"{_TOWER}{stored}" if self._alone and stored.startswith(_ALONE) else stored

    def read(self, *, block: int | None = None) -> VisionTransformer:
        """The weights, for a moment: those that are kept, else read from the files.

        With `block`, numbered from 1, the tower's `blocks` are that one alone, and no other is read.
        """
        if self._kept is None:
            return vit_weights_from_state(self.state(), self.config, block=block)
        return (
            self._kept if block is None else replace(self._kept, blocks=self._kept.blocks[block - 1 : block])
        )

    def keep(self) -> VisionTransformer:
        """The weights, one copy for everybody who asks, from now on in memory."""
        with self._lock:
            if self._kept is None:
                self._kept = self.read()
            return self._kept
