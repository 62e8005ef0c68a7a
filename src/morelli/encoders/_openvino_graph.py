"""CLIP's vision transformer as an OpenVINO graph, written op by op from a state dict.

The equations are those of `morelli.encoders._vit`. A graph has exactly the outputs that some feature kinds
need; blocks and tokens that none of them needs are not in it. Contributions (`head`, `mlp`, `embedding`)
are linear in a few vectors of the class token, which the graph gives instead: that algebra is done in
float32 whatever the precision of the graph, see `morelli.encoders._class_parts`.

Shapes: b images (left open), n = P + 1 tokens (the class token first), D = width, H heads of D / H.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.encoders._kinds import PARTS, Kind
from morelli.encoders._openvino import load_openvino
from morelli.encoders._vit_weights import PROJECTION, QUICK_GELU_SLOPE, check_shapes

if TYPE_CHECKING:
    import openvino

    from morelli.encoders._vit_weights import Floats

Node = Any
"""A node or an output of a node; openvino's own types are not complete."""


def output_names(kinds: Collection[Kind], *, blocks: int) -> list[str]:
    """The graph's outputs that these kinds are made of, in a fixed order.

    `final`, `layer:k`, `mean:k`, `tokens:k` and `attention:k` are the kinds themselves. `mixed:k`
    (b, H, D / H) is what the heads of block k mixed for the class token before the output matrix, `added:k`
    (b, D) what its MLP adds to the class token, and `stream:k` (b, D) the class token after block k, 0 for
    the input of the first.

    >>> output_names([Kind("mlp", 2), Kind("final"), Kind("headraw", 2, 1)], blocks=4)
    ['added:2', 'final', 'mixed:2', 'stream:4']
    """
    found = set()
    for kind in kinds:
        if kind.name in ("head", "headraw"):
            found.add(f"mixed:{kind.block}")
        elif kind.name == "mlp":
            found.add(f"added:{kind.block}")
        elif kind.name == "embedding":
            found.add("stream:0")
        else:
            found.add(str(kind))
        if kind.name in PARTS:
            # A contribution needs the statistics of the last layer norm.
            found.add(f"stream:{blocks}")
    return sorted(found)


def vit_graph(
    state: Mapping[str, Floats],
    config: Mapping[str, Any],
    outputs: Collection[str],
    *,
    int8: bool = False,
) -> openvino.Model:
    """The graph with these outputs (see `output_names`), float32; input `pixels` (b, 3, s, s).

    Args:
        state: float32 tensors of a CLIP checkpoint by transformers' names. Large ones are not copied: they
            should lie in a mapped file, because a compiled graph holds on to them beside its own copies.
        config: the vision part of its `config.json`, defaults written out.
        outputs: at least one.
        int8: hold the blocks' matrices as 8-bit integers, see `_Tower.rounded`.

    Raises:
        WeightsError: a tensor is missing or has another shape than the config says, or the activation is
            unknown.
    """
    openvino = load_openvino()
    from openvino import opset13 as ops

    check_shapes({name: tensor.shape for name, tensor in state.items()}, config)
    tower = _Tower(state, config, int8)
    requested, blocks = set(outputs), int(config["num_hidden_layers"])
    whole = "final" in requested or f"stream:{blocks}" in requested
    depth = blocks if whole else max(int(name.partition(":")[2]) for name in requested)
    size = int(config["image_size"])
    pixels = ops.parameter([-1, 3, size, size], np.float32, name="pixels")
    found: dict[str, Node] = {}

    z = tower.embed(pixels)
    if "stream:0" in requested:
        found["stream:0"] = _class_row(z)
    for number in range(1, depth + 1):
        block = f"vision_model.encoder.layers.{number - 1}"
        here = {name.partition(":")[0] for name in requested if name.endswith(f":{number}")}
        # Of the last block only the class token's row is needed, unless patches are asked for.
        alone = number == depth and not here & {"mean", "tokens"}
        q, k, v = tower.queries_keys_values(block, z, class_only=alone)
        if "attention" in here:
            found[f"attention:{number}"] = _class_attention(q if alone else _first(q, 2), k)
            if alone and here == {"attention"} and not whole:
                break
        mixed = ops.scaled_dot_product_attention(q, k, v)
        if "mixed" in here:
            found[f"mixed:{number}"] = _squeeze(_first(mixed, 2), 2)
        z = ops.add(_first(z, 1) if alone else z, tower.attend(block, mixed))
        added = tower.mlp(block, z)
        z = ops.add(z, added)
        if "added" in here:
            found[f"added:{number}"] = _class_row(added)
        if here & {"layer", "stream"}:
            row = _class_row(z)
            found |= {name: row for name in (f"layer:{number}", f"stream:{number}") if name in requested}
        if here & {"mean", "tokens"}:
            patches = ops.slice(z, [1], [np.iinfo(np.int64).max], [1], [1])
            if "mean" in here:
                found[f"mean:{number}"] = ops.reduce_mean(patches, [1])
            if "tokens" in here:
                found[f"tokens:{number}"] = patches
    if "final" in requested:
        found["final"] = tower.project(_class_row(z))

    results = []
    for name in sorted(requested):
        result = ops.result(found[name])
        result.set_friendly_name(name)
        results.append(result)
    return openvino.Model(results, [pixels], "clip-vision-transformer")


