"""Contributions of heads, MLPs and the embedding layer to a CLIP's `final`, in numpy.

The equations are those of `morelli.encoders._decomposition`, which says where they come from. Here the
vectors of the class token come from a graph, and all of this algebra is float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from morelli.encoders._kinds import PARTS, Kind
from morelli.encoders._vit_weights import Floats, VisionTransformer


def head_outputs(found: Mapping[str, Floats], kinds: Iterable[Kind]) -> dict[Kind, Floats]:
    """The kinds `headraw` among `kinds`, (b, D / H) each. No weights are needed for them.

    Args:
        found: outputs of the graph, see `morelli.encoders._openvino_graph.output_names`.
        kinds: others are left out.
    """
    return {
        kind: np.ascontiguousarray(found[f"mixed:{kind.block}"][:, kind.head - 1])
        for kind in kinds
        if kind.name == "headraw"
    }


def class_parts(
    vit: VisionTransformer, found: Mapping[str, Floats], kinds: Iterable[Kind]
) -> dict[Kind, Floats]:
    """The kinds `head`, `mlp` and `embedding` among `kinds`, (b, d) each.

    Args:
        vit: the tower's weights.
        found: outputs of the graph, see `morelli.encoders._openvino_graph.output_names`.
        kinds: others are left out.
    """
    kinds = [kind for kind in kinds if kind.name in PARTS]
    values: dict[Kind, Floats] = {}
    fold = _Fold(vit, found[f"stream:{len(vit.blocks)}"])
    layers = 2 * len(vit.blocks) + 1
    of_heads: dict[int, list[Kind]] = {}
    for kind in kinds:
        if kind.name == "embedding":
            values[kind] = fold(found["stream:0"], 1 / layers)
        elif kind.name == "mlp":
            values[kind] = fold(found[f"added:{kind.block}"], 1 / layers)
        elif kind.name == "head":
            of_heads.setdefault(kind.block, []).append(kind)
    for number, here in of_heads.items():
        block = vit.blocks[number - 1]
        which = [kind.head - 1 for kind in here]
        rows = _written(found[f"mixed:{number}"][:, which], which, block.out.weight, block.heads)
        assert block.out.bias is not None
        rows += block.out.bias / np.float32(block.heads)
        for kind, row in zip(here, rows, strict=True):
            values[kind] = fold(row, 1 / (layers * block.heads))
    return values


def _written(mixed: Floats, which: list[int], weight: Floats, heads: int) -> Floats:
    """What these k heads wrote: mixtures (b, k, D / H) to (k, b, D), without their shares of the bias."""
    columns = weight.reshape(len(weight), heads, -1)[:, which]
    return np.asarray(mixed.swapaxes(0, 1) @ columns.transpose(1, 2, 0))


class _Fold:
    """Last layer norm, with the statistics of z (b, D) taken as given, and projection."""

    def __init__(self, vit: VisionTransformer, z: Floats) -> None:
        self._norm, self._projection = vit.post_norm, vit.projection
        self._mean = z.mean(axis=-1, keepdims=True)
        self._deviation = np.sqrt(z.var(axis=-1, keepdims=True) + np.float32(vit.post_norm.eps))

    def __call__(self, part: Floats, share: float) -> Floats:
        """What of the embedding (b, d) is due to `part` (b, D), with this share of all constants."""
        norm, small = self._norm, np.float32(share)
        y = (part - small * self._mean) / self._deviation * norm.scale + small * norm.shift
        return np.asarray(y if self._projection is None else y @ self._projection.weight.T)
