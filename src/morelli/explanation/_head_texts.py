"""What a head looks at, in the words of a concept bank.

TextSpan (Gandelsman et al. 2310.05916, algorithm 1): of the concepts, projected on the space that the head
writes into, take the one along which the head's contributions vary most; take that direction out of the
contributions and out of all concepts; repeat. The paper's texts are replaced by any `ConceptBank`, so that
heads can be described by measured edits too, where the encoder has no text tower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError
from morelli.explanation._heads import Heads, place
from morelli.explanation.concepts import ConceptBank


@dataclass(frozen=True)
class SpanTerm:
    """One concept of a description: both its ends, and the share of the head's variance along it (0 to 1).

    `share` is what this concept adds to those before it; `explained` what they explain together.
    """

    name: str
    opposite: str
    share: float
    explained: float


@dataclass(frozen=True)
class HeadDescription:
    """A head, the variance of its contributions, and the concepts that span most of it."""

    head: str
    variance: float
    terms: tuple[SpanTerm, ...]

    def __str__(self) -> str:
        block, head = place(self.head)
        words = "; ".join(f"{t.name} – {t.opposite} ({t.share:.0%})" for t in self.terms)
        return f"Block {block}, head {head}: {words or 'nothing in this bank'}"


def text_span(vectors: NDArray[Any], bank: ConceptBank, *, terms: int = 5, rank: int = 80) -> list[SpanTerm]:
    """TextSpan of contributions (n, d) over the directions of `bank`; constant ones give no term.

    `rank`: the concepts are first projected on so many right singular vectors of the centred
    contributions, as in the paper.

    Raises:
        BuildMismatchError: the directions have another length.
    """
    C = np.asarray(vectors, dtype=np.float64)
    bank.check(None, C.shape[1])
    C = C - C.mean(axis=0)
    total = float((C**2).sum())
    found: list[SpanTerm] = []
    if total <= 1e-18 * max(1, C.size):
        return found
    _, sizes, V = np.linalg.svd(C, full_matrices=False)
    V = V[: min(rank, int((sizes > 1e-7 * sizes[0]).sum()))]
    R = (bank.directions.astype(np.float64) @ V.T) @ V
    for _ in range(min(terms, len(bank), len(V))):
        best = int((C @ R.T).std(axis=0).argmax())
        length = float(np.linalg.norm(R[best]))
        if length < 1e-9:
            break
        r = R[best] / length
        C = C - np.outer(C @ r, r)
        R = R - np.outer(R @ r, r)
        R[best] = 0
        explained = 1 - float((C**2).sum()) / total
        concept = bank.concepts[best]
        before = found[-1].explained if found else 0.0
        found.append(SpanTerm(concept.name, concept.opposite, explained - before, explained))
    return found


def describe_heads(
    heads: Heads, bank: ConceptBank, *, which: NDArray[Any] | None = None, terms: int = 5
) -> list[HeadDescription]:
    """Describe heads (all, or those numbered `which`) by the concepts of a bank for `final`.

    Raises:
        UsageError: the heads are raw readings, or the bank is of another kind than `final`.
    """
    if heads.reading != "contribution" or bank.kind != "final":
        raise UsageError(
            "Heads are described by their contributions (head:l.h) and a bank of kind final, which live in "
            f"one space; got {heads.reading} readings and a bank of kind {bank.kind}."
        )
    chosen = range(len(heads)) if which is None else [int(i) for i in np.asarray(which)]
    return [
        HeadDescription(
            heads.names[i],
            float(heads.vectors[:, i].astype(np.float64).var(axis=0).sum()),
            tuple(text_span(heads.vectors[:, i], bank, terms=terms)),
        )
        for i in chosen
    ]
