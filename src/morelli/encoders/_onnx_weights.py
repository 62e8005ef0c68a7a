"""Float weights out of a dynamically quantised ONNX file, read as data: the graph is never run.

The int8 graph quantises its activations per batch, so that an image's embedding depends on its
neighbours in the batch (cosine 0.93-0.98 from the float model). The weights alone, dequantised,
stand at about 0.9998. This module takes the weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from morelli.errors import WeightsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONVERTER_VERSION = 1
"""Raise when the same ONNX file would give other float tensors."""

_MATMUL_SUFFIX = "/MatMul_quant"


def dequantize_clip(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read the CLIP image tower out of a quantised ONNX file, as transformers names its tensors.

    Every `MatMulInteger` node holds an int8 matrix (in, out) with one scale and zero point per
    output channel: `W = (q - zero_point) * scale`, transposed to (out, in). All else is stored as
    float32 under the checkpoint's own names.

    Raises:
        WeightsError: the file is no ONNX model of this kind.
    """
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(path).graph
        stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    except Exception as error:  # protobuf's errors have no common root
        raise WeightsError(f"{path} cannot be read as an ONNX model ({error}).") from error
    tensors = {
        name: np.array(value)
        for name, value in stored.items()
        if name.startswith("vision_model.") and value.dtype == np.float32
    }
    for node in graph.node:
        if node.op_type != "MatMulInteger":
            continue
        _, matrix, _, zero = node.input
        scale = matrix.replace("_quantized", "_scale")
        if not {matrix, zero, scale} <= stored.keys():
            raise WeightsError(f"{path}: the node {node.name} has no stored matrix, zero point and scale.")
        centred = stored[matrix].astype(np.int32) - stored[zero].astype(np.int32)
        weights = centred.astype(np.float32) * stored[scale].astype(np.float32)
        tensors[_tensor_name(node.name)] = np.ascontiguousarray(weights.T)
    if "vision_model.embeddings.class_embedding" not in tensors or "visual_projection.weight" not in tensors:
        raise WeightsError(f"{path} holds no quantised CLIP image tower.")
    return tensors


def _tensor_name(node: str) -> str:
    """`/vision_model/encoder/layers.0/mlp/fc1/MatMul_quant` to `vision_model.encoder.layers.0.mlp.fc1.weight`."""
    return node.removesuffix(_MATMUL_SUFFIX).removesuffix("_quant").strip("/").replace("/", ".") + ".weight"
