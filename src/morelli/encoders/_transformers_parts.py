"""Heads, MLPs and embedding of models whose blocks run in transformers: SigLIP, DINOv2, DINOv3, ViT.

What a head mixed is what goes into its block's output matrix, and what an MLP wrote is what comes out of it,
whatever happens in between (rotary positions, registers, gated MLPs, fused attention). So the modules are
watched, and the attention is not written out again. What a call sees is kept in a record of that call alone
(a context variable, as transformers keeps its hidden states), so that threads do not meet.

The parts follow from the record as they do for CLIP (`morelli.encoders._decomposition`); ViT's pooler

    y = tanh(B n + b),    n the normed class token,

is linear in n once each coordinate's factor tanh(r) / r is taken as given, as σ is in the layer norm. For
SigLIP see `morelli.encoders._pooling_parts`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from morelli.encoders._decomposition import ClassParts, Fold, Output, contributions, last_norm
from morelli.encoders._kinds import NO_POOLING_HEAD, PARTS, Kind
from morelli.encoders._pooling_parts import PatchParts, PoolingHead, pooled_contributions
from morelli.errors import UsageError

OF_PARTS = frozenset({*PARTS, "headraw"})
"""Kinds for which modules are watched."""

# Where the modules are, by the names that releases of transformers 5 gave them.
_BLOCKS = ("encoder.layer", "encoder.layers", "model.layer", "layer", "layers")
_OUTPUTS = ("attention.o_proj", "self_attn.out_proj", "attention.output.dense")
_MLPS = ("mlp", "output.dense")
_NORMS = ("post_layernorm", "layernorm", "norm")
_CLASS_FAMILIES = frozenset({"dinov2", "dinov2_with_registers", "dinov3_vit", "vit"})
_POOLING_FAMILIES = frozenset({"siglip", "siglip_vision_model"})
_KEPT_BYTES = {"cpu": 256 * 2**20, "cuda": 2 * 2**30}
"""How much of the patches of all blocks a pass may keep; more images go in several passes."""


@dataclass
class _Record:
    """What one forward pass is to keep, and what it kept; `whole`: of all tokens, else of the class token."""

    head_blocks: frozenset[int]
    mlp_blocks: frozenset[int]
    whole: bool
    embedding: Tensor | None = None
    stream: Tensor | None = None
    poolmlp: Tensor | None = None
    heads: dict[int, Tensor] = field(default_factory=dict)
    mlps: dict[int, Tensor] = field(default_factory=dict)

    def of(self, tokens: Tensor) -> Tensor:
        """Tokens (b, n, D) as they are, or a copy of the class token's row (b, D), to let go of the rest."""
        return tokens if self.whole else tokens[:, 0].float().clone()


_RECORD: ContextVar[_Record | None] = ContextVar("morelli_record_of_parts", default=None)


@dataclass(frozen=True)
class WatchedModel:
    """The modules of one model that parts are taken from."""

    family: str
    outputs: tuple[Output, ...]
    heads: int
    norm: Any
    pooler: Any
    """ViT's pooler or SigLIP's pooling head; None where the embedding is the normed class token."""
    whole: bool

    def contributions(self, record: _Record, kinds: Collection[Kind]) -> dict[Kind, Tensor]:
        """Features of these kinds, float32, from what a pass kept."""
        found: dict[Kind, Tensor] = {}
        parts = [kind for kind in kinds if kind.name in PARTS]
        for kind in kinds:
            if kind.name == "headraw":
                rows = record.heads[kind.block]
                found[kind] = rows.view(len(rows), self.heads, -1)[:, kind.head - 1]
        if not parts:
            return found
        assert record.stream is not None and record.embedding is not None
        if self.whole:
            held = PatchParts(record.embedding, record.stream, record.poolmlp, record.heads, record.mlps)
            pooling = PoolingHead(self.pooler.probe, self.pooler.attention, self.norm, record.stream)
            return found | pooled_contributions(
                held, parts, outputs=self.outputs, heads=self.heads, pooling=pooling
            )
        mixed = {number: rows.view(len(rows), self.heads, -1) for number, rows in record.heads.items()}
        held_class = ClassParts(record.embedding, mixed, record.mlps)
        fold = self._fold(record.stream)
        return found | contributions(held_class, parts, outputs=self.outputs, fold=fold)

    def _fold(self, z: Tensor) -> Fold:
        scale, shift, eps = self.norm.weight.float(), self.norm.bias.float(), self.norm.eps
        if self.pooler is None:
            return last_norm(z, scale, shift, eps)
        matrix: Tensor = self.pooler.dense.weight.float()
        bias: Tensor = self.pooler.dense.bias.float()

        def dense(y: Tensor, share: float) -> Tensor:
            return y @ matrix.T + share * bias

        r = last_norm(z, scale, shift, eps, dense)(z, 1.0)
        # tanh(r) / r, which is 1 at 0.
        factor = torch.where(r == 0, 1.0, r.tanh() / torch.where(r == 0, 1.0, r))
        return last_norm(
            z,
            scale,
            shift,
            eps,
            lambda y, share: dense(y, share) * (factor if y.ndim == 2 else factor[:, None]),
        )


