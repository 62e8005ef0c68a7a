"""A first name for each prototype, from concepts, for people to change.

A prototype's images are compared with others of the same class mix, so that "generated" itself is no name.
The difference of their embeddings is tested against every concept of a bank (see `concept_tests`); a concept
names the prototype when it is both surely and visibly along that difference. Where none is, the name says
where the pattern lies, how large it is, and which generator or source shows it, if it is one above others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.atlas.patterns._distinct_names import often, pattern_name
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.atlas.patterns._prototypes import Prototypes
    from morelli.explanation.concepts import ConceptBank

Array = NDArray[Any]
LEAST_COSINE = 0.2
"""Cosine from which a concept is said; below it accounts for less than 4 % of the difference."""
_MEMBERS, _OTHERS, _LEAST = 300, 600, 10
_PLACED = ("description", "generators")


@dataclass(frozen=True)
class NameSuggestion:
    """What a prototype may be called.

    `source`: the concept's (``edit``, ``text bank``, …), or ``place`` where no concept is close enough.
    `cosine` of the concept with the difference, `p` corrected for all concepts of its bank; NaN for places.
    """

    name: str
    source: str
    cosine: float = float("nan")
    p: float = float("nan")


def suggest_names(
    prototypes: Prototypes,
    assignment: Array,
    embeddings: Array,
    labels: Array,
    banks: Sequence[ConceptBank],
    *,
    alpha: float = 0.01,
    least_cosine: float = LEAST_COSINE,
    permutations: int = 500,
    random_state: int = 0,
) -> list[NameSuggestion]:
    """One suggestion per prototype, in their order.

    Args:
        prototypes: to be named.
        assignment: (n, K) as `find_prototypes` gives it.
        embeddings: (n, d) features of the kind that the banks are of; read at up to 900 rows a prototype.
        labels: (n,) real 0, fake 1, −1 unknown (a class of its own here).
        banks: concept banks of one feature kind.
        alpha: largest corrected p-value of a concept that names. least_cosine: smallest cosine of one.
        permutations: behind the p-values.
        random_state: seed of the draws.

    Raises:
        UsageError: banks of another length than the embeddings.

    Use `prototypes.with_columns(name=[one.name for one in suggestions])` to adopt them.
    """
    for bank in banks:
        if bank.dim != embeddings.shape[1]:
            raise UsageError(
                f"The bank has directions of {bank.dim} values and the embeddings {embeddings.shape[1]}; "
                f"give embeddings of the kind {bank.kind}."
            )
    descriptions = [
        placed(*row) for row in zip(*(prototypes.table[name].to_pylist() for name in _PLACED), strict=True)
    ]
    found = []
    for j, (k, place) in enumerate(zip(prototypes.dimension, descriptions, strict=True)):
        best = nearest_concept(
            assignment[:, k] == j, embeddings, np.asarray(labels), banks,
            alpha=alpha, least_cosine=least_cosine, permutations=permutations, random_state=random_state,
            stream=j,
        )  # fmt: skip
        found.append(best or NameSuggestion(place, "place"))
    return found


def nearest_concept(
    members: NDArray[np.bool_],
    embeddings: Array,
    labels: Array,
    banks: Sequence[ConceptBank],
    *,
    alpha: float,
    least_cosine: float,
    permutations: int,
    random_state: int,
    stream: int = 0,
) -> NameSuggestion | None:
    """The concept surely and visibly along what tells members (n,) from others of the same class mix."""
    rng = np.random.default_rng([random_state, stream])
    some, others = _compared(members, labels, rng)
    if min(len(some), len(others)) < _LEAST:
        return None
    inside, outside = (np.asarray(embeddings[rows], dtype=float) for rows in (some, others))
    best: NameSuggestion | None = None
    for bank in banks:
        one = _nearest(inside, outside, bank, alpha, least_cosine, permutations, random_state)
        if one is not None and (best is None or abs(one.cosine) > abs(best.cosine)):
            best = one
    return best


def placed(description: str, generators: Sequence[dict[str, Any]] | None) -> str:
    """The place, and the generator or source of at least a quarter of the images if it is twice as frequent.

    Example:
        >>> placed("small region, middle", [{"name": "ffhq", "share": 0.4, "lift": 6.0}])
        'small region, middle, often ffhq'
    """
    mentioned = often(generators)
    return f"{description}, often {mentioned[0]}" if mentioned else description


def named(suggestion: NameSuggestion, row: Mapping[str, Any], of_dimension: str | None) -> str:
    """What a prototype shows, whose it is, and where.

    Args:
        suggestion: of `suggest_names`.
        row: of the table of prototypes: `sign` is read, and what `pattern_name` reads.
        of_dimension: the concept that names its dimension. Where the pattern has none of its own and is what
            the dimension speaks about, it is that; the absence of something is not called by its name.

    Example:
        >>> row = {"description": "region, left", "generators": [], "sign": 1, "purity_fake": 0.9}
        >>> named(NameSuggestion("region, left", "place"), row, "film grain")
        'film grain: in generated images, region, left'
    """
    what = suggestion.name if suggestion.source != "place" else of_dimension if row["sign"] > 0 else None
    return pattern_name(what, row)


def _compared(members: NDArray[np.bool_], labels: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Rows of the members and of others in the same proportions of the classes."""
    inside = np.flatnonzero(members)
    if len(inside) > _MEMBERS:
        inside = np.sort(rng.choice(inside, _MEMBERS, replace=False))
    pools = {value: np.flatnonzero(~members & (labels == value)) for value in np.unique(labels[inside])}
    shares = {value: float((labels[inside] == value).mean()) for value in pools}
    size = min([_OTHERS, *(int(len(pools[value]) / share) for value, share in shares.items())])
    outside = [
        rng.choice(pool, min(len(pool), round(size * shares[value])), replace=False)
        for value, pool in pools.items()
    ]
    return inside, np.sort(np.concatenate(outside)) if outside else np.empty(0, dtype=np.int64)


def _nearest(  # noqa: PLR0917
    inside: Array,
    outside: Array,
    bank: ConceptBank,
    alpha: float,
    least_cosine: float,
    permutations: int,
    seed: int,
) -> NameSuggestion | None:
    from morelli.explanation import concept_tests

    tests = concept_tests(inside, outside, bank.directions, permutations=permutations, random_state=seed)
    good = np.flatnonzero((tests.p_family <= alpha) & (np.abs(tests.cosine) >= least_cosine))
    if not len(good):
        return None
    best = int(good[np.abs(tests.score[good]).argmax()])
    concept, cosine = bank.concepts[best], float(tests.cosine[best])
    return NameSuggestion(concept.end(cosine), concept.source, abs(cosine), float(tests.p_family[best]))
