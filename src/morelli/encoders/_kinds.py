"""The names of feature kinds, and the shape that each has for an encoder.

Blocks are counted from 1, so that `layer:k` is the residual stream after k blocks, as in the
`hidden_states[k]` of transformers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, cast, get_args

from morelli.errors import UsageError

KindName = Literal["final", "layer", "mean", "tokens", "attention"]
"""`final` is the embedding; the others carry the number of a block."""

_FORM = re.compile(r"(layer|mean|tokens|attention):(\d+)(?:-(\d+))?")
_GROUPS: dict[str, KindName] = {"layers": "layer", "means": "mean"}
_FORMS = "final, layer:k, mean:k, tokens:k, attention:k (also layer:j-k, layers, means, tokens, attention)"


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
    """One feature kind; `block` is 1-based, and 0 for `final`."""

    name: KindName
    block: int = 0

    def __str__(self) -> str:
        return self.name if self.name == "final" else f"{self.name}:{self.block}"


def parse_kind(text: str, *, layers: int) -> Kind:
    """Read one kind such as `final` or `layer:8`.

    Raises:
        UsageError: the kind is unknown, or its block is outside 1..`layers`.
    """
    (kind,) = kinds if len(kinds := _expand_one(text, layers)) == 1 else (None,)
    if kind is None:
        raise UsageError(f"{text!r} names several feature kinds where one is needed.")
    return kind


def expand_kinds(kinds: Iterable[str], *, layers: int) -> list[str]:
    """Spell out groups of kinds for an encoder of `layers` blocks; order kept, duplicates dropped.

    `layers` and `means` stand for every block, `layer:6-9` for a range, `tokens` and `attention`
    alone for the last block.

    >>> expand_kinds(["final", "layer:2-3", "attention"], layers=4)
    ['final', 'layer:2', 'layer:3', 'attention:4']

    Raises:
        UsageError: nothing is asked for, a kind is unknown, or a block is outside 1..`layers`.
    """
    if isinstance(kinds, str):
        kinds = kinds.split(",")
    found = list(dict.fromkeys(str(kind) for text in kinds for kind in _expand_one(text.strip(), layers)))
    if not found:
        raise UsageError(f"No feature kind was asked for. Name at least one of: {_FORMS}.")
    return found


def kind_shape(kind: str, encoder: Shapes) -> tuple[int, ...]:
    """Shape of one image's array of this kind: `(d,)`, `(patches, width)` or `(heads, patches + 1)`."""
    parsed = parse_kind(kind, layers=encoder.layers)
    shapes: dict[KindName, tuple[int, ...]] = {
        "final": (encoder.dim,),
        "layer": (encoder.width,),
        "mean": (encoder.width,),
        "tokens": (encoder.patches, encoder.width),
        "attention": (encoder.heads, encoder.patches + 1),
    }
    return shapes[parsed.name]


def _expand_one(text: str, layers: int) -> list[Kind]:
    if text == "final":
        return [Kind("final")]
    if text in _GROUPS:
        return [Kind(_GROUPS[text], block) for block in range(1, layers + 1)]
    if text in ("tokens", "attention"):
        return [Kind(cast(KindName, text), layers)]
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a feature kind. Kinds are: {_FORMS}.")
    name, first, last = match[1], int(match[2]), int(match[3] or match[2])
    if not 1 <= first <= last <= layers:
        raise UsageError(f"{text!r} names a block that is not there: this encoder has blocks 1 to {layers}.")
    assert name in get_args(KindName)
    return [Kind(cast(KindName, name), block) for block in range(first, last + 1)]
