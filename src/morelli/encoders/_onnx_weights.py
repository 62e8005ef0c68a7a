"""Float weights out of a dynamically quantised ONNX file, read as data: the graph is never run.

The int8 graph quantises its activations per batch, so that an image's embedding depends on its
neighbours in the batch (cosine 0.93-0.98 from the float model). The weights alone, dequantised,
stand at about 0.9998. This module takes the weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.artefacts import write_file
from morelli.encoders._cache import CacheDirectory, Record, describe, read_record, sha256_file, write_record
from morelli.encoders._cards import EncoderCard
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
    """`/vision_model/…/mlp/fc1/MatMul_quant` to `vision_model.….mlp.fc1.weight`."""
    return node.removesuffix(_MATMUL_SUFFIX).removesuffix("_quant").strip("/").replace("/", ".") + ".weight"


def convert_onnx(
    path: Path, sha256: str, card: EncoderCard, directory: CacheDirectory, *, kind: str, source: str
) -> Record:
    """Store a quantised ONNX file's weights as float32 safetensors in hub format.

    Args:
        path: the ONNX file, already checked.
        sha256: its hash.
        card: the CLIP encoder that it holds.
        directory: where to store; the caller holds its lock.
        kind: the directory's slot.
        source: what the record calls the source.

    Raises:
        WeightsError: the file holds no such encoder.
    """
    from safetensors.numpy import save_file

    tensors = dequantize_clip(path)
    with directory.writing(kind) as partial:
        weights, config = partial / "model.safetensors", partial / "config.json"
        save_file(tensors, weights, metadata={"format": "pt"})  # in place: as bytes it would be there twice
        write_file(config, json.dumps(_clip_config(card, tensors), indent=2) + "\n", lock=False)
        record = Record(
            source=source,
            sha256=sha256,
            folder=str(partial),
            files=tuple(describe(file, sha256_file(file)) for file in (weights, config)),
            converter=CONVERTER_VERSION,
        )
        write_record(partial, record, inside=True)
    stored = read_record(directory.slot(kind))
    assert stored is not None
    return stored


def _clip_config(card: EncoderCard, tensors: dict[str, NDArray[np.float32]]) -> dict[str, Any]:
    """The `config.json` with which transformers' `CLIPVisionModelWithProjection` loads the folder."""
    inner = tensors["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0]
    return {
        "architectures": ["CLIPVisionModelWithProjection"],
        "model_type": "clip_vision_model",
        "hidden_act": "quick_gelu",
        "hidden_size": card.width,
        "image_size": card.image_size,
        "intermediate_size": int(inner),
        "layer_norm_eps": 1e-5,
        "num_attention_heads": card.heads,
        "num_channels": 3,
        "num_hidden_layers": card.layers,
        "patch_size": card.patch,
        "projection_dim": card.dim,
    }