def watch(model: Any) -> WatchedModel | str:
    """Watch a model's blocks, or say why its embedding is not decomposed."""
    family = str(model.config.model_type)
    if family not in _CLASS_FAMILIES | _POOLING_FAMILIES:
        return "how its blocks write into the embedding is not known here"
    whole = family in _POOLING_FAMILIES
    root = getattr(model, "vision_model", model) if whole else model
    pooler: Any = getattr(root, "head" if whole else "pooler", None)
    if whole and pooler is None:
        return "this checkpoint has no pooling head"
    if not whole and pooler is not None and getattr(model.config, "pooler_act", "tanh") != "tanh":
        return f"its pooler uses {model.config.pooler_act}"
    blocks, norm = _first(root, _BLOCKS), _first(root, _NORMS)
    laid_out = "this release of transformers lays its modules out in a way that is not known here"
    if blocks is None or norm is None:
        return laid_out
    outputs = []
    for number, block in enumerate(blocks, start=1):
        out, mlp = _first(block, _OUTPUTS), _first(block, _MLPS)
        if out is None or mlp is None:
            return laid_out
        scale = _first(block, ("layer_scale1",))
        outputs.append(Output(out.weight, out.bias, None if scale is None else scale.lambda1))
        _watch_block(number, out, _first(block, ("layer_scale2",)) or mlp)
    _watch_ends(blocks[0], norm, pooler.mlp if whole else None)
    return WatchedModel(family, tuple(outputs), int(model.config.num_attention_heads), norm, pooler, whole)


def refuse_parts(watched: WatchedModel | str, family: str, names: Collection[str]) -> None:
    """Say which of these kinds this family lacks, and why."""
    if not set(names) & OF_PARTS:
        return
    if isinstance(watched, str):
        raise UsageError(
            f"The embedding of this encoder ({family}) is not decomposed into heads, MLPs and embedding: "
            f"{watched}. head:k.h, headraw:k.h, mlp:k and embedding exist for CLIP, SigLIP, DINO and ViT; "
            "layer:k and mean:k exist here."
        )
    if watched.whole and "headraw" in names:
        raise UsageError(
            f"This encoder ({family}) has no class token, of which headraw:k.h would be a head's output; ask "
            "for head:k.h, the head's contribution to the embedding."
        )
    if not watched.whole and "poolmlp" in names:
        raise UsageError(NO_POOLING_HEAD.format(family=family))


@contextmanager
def recording(watched: WatchedModel, kinds: Collection[Kind]) -> Iterator[_Record]:
    """Keep what these kinds need of the forward pass that runs inside, in this thread."""
    record = _Record(
        frozenset(kind.block for kind in kinds if kind.name in ("head", "headraw")),
        frozenset(kind.block for kind in kinds if kind.name == "mlp"),
        watched.whole,
    )
    token = _RECORD.set(record)
    try:
        yield record
    finally:
        _RECORD.reset(token)


def images_per_pass(pixels: Tensor, kinds: Collection[Kind], *, tokens: int, width: int) -> int:
    """How many images of a batch may be kept at once where all their patches are."""
    kept = len({(kind.name, kind.block) for kind in kinds if kind.name in ("head", "mlp")}) + 2
    budget = _KEPT_BYTES.get(pixels.device.type, _KEPT_BYTES["cpu"])
    return max(1, budget // (kept * tokens * width * 4))


def _first(module: Any, paths: Collection[str]) -> Any:
    """The first of these submodules that is there."""
    for path in paths:
        try:
            return module.get_submodule(path)
        except AttributeError:
            continue
    return None


def _watch_block(number: int, out: Any, written: Any) -> None:
    """Keep what goes into the output matrix, and what the MLP (behind its layer scale) gives."""

    def mixed(module: Any, arguments: tuple[Any, ...]) -> None:
        record = _RECORD.get()
        if record is not None and number in record.head_blocks:
            record.heads[number] = record.of(arguments[0])

    def added(module: Any, arguments: tuple[Any, ...], result: Tensor) -> None:
        record = _RECORD.get()
        if record is not None and number in record.mlp_blocks:
            record.mlps[number] = record.of(result)

    out.register_forward_pre_hook(mixed)
    written.register_forward_hook(added)


def _watch_ends(first: Any, norm: Any, pooling_mlp: Any) -> None:
    """Keep the tokens before the first block and after the last, and what a pooling head's MLP gives."""

    def embedded(module: Any, arguments: tuple[Any, ...]) -> None:
        record = _RECORD.get()
        if record is not None:
            record.embedding = record.of(arguments[0])

    def finished(module: Any, arguments: tuple[Any, ...]) -> None:
        record = _RECORD.get()
        if record is not None:
            record.stream = record.of(arguments[0])

    def pooled(module: Any, arguments: tuple[Any, ...], result: Tensor) -> None:
        record = _RECORD.get()
        if record is not None:
            record.poolmlp = result[:, 0]

    first.register_forward_pre_hook(embedded)
    norm.register_forward_pre_hook(finished)
    if pooling_mlp is not None:
        pooling_mlp.register_forward_hook(pooled)
