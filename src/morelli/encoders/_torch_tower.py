"""What every tower in torch does around its own forward: arrays in and out, micro-batches, full float32."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from morelli.encoders._kinds import Kind
from morelli.encoders._tower import ConcurrentPasses

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Rows of one pass through the tower. More gain nothing there and only cost memory.
_MICRO_BATCH = {"cpu": 16, "cuda": 256}


class TorchTower(ABC):
    """A tower in torch on one device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @property
    def runtime(self) -> str:
        """Such as `torch 2.13.0`; the build of torch (`+cpu`) is left out."""
        return f"torch {torch.__version__.partition('+')[0]}"

    @abstractmethod
    def trace_tensors(self, pixels: Tensor, kinds: Collection[Kind]) -> dict[Kind, Tensor]:
        """Features of these kinds, float32, on the tower's device."""

    def trace(self, pixels: NDArray[np.float32], kinds: Collection[Kind]) -> dict[Kind, NDArray[np.float32]]:
        """Features of these kinds."""
        step = _MICRO_BATCH.get(self.device.type, 16)
        parts: dict[Kind, list[NDArray[np.float32]]] = {kind: [] for kind in kinds}
        with torch.inference_mode(), full_float32(self.device):
            # At least one pass, so that an empty batch gives arrays of the right shape.
            for start in range(0, max(len(pixels), 1), step):
                rows = np.require(pixels[start : start + step], requirements=["C", "W"])
                tensor = torch.from_numpy(rows).to(self.device)
                for kind, value in self.trace_tensors(tensor, kinds).items():
                    parts[kind].append(value.cpu().numpy())
        return {kind: np.concatenate(values) for kind, values in parts.items()}

    def get_ready(self, kinds: Collection[Kind]) -> None:
        """The weights are in place since the tower was made: it is ready."""
        return

    def share(self, *, most: int, processes: int) -> ConcurrentPasses:
        """As many passes at once as torch has threads; one on a GPU.

        Torch's number of threads is shared by the process; `close` sets it back.
        """
        if self.device.type != "cpu":
            return ConcurrentPasses(1, lambda: None)
        before = torch.get_num_threads()
        count = max(1, min(before // processes, most))
        torch.set_num_threads(max(1, before // (count * processes)))
        return ConcurrentPasses(count, lambda: torch.set_num_threads(before))


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """On CUDA, keep TF32 out: it rounds float32 products to 10 bits, and a build names no device."""
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
