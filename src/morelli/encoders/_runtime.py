"""Which library computes, on which device, and on how many of the processor's cores."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from morelli import extras
from morelli.encoders._extras import require_torch
from morelli.errors import UsageError

Runtime = Literal["auto", "openvino", "torch"]
Engine = Literal["openvino", "torch"]

_DEVICE = re.compile(r"[a-z]+(:\d+)?")
_INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_DRIVERS = ("/dev/nvidiactl", "/dev/nvidia0", "/proc/driver/nvidia", "/dev/kfd", "/dev/dxg")
"""One of them is there on Linux where torch may see a GPU: by NVIDIA, by AMD, or in the Windows subsystem."""


def choose_runtime(runtime: Runtime, device: str, *, family: str, dtype: str) -> tuple[Engine, str]:
    """The library that runs an encoder of this family and dtype, and the device's name.

    Raises:
        UsageError: the runtime or the device is unknown, cannot run this, or needs torch, which is missing.
    """
    if runtime not in ("auto", "openvino", "torch"):
        raise UsageError(f"runtime {runtime!r} is not known; use auto, openvino or torch.")
    if runtime == "openvino":
        obstacle = _obstacle(family, "cpu" if device == "auto" else device, dtype)
        if obstacle is not None:
            raise UsageError(f"{obstacle} Use the runtime torch or auto.")
        return "openvino", "cpu"
    place = _place(device)
    obstacle = _obstacle(family, place, dtype) if runtime == "auto" else "The runtime torch was asked for."
    if obstacle is None:
        return "openvino", place
    if dtype == "int8":
        raise UsageError(f"{obstacle} Only OpenVINO computes in int8.")
    require_torch(f"A {family} encoder on {place}" if runtime == "auto" else "The runtime torch")
    return "torch", place


def processor_threads() -> int:
    """Threads for one forward pass: `OMP_NUM_THREADS`, else the cores that this process may run on."""
    requested = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if requested.isdecimal() and int(requested) > 0:
        return int(requested)
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _obstacle(family: str, device: str, dtype: str) -> str | None:
    """Why OpenVINO does not run this here, as a sentence; None where it does."""
    if family != "clip":
        return f"OpenVINO runs CLIP encoders here, not those of the family {family}."
    if device != "cpu":
        return f"OpenVINO runs on the CPU here, not on {device!r}."
    if not extras.installed("openvino"):
        return "openvino is not installed."
    if not computes_in(dtype):
        return f"OpenVINO computes in {dtype} only where the processor is known to, and this one is not."
    return None


def computes_in(dtype: str) -> bool:
    """Whether the processor is known to multiply matrices in this dtype: float32, bfloat16 or int8.

    OpenVINO runs int8 on any processor. Without instructions for dot products of 8-bit integers it is no
    quicker, and sums may saturate: such a processor counts as one without int8.
    """
    if dtype == "int8":
        return bool(_processor_flags() & _INT8_FLAGS)
    from morelli.encoders._openvino import core

    return dtype == "float32" or "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def quickest_of(dtypes: Iterable[str]) -> str:
    """The dtype in which the processor multiplies quickest.

    int8, then bfloat16; the other way round where bfloat16 runs on tiles (AMX), because int8 products whose
    scales are made at run time do not gain from them: `benchmarks/precision.py` shows both.
    """
    order = ("bfloat16", "int8") if has_tiles() else ("int8", "bfloat16")
    return min(dtypes, key=order.index)


def has_tiles() -> bool:
    """Whether products in bfloat16 run on tiles (AMX)."""
    return "amx_bf16" in _processor_flags()


def _processor_flags() -> set[str]:
    """Instruction sets as Linux names them; empty where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


def _place(device: str) -> str:
    if device == "cpu" or (device == "auto" and not _may_have_cuda()):
        return "cpu"
    if device != "auto":
        if not _DEVICE.fullmatch(device):
            raise UsageError(f"device {device!r} is not known; use auto, cpu or cuda.")
        require_torch(f"The device {device!r}")
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"device {device!r} is not known; use auto, cpu or cuda.") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"device {device!r} was asked for, but this torch sees no CUDA device. Use cpu or auto."
        )
    return str(place)


def _may_have_cuda() -> bool:
    """False where torch, which takes seconds to import, would surely see no CUDA device."""
    if not extras.installed("torch") or sys.platform == "darwin":
        return False
    return not sys.platform.startswith("linux") or any(Path(path).exists() for path in _DRIVERS)
