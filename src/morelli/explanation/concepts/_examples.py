"""Concepts from examples: pictures that have a property, and pictures that lack it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError
from morelli.explanation._residuals import normalize_rows, residual_direction
from morelli.explanation.concepts._bank import Concept, ConceptBank

if TYPE_CHECKING:
    from morelli.encoders import Build

Array = NDArray[Any]


def example_concepts(
    examples: Mapping[str | tuple[str, str], tuple[Array, Array]],
    *,
    kind: str = "final",
    build: Build | None = None,
    least: int = 4,
    random_state: int = 0,
) -> ConceptBank:
    """A bank with one concept per entry: from the pictures without it to the pictures with it.

    Args:
        examples: name, or (name, name of the opposite) → embeddings (n1, d) of pictures that have the
            property and (n0, d) of pictures that lack it.
        kind, build: the space of the embeddings.
        least: how many pictures each side needs.
        random_state: seed of the halves behind `reliability`.

    What else differs between the two folders is in the direction too; only paired folders (the same
    scenes with and without) are free of that.
    """
    concepts, vectors = [], []
    for named, (with_it, without) in examples.items():
        name, opposite = (named, f"not {named}") if isinstance(named, str) else named
        a, b = np.asarray(with_it), np.asarray(without)
        if min(len(a), len(b)) < least:
            raise UsageError(
                f"The concept {name!r} has {len(a)} pictures with it and {len(b)} without; "
                f"each side needs {least}, better 30."
            )
        direction, length, _, _ = residual_direction(a, b)
        vectors.append(direction)
        concepts.append(
            Concept(
                name,
                opposite,
                "examples",
                f"{len(a)} pictures with it, {len(b)} without",
                extent=length,
                reliability=_reliability(a, b, np.random.default_rng(random_state)),
                n=len(a) + len(b),
            )
        )
    if not concepts:
        raise UsageError("No example was given.")
    return ConceptBank.of(concepts, vectors, kind=kind, build=build, metadata={"least": least})


def _reliability(a: Array, b: Array, rng: np.random.Generator, draws: int = 20) -> float:
    """Mean cosine between directions of two random halves of both sides."""
    A, B = normalize_rows(a), normalize_rows(b)
    total = 0.0
    for _ in range(draws):
        halves: Sequence[list[np.ndarray]] = ([], [])
        for rows in (A, B):
            order = rng.permutation(len(rows))
            halves[0].append(rows[order[: len(rows) // 2]].mean(axis=0))
            halves[1].append(rows[order[len(rows) // 2 :]].mean(axis=0))
        first, second = (normalize_rows(half[0]) - normalize_rows(half[1]) for half in halves)
        total += float(normalize_rows(first) @ normalize_rows(second))
    return total / draws
