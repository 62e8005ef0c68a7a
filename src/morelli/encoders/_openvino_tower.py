"""CLIP's image tower run by OpenVINO on the CPU: graphs of the kinds asked for, compiled once each."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.encoders._class_parts import class_parts, head_outputs
from morelli.encoders._kinds import PARTS, Kind, refuse_pooling_head
from morelli.encoders._openvino import core, load_openvino
from morelli.encoders._openvino_graph import output_names, vit_graph
from morelli.encoders._runtime import computes_in, has_tiles, processor_threads
from morelli.encoders._state import read_once
from morelli.encoders._tower import ConcurrentPasses
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.encoders._vision_source import VisionSource
    from morelli.encoders._vit_weights import Floats

ROWS_A_THREAD = {"float32": 1, "bfloat16": 2, "int8": 2}
"""Images of one pass for each of its threads. More gain nothing, and each holds 15 to 20 MB."""
ROWS_A_TILED_THREAD = 8
"""The same in bfloat16 where products run on tiles (AMX), which few images do not keep busy."""
MOST_GRAPHS = 3
"""Compiled graphs kept, the least recently used goes first: each holds a copy of the weights."""

QUANTIZED_TOGETHER = 128
"""Values of one token that share a scale where products are in int8: with 64 verdicts stay a little closer
to the exact ones and an image costs a tenth more, with 256 it is the other way round."""


@dataclass(frozen=True)
class _Setting:
    """One graph as it is compiled: its outputs, passes at once, and the threads of all of them together."""

    outputs: tuple[str, ...]
    streams: int
    threads: int

    def rows(self, dtype: str) -> int:
        """Images of one pass."""
        tiled = dtype == "bfloat16" and has_tiles()
        each = ROWS_A_TILED_THREAD if tiled else ROWS_A_THREAD[dtype]
        return each * max(1, self.threads // self.streams)


class OpenVINOTower:
    """The tower behind an `Encoder`; calls may come from several threads.

    The precision is always named: left to itself, OpenVINO computes a float32 model in bfloat16 wherever
    the processor can. In float32 a vector is equal to the last bit whatever batch, threads and streams it
    was computed with.
    """

    def __init__(self, source: VisionSource, *, dtype: str) -> None:
        self._source, self._dtype = source, dtype
        self._blocks = int(source.config["num_hidden_layers"])
        self._streams, self._threads = 1, processor_threads()
        self._graphs: OrderedDict[_Setting, _Graph] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def runtime(self) -> str:
        """Such as `openvino 2026.4.1`."""
        return f"openvino {load_openvino().__version__.partition('-')[0]}"

    def trace(self, pixels: Floats, kinds: Collection[Kind]) -> dict[Kind, Floats]:
        """Features of these kinds."""
        found = self._graph(self._setting(kinds)).run(pixels)
        values = head_outputs(found, kinds)
        if any(kind.name in PARTS for kind in kinds):
            values |= class_parts(self._source.keep(), found, kinds)
        return {kind: values[kind] if kind in values else found[str(kind)] for kind in kinds}

    def get_ready(self, kinds: Collection[Kind]) -> None:
        """Compile the graph of these kinds."""
        self._graph(self._setting(kinds))

    def share(self, *, most: int, processes: int) -> ConcurrentPasses:
        """As many passes at once as there are threads."""
        before = self._streams, self._threads
        self._threads = max(1, self._threads // processes)
        self._streams = min(self._threads, most)

        def close() -> None:
            self._streams, self._threads = before

        return ConcurrentPasses(self._streams, close)

    def _setting(self, kinds: Collection[Kind]) -> _Setting:
        refuse_pooling_head(kinds, "clip")
        return _Setting(tuple(output_names(kinds, blocks=self._blocks)), self._streams, self._threads)

    def _graph(self, setting: _Setting) -> _Graph:
        with self._lock:
            graph = self._graphs.pop(setting, None)
            if graph is None:
                while len(self._graphs) >= MOST_GRAPHS:
                    self._graphs.popitem(last=False)
                graph = _compile(self._source, setting, self._dtype)
            self._graphs[setting] = graph
            return graph


class _Graph:
    """A compiled graph and the requests that run it; each runs one pass at a time."""

    def __init__(
        self, compiled: Any, outputs: Sequence[str], state: Mapping[str, Floats], *, rows: int
    ) -> None:
        """Hold a compiled graph, the weights that it was compiled from, and the rows of one pass."""
        self._compiled, self._outputs, self._rows = compiled, tuple(outputs), rows
        self._state = state
        self._idle: SimpleQueue[Any] = SimpleQueue()

    def run(self, pixels: Floats) -> dict[str, Floats]:
        """The outputs of (b, 3, s, s) pixels, in memory of their own."""
        if not len(pixels):
            one = np.zeros((1, *pixels.shape[1:]), np.float32)
            return {name: value[:0] for name, value in self.run(one).items()}
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        # The first pass lays the weights out as the processor wants them, and needs no others from then.
        state, self._state = self._state, {}
        try:
            with read_once(state):
                return self._run(request, pixels)
        finally:
            self._idle.put(request)

    def _run(self, request: Any, pixels: Floats) -> dict[str, Floats]:
        openvino = load_openvino()
        found: dict[str, Floats] = {}
        for start in range(0, len(pixels), self._rows):
            rows = np.require(pixels[start : start + self._rows], requirements=["C", "W"])
            request.set_input_tensor(0, openvino.Tensor(rows, shared_memory=True))
            request.infer()
            for index, name in enumerate(self._outputs):
                value = request.get_output_tensor(index).data  # overwritten by the next pass
                if len(value) != len(rows):
                    # Without memory OpenVINO (2026.4.1) prints a line and gives an empty output.
                    raise MemoryError("the encoder's runtime got no memory for a batch")
                if name not in found:
                    found[name] = np.empty((len(pixels), *value.shape[1:]), np.float32)
                found[name][start : start + len(rows)] = value
        return found


def _compile(source: VisionSource, setting: _Setting, dtype: str) -> _Graph:
    state = source.state()
    # With int8, what is no product of a block is in bfloat16 where the processor has it.
    other = "bf16" if computes_in("bfloat16") else "f32"
    precision = {"float32": "f32", "bfloat16": "bf16", "int8": other}[dtype]
    with read_once(state):
        compiled = core().compile_model(
            vit_graph(state, source.config, setting.outputs, int8=dtype == "int8"),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": precision,
                "PERFORMANCE_HINT": "LATENCY" if setting.streams == 1 else "THROUGHPUT",
                "NUM_STREAMS": setting.streams,
                "INFERENCE_NUM_THREADS": setting.threads,
                "DYNAMIC_QUANTIZATION_GROUP_SIZE": QUANTIZED_TOGETHER if dtype == "int8" else 0,
                # A thread tied to one core waits for whatever else runs there; decoding does.
                "ENABLE_CPU_PINNING": False,
            },
        )
    used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if used != precision:
        raise UsageError(
            f"OpenVINO computes in {used} on this processor where {precision} was asked for. "
            'Use dtype="float32", or runtime="torch".'
        )
    return _Graph(compiled, setting.outputs, state, rows=setting.rows(dtype))