@dataclass(frozen=True)
class _Tower:
    """The parts of the tower as nodes; a block is named by the prefix of its tensors."""

    state: Mapping[str, Floats]
    config: Mapping[str, Any]
    int8: bool = False

    def embed(self, pixels: Node) -> Node:
        """Patches and class token with their positions, normed: (b, n, D)."""
        from openvino import opset13 as ops

        root, width = "vision_model.embeddings.", int(self.config["hidden_size"])
        positions = self.state[root + "position_embedding.weight"]
        side = int(self.config["patch_size"])
        # Pixels beyond the last whole patch are not seen, as in the checkpoint's own convolution.
        filters = self.constant(root + "patch_embedding.weight")
        grid = ops.convolution(pixels, filters, [side, side], [0, 0], [0, 0], [1, 1])
        rows = ops.reshape(grid, [0, width, len(positions) - 1], special_zero=True)
        patches = ops.add(ops.transpose(rows, [0, 2, 1]), ops.constant(positions[None, 1:].copy()))
        token = (self.state[root + "class_embedding"] + positions[0])[None, None]
        images = ops.slice(ops.shape_of(pixels), [0], [1], [1], [0])
        tokens = ops.broadcast(ops.constant(token), ops.concat([images, [1, width]], 0))
        # The misspelling is the checkpoint's own.
        return self.norm("vision_model.pre_layrnorm", ops.concat([tokens, patches], 1))

    def queries_keys_values(self, block: str, z: Node, *, class_only: bool) -> tuple[Node, Node, Node]:
        """Tokens (b, n, D) to q, k, v (b, H, n, D / H); with `class_only` q is (b, H, 1, D / H)."""
        y = self.norm(f"{block}.layer_norm1", z)
        rows = {"q": _first(y, 1) if class_only else y, "k": y, "v": y}
        q, k, v = (self.heads(self.linear(f"{block}.self_attn.{x}_proj", rows[x])) for x in "qkv")
        return q, k, v

    def heads(self, x: Node) -> Node:
        """(b, n, D) to (b, H, n, D / H)."""
        from openvino import opset13 as ops

        heads, width = int(self.config["num_attention_heads"]), int(self.config["hidden_size"])
        return ops.transpose(ops.reshape(x, [0, 0, heads, width // heads], special_zero=True), [0, 2, 1, 3])

    def attend(self, block: str, mixed: Node) -> Node:
        """What the heads mixed (b, H, n, D / H) through the output matrix: (b, n, D)."""
        from openvino import opset13 as ops

        width = int(self.config["hidden_size"])
        rows = ops.reshape(ops.transpose(mixed, [0, 2, 1, 3]), [0, -1, width], special_zero=True)
        return self.linear(f"{block}.self_attn.out_proj", rows)

    def mlp(self, block: str, z: Node) -> Node:
        """The MLP's part of the residual sum."""
        from openvino import opset13 as ops

        x = self.linear(f"{block}.mlp.fc1", self.norm(f"{block}.layer_norm2", z))
        if self.config.get("hidden_act", "quick_gelu") == "quick_gelu":
            x = ops.swish(x, np.float32(QUICK_GELU_SLOPE))
        else:
            x = ops.gelu(x, approximation_mode="erf")
        return self.linear(f"{block}.mlp.fc2", x)

    def project(self, row: Node) -> Node:
        """The class token (b, D) to the embedding (b, d)."""
        y = self.norm("vision_model.post_layernorm", row)
        return self.linear("visual_projection", y) if PROJECTION in self.state else y

    def linear(self, name: str, x: Node) -> Node:
        """x Wᵀ, plus the bias where there is one."""
        from openvino import opset13 as ops

        weight = f"{name}.weight"
        matrix = self.rounded(weight) if self.int8 and ".layers." in name else self.constant(weight)
        y = ops.matmul(x, matrix, transpose_a=False, transpose_b=True)
        return ops.add(y, self.constant(f"{name}.bias")) if f"{name}.bias" in self.state else y

    def rounded(self, name: str) -> Node:
        """A matrix (out, in) as 8-bit integers, each row with a scale of its own: W ≈ scale · integers.

        The compiler keeps the integers and multiplies in int8; see the tower's setting for what it does
        with the other factor.
        """
        from openvino import opset13 as ops

        matrix = self.state[name]
        largest = np.abs(matrix).max(axis=1, keepdims=True)
        scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
        integers = ops.constant(np.rint(matrix / scale).astype(np.int8))
        return ops.multiply(ops.convert(integers, "f32"), ops.constant(scale))

    def norm(self, name: str, z: Node) -> Node:
        """Layer norm of the last axis."""
        from openvino import opset13 as ops

        eps = float(self.config.get("layer_norm_eps", 1e-5))
        y = ops.mvn(z, ops.constant([-1]), normalize_variance=True, eps=eps, eps_mode="inside_sqrt")
        return ops.add(ops.multiply(y, self.constant(f"{name}.weight")), self.constant(f"{name}.bias"))

    def constant(self, name: str) -> Node:
        """A tensor of the checkpoint, in its own memory."""
        from openvino import opset13 as ops

        return ops.constant(np.ascontiguousarray(self.state[name]), shared_memory=True)


def _class_attention(q: Node, k: Node) -> Node:
    """The attention of one query (b, H, 1, D / H): (b, H, n), rows sum to 1."""
    from openvino import opset13 as ops

    size = q.get_output_partial_shape(0)[3].get_length()
    scores = ops.multiply(ops.matmul(q, k, transpose_a=False, transpose_b=True), np.float32(size**-0.5))
    return _squeeze(ops.softmax(scores, axis=3), 2)


def _class_row(z: Node) -> Node:
    """(b, n, D) to the class token's (b, D)."""
    return _squeeze(_first(z, 1), 1)


def _first(x: Node, axis: int) -> Node:
    from openvino import opset13 as ops

    return ops.slice(x, [0], [1], [1], [axis])


def _squeeze(x: Node, axis: int) -> Node:
    from openvino import opset13 as ops

    return ops.squeeze(x, [axis])
