"""The names of feature kinds, and the shape that each has for an encoder.

Blocks are counted from 1, so that `layer:k` is the residual stream after k blocks, as in the
`hidden_states[k]` of transformers. Heads of a block are counted from 1 too: `head:12.3` is the third
head of the twelfth block.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol, cast, get_args

from morelli.errors import UsageError

KindName = Literal[
    "final", "layer", "mean", "tokens", "attention", "head", "headraw", "mlp", "embedding", "poolmlp"
]
"""`final` is the embedding; `embedding` what the tokens that are read off already hold before the first
block contributes to it; `poolmlp` what the MLP of a pooling head (SigLIP) adds; the others carry the number
of a block, `head` and `headraw` that of a head too."""

PARTS: frozenset[KindName] = frozenset({"head", "mlp", "embedding", "poolmlp"})
"""The kinds whose contributions sum to `final`, see `morelli.encoders._decomposition`."""

NO_POOLING_HEAD = (
    "poolmlp is what the MLP of an attention-pooling head adds to the embedding; this encoder ({family}) has "
    "no such head. Its parts are head:k.h, mlp:k and embedding."
)

_PLAIN = ("final", "embedding", "poolmlp")
_OF_HEADS = ("head", "headraw")
_FORM = re.compile(r"(layer|mean|tokens|attention|mlp|head|headraw):(\d+)(?:-(\d+))?")
_HEAD_FORM = re.compile(r"(head|headraw):(\d+)\.(\d+)")
_GROUPS: dict[str, tuple[KindName, ...]] = {
    "layers": ("layer",),
    "means": ("mean",),
    "mlps": ("mlp",),
    "heads": ("head",),
    "headraws": ("headraw",),
    "parts": ("head", "mlp", "embedding", "poolmlp"),
}
_FORMS = (
    "final, layer:k, mean:k, tokens:k, attention:k, head:k.h, headraw:k.h, mlp:k, embedding, poolmlp (also "
    "layer:j-k, layers, means, tokens, attention, head:k, heads, headraws, mlps, parts)"
)


class Shapes(Protocol):
    """What an encoder must tell for its kinds to have a shape."""

    @property
    def dim(self) -> int:
        """Length of the final embedding."""

    @property
    def width(self) -> int:
        """Length of the residual stream of one token."""

    @property
    def layers(self) -> int:
        """Number of blocks."""

    @property
    def heads(self) -> int:
        """Number of attention heads of a block."""

    @property
    def patches(self) -> int:
        """Number of patch tokens."""


@dataclass(frozen=True)
class Kind:
    """One feature kind; `block` is 1-based, and 0 for `final`, `embedding`, `poolmlp`; `head` 1-based."""

    name: KindName
    block: int = 0
    head: int = 0

    def __str__(self) -> str:
        if self.name in _PLAIN:
            return self.name
        return f"{self.name}:{self.block}.{self.head}" if self.head else f"{self.name}:{self.block}"


def refuse_pooling_head(kinds: Iterable[Kind], family: str) -> None:
    """Raise `UsageError` where the part of a pooling head is asked of an encoder without one."""
    if any(kind.name == "poolmlp" for kind in kinds):
        raise UsageError(NO_POOLING_HEAD.format(family=family))


def parse_kind(text: str, *, layers: int, heads: int | None = None) -> Kind:
    """Read one kind such as `final`, `layer:8` or `head:12.3`.

    Raises:
        UsageError: the kind is unknown, its block is outside 1..`layers` or its head outside 1..`heads`.
    """
    (kind,) = kinds if len(kinds := _expand_one(text, layers, heads)) == 1 else (None,)
    if kind is None:
        raise UsageError(f"{text!r} names several feature kinds where one is needed.")
    return kind


def expand_kinds(
    kinds: Iterable[str], *, layers: int, heads: int | None = None, pooling_head: bool = False
) -> list[str]:
    """Spell out groups of kinds for an encoder of `layers` blocks of `heads`; order kept, duplicates dropped.

    `layers` and `means` stand for every block, `layer:6-9` for a range, `tokens` and `attention`
    alone for the last block; `heads` for every head of every block, `head:9-12` for those of some
    blocks, `parts` for all that sums to `final`: heads, MLPs and `embedding`, and `poolmlp` where the
    encoder has a `pooling_head`.

    >>> expand_kinds(["final", "layer:2-3", "attention"], layers=4)
    ['final', 'layer:2', 'layer:3', 'attention:4']
    >>> expand_kinds(["head:3", "mlps"], layers=3, heads=2)
    ['head:3.1', 'head:3.2', 'mlp:1', 'mlp:2', 'mlp:3']

    Raises:
        UsageError: nothing is asked for, a kind is unknown, a block is outside 1..`layers` or a head
            outside 1..`heads`, or a group needs `heads`, which is None.
    """
    return [str(kind) for kind in kinds_of(kinds, layers=layers, heads=heads, pooling_head=pooling_head)]


def kinds_of(
    kinds: Iterable[str], *, layers: int, heads: int | None = None, pooling_head: bool = False
) -> tuple[Kind, ...]:
    """What `expand_kinds` spells out, each kind read."""
    texts = kinds.split(",") if isinstance(kinds, str) else kinds
    return _kinds_of(tuple(texts), layers, heads, pooling_head)


@lru_cache(maxsize=32)  # every pass of an encoder asks for the same kinds, over a hundred of them
def _kinds_of(kinds: tuple[str, ...], layers: int, heads: int | None, pooling_head: bool) -> tuple[Kind, ...]:
    found = tuple(
        dict.fromkeys(
            kind
            for text in kinds
            for kind in _expand_one(text.strip(), layers, heads)
            if pooling_head or kind.name != "poolmlp" or text.strip() != "parts"
        )
    )
    if not found:
        raise UsageError(f"No feature kind was asked for. Name at least one of: {_FORMS}.")
    return found


def kind_shape(kind: str, encoder: Shapes) -> tuple[int, ...]:
    """Shape of one image's array of this kind: `(d,)`, `(patches, width)` or `(heads, patches + 1)`."""
    parsed = parse_kind(kind, layers=encoder.layers, heads=encoder.heads)
    stages: tuple[int, ...] = getattr(encoder, "stage_widths", ())
    if parsed.name == "mean" and stages:
        return (stages[parsed.block - 1],)
    shapes: dict[KindName, tuple[int, ...]] = {
        "final": (encoder.dim,),
        "layer": (encoder.width,),
        "mean": (encoder.width,),
        "tokens": (encoder.patches, encoder.width),
        "attention": (encoder.heads, encoder.patches + 1),
        "head": (encoder.dim,),
        "headraw": (encoder.width // max(encoder.heads, 1),),
        "mlp": (encoder.dim,),
        "embedding": (encoder.dim,),
        "poolmlp": (encoder.dim,),
    }
    return shapes[parsed.name]


def _expand_one(text: str, layers: int, heads: int | None) -> list[Kind]:
    if text in _PLAIN:
        return [Kind(cast(KindName, text))]
    if text in _GROUPS:
        return [kind for name in _GROUPS[text] for kind in _of_blocks(text, name, 1, layers, heads)]
    if text in ("tokens", "attention"):
        return [Kind(cast(KindName, text), layers)]
    match, one_head = _FORM.fullmatch(text), _HEAD_FORM.fullmatch(text)
    if match is None and one_head is None:
        raise UsageError(f"{text!r} is not a feature kind. Kinds are: {_FORMS}.")
    if one_head is not None:
        name, first, last = one_head[1], int(one_head[2]), int(one_head[2])
    else:
        assert match is not None
        name, first, last = match[1], int(match[2]), int(match[3] or match[2])
    if not 1 <= first <= last <= layers:
        raise UsageError(f"{text!r} names a block that is not there: this encoder has blocks 1 to {layers}.")
    assert name in get_args(KindName)
    if one_head is None:
        return _of_blocks(text, cast(KindName, name), first, last, heads)
    head = int(one_head[3])
    if head < 1 or (heads is not None and head > heads):
        known = "counted from 1" if heads is None else f"1 to {heads}"
        raise UsageError(f"{text!r} names a head that is not there: the heads of a block are {known}.")
    return [Kind(cast(KindName, name), first, head)]


def _of_blocks(text: str, name: KindName, first: int, last: int, heads: int | None) -> list[Kind]:
    if name in _PLAIN:
        return [Kind(name)]
    blocks = range(first, last + 1)
    if name not in _OF_HEADS:
        return [Kind(name, block) for block in blocks]
    if heads is None:
        raise UsageError(
            f"{text!r} stands for all heads of a block, but how many there are is not known here; "
            f"name them one by one, such as {name}:{last}.1."
        )
    return [Kind(name, block, head) for block in blocks for head in range(1, heads + 1)]
