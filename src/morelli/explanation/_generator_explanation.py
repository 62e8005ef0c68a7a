"""In which named ways a generator's images differ from real ones, or from another generator's.

The residual of the generator (2406.15035) is compared with every concept of a bank; what is said of it
carries a cosine, a corrected p-value, an interval, and what could have caused it besides the generator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError
from morelli.explanation._concept_tests import (
    ConceptTests,
    bootstrap_effects,
    concept_tests,
    permuted_residuals,
)
from morelli.explanation._decomposition import decompose
from morelli.explanation._residuals import normalize_rows

if TYPE_CHECKING:
    from morelli.explanation.concepts import ConceptBank
    from morelli.features import Features

Array = NDArray[Any]
LEAST_EXPLAINED = 10
"""An explanation needs so many images on each side."""
CONFOUNDED = 0.65
"""Area under the curve of file facts alone from which the explanation warns."""


@dataclass(frozen=True)
class ConceptFinding:
    """One concept's relation to a residual.

    Attributes:
        name: the end towards which the first group lies; `opposite` the other one.
        row: of the concept in the bank; `sign` +1 where `name` is its positive end.
        source: what the direction was made from.
        cosine: between the residual and the direction of `name`, ≥ 0.
        interval: of that cosine, whole groups resampled; the length of the residual is held fixed.
        effect: difference of the two groups' means along the direction, in standard deviations within them.
        score: how well the concept alone accounts for the residual, see `concept_tests`; about ±1 is nothing.
        p: permutation p-value; `p_family` corrected for all concepts of the bank.
        sources_beyond: share of real sources that differ from the other reals by more, along this
            direction, than the first group does; None where fewer than three sources are known.
        telling: (id, projection in standard deviations) of the first group's images furthest along it.
    """

    name: str
    opposite: str
    row: int
    sign: int
    source: str
    cosine: float
    interval: tuple[float, float]
    effect: float
    score: float
    p: float
    p_family: float
    sources_beyond: float | None = None
    telling: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Telling:
    """An image near one end of the residual: its identity and its projection on the unit direction."""

    uri: str
    sha256: str
    label: Literal["first", "second"]
    projection: float


@dataclass(frozen=True)
class Part:
    """A named concept's weight in the sparse decomposition, and the share explained up to it."""

    name: str
    weight: float
    explained: float


@dataclass(frozen=True)
class GeneratorExplanation:
    """What separates `first` (a generator) from `second` (real images, or another generator).

    `findings` are all concepts, largest score first; `named` those whose corrected p is below `alpha`.
    `parts` is the sparse non-negative decomposition of the residual: its last `explained` is the share of
    the squared length that the named concepts explain together, `explained_by_chance` what the same
    procedure explains of residuals of permuted labels. `noise` is the share of the squared length that
    permuted labels alone produce: that much of any residual is sampling. `confounds` are differences of
    the files that could cause the residual instead; `metadata_auc` how well file facts alone separate;
    `delivery` the perturbation that every image went through before it was encoded, if one.
    """

    first: str
    second: str
    kind: str
    n_first: int
    n_second: int
    length: float
    noise: float
    alpha: float
    findings: tuple[ConceptFinding, ...]
    parts: tuple[Part, ...]
    explained_by_chance: float
    telling: tuple[Telling, ...]
    confounds: tuple[str, ...] = ()
    metadata_auc: float | None = None
    delivery: str = ""
    build: str = ""
    notes: tuple[str, ...] = ()
    direction: Array = field(default_factory=lambda: np.zeros(0), repr=False)

    @property
    def named(self) -> tuple[ConceptFinding, ...]:
        """Findings that hold after the correction for the number of concepts, the surest first.

        A concept whose score and cosine disagree in sign is not named: the residual leans to one end
        only because of what images have in common with it, and to the other once that is allowed for.
        """
        return tuple(f for f in self.findings if f.p_family < self.alpha and f.score > 0)

    @property
    def explained(self) -> float:
        """Share of the residual's squared length that the decomposition's concepts explain together."""
        return self.parts[-1].explained if self.parts else 0.0

    @property
    def files_confound(self) -> bool:
        """Whether file facts alone separate the two groups so well that they may be what is explained."""
        return (self.metadata_auc or 0) >= CONFOUNDED

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON values, without the direction; `morelli.reports` adds the sentences."""
        document = {k: v for k, v in asdict(self).items() if k != "direction"}
        document["explained"] = self.explained
        document["named"] = [finding.name for finding in self.named]
        return document


def explain_generator(
    features: Features,
    generator: str,
    bank: ConceptBank,
    *,
    against: str | None = None,
    permutations: int = 2000,
    draws: int = 1000,
    alpha: float = 0.01,
    terms: int = 6,
    telling: int = 5,
    metadata_auc: float | None = None,
    random_state: int = 0,
) -> GeneratorExplanation:
    """Explain how `generator`'s images differ from the real ones in `features`, in the words of `bank`.

    Args:
        features: labelled, with the bank's feature kind; `lineage` and `source` keep the groups of the
            bootstrap together.
        generator: a value of the column `generator` (or `lineage`) among the fakes.
        bank: concepts in the same space.
        against: another generator to compare with, instead of the real images.
        alpha: family-wise error at which a concept is named.
        metadata_auc: area under the curve of file facts alone for these two groups
            (`morelli.audit.metadata_only_auc`), to be stated beside the explanation.

    The p-values ask whether these images differ from those. They cannot tell a generator from a
    photographer: what single real sources do among themselves is reported next to them.

    Raises:
        UsageError: too few images, no such generator, or images that occur under several perturbations.
        BuildMismatchError: the bank is of another space.
    """
    first = rows_of_generator(features, generator)
    second = np.flatnonzero(features.labels == 0) if against is None else rows_of_generator(features, against)
    names = (generator, "real images" if against is None else against)
    _require_each_once(features, np.r_[first, second])
    if bank.kind not in features.vectors:
        from morelli.encoders import kind_ranges

        has = kind_ranges(features.kinds)
        raise UsageError(
            f"The concepts are of kind {bank.kind}, which these features lack ({has}). "
            f"Extract that kind, or build the bank for one of these."
        )
    X = features.matrix(bank.kind)
    bank.check(features.build, X.shape[1])
    groups = features.groups(near_duplicate_distance=None)
    identity = [f"{u}" for u in features.column("uri")]
    sources = features.column("source")[second] if against is None else None
    changed = {str(one or "") for one in features.column("perturbation")[np.r_[first, second]]}
    return explain_rows(
        X[first],
        X[second],
        bank,
        names=names,
        groups=(groups[first], groups[second]),
        sources=sources,
        identities=([identity[i] for i in first], [identity[i] for i in second]),
        hashes=(features.column("sha256")[first].tolist(), features.column("sha256")[second].tolist()),
        confounds=file_differences(features, first, second, names=names),
        permutations=permutations,
        draws=draws,
        alpha=alpha,
        terms=terms,
        telling=telling,
        metadata_auc=metadata_auc,
        delivery=changed.pop() if len(changed) == 1 else "",
        random_state=random_state,
    )


def _require_each_once(features: Features, rows: NDArray[np.intp]) -> None:
    """Refuse copies of an image, which p-values would take for independent ones."""
    hashes = features.column("sha256")[rows].tolist()
    if len(set(hashes)) < len(hashes):
        held = sorted({str(one or "clean") for one in features.column("perturbation")[rows]})
        raise UsageError(
            f"these features hold images under several perturbations ({', '.join(held)}), and each image may "
            'count once: load one of them, as by table.load(where=table.one_perturbation("clean"))'
        )


def rows_of_generator(features: Features, generator: str) -> NDArray[np.intp]:
    """Rows of the fakes by this generator, or of this lineage where no generator is called so."""
    fake = features.labels == 1
    for column in ("generator", "lineage"):
        rows = np.flatnonzero(fake & (features.column(column) == generator))
        if len(rows):
            return rows
    names = Counter(str(g) for g in features.column("generator")[fake] if g is not None)
    known = ", ".join(f"{name} ({n})" for name, n in names.most_common(8)) or "none with a name"
    raise UsageError(f"No generated image here is by {generator!r}. There are {known}.")


def explain_rows(
    first: Array,
    second: Array,
    bank: ConceptBank,
    *,
    names: tuple[str, str] = ("the first set", "the second set"),
    groups: tuple[Array | None, Array | None] = (None, None),
    sources: Array | None = None,
    identities: tuple[Sequence[str], Sequence[str]] | None = None,
    hashes: tuple[Sequence[str], Sequence[str]] | None = None,
    confounds: Sequence[str] = (),
    permutations: int = 2000,
    draws: int = 1000,
    alpha: float = 0.01,
    terms: int = 6,
    telling: int = 5,
    metadata_auc: float | None = None,
    delivery: str = "",
    random_state: int = 0,
) -> GeneratorExplanation:
    """The same for any two sets of embeddings (n1, d) and (n0, d) in the bank's space.

    `groups` are kept whole in the bootstrap; `sources` (n0,) are what the second set was collected from.
    """
    A, B = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if min(len(A), len(B)) < LEAST_EXPLAINED:
        raise UsageError(
            f"{names[0]} has {len(A)} images and {names[1]} {len(B)}; an explanation needs "
            f"{LEAST_EXPLAINED} of each."
        )
    bank.check(None, A.shape[1])
    C = bank.directions.astype(np.float64)
    tests = concept_tests(A, B, C, permutations=permutations, random_state=random_state)
    low, high = bootstrap_effects(
        A, B, C, fake_groups=groups[0], real_groups=groups[1], draws=draws, random_state=random_state
    )
    UA, UB = normalize_rows(A), normalize_rows(B)
    PA, PB = UA @ C.T, UB @ C.T
    spread = np.sqrt((PA.var(axis=0) * len(PA) + PB.var(axis=0) * len(PB)) / (len(PA) + len(PB)))
    spread = np.maximum(spread, 1e-12)
    effect = (PA.mean(axis=0) - PB.mean(axis=0)) / spread
    beyond = _sources_beyond(PB, sources, spread, effect)
    one = identities or ([f"row {i}" for i in range(len(A))], [f"row {i}" for i in range(len(B))])
    two = hashes or ([""] * len(A), [""] * len(B))
    readings = _Readings(PA, PB, spread, effect, low, high, beyond)
    found = [
        _finding(int(row), bank, tests, readings, identities=one[0], telling=telling)
        for row in np.argsort(-np.abs(tests.score))
    ]
    parts = [
        Part(bank.concepts[t.row].end(t.sign), t.weight / tests.length, t.explained)
        for t in decompose(tests.direction * tests.length, C, terms=terms)
    ]
    chance = _chance(np.concatenate([UA, UB]), len(UA), C, terms=terms, seed=random_state)
    return GeneratorExplanation(
        first=names[0],
        second=names[1],
        kind=bank.kind,
        n_first=len(A),
        n_second=len(B),
        length=tests.length,
        noise=tests.noise,
        alpha=alpha,
        findings=tuple(found),
        parts=tuple(parts),
        explained_by_chance=chance,
        telling=_telling(UA @ tests.direction, UB @ tests.direction, one, two, telling),
        confounds=tuple(confounds),
        metadata_auc=metadata_auc,
        delivery=delivery,
        build=bank.build.fingerprint if bank.build is not None else "",
        direction=tests.direction,
    )


@dataclass(frozen=True)
class _Readings:
    """Of m concepts: projections (n1, m) and (n0, m), spread and effect (m,), the effect's interval `low` to
    `high` (m,), and the share (m,) of real sources beyond it where sources are known."""

    first: Array
    second: Array
    spread: Array
    effect: Array
    low: Array
    high: Array
    beyond: Array | None


def _finding(
    row: int,
    bank: ConceptBank,
    tests: ConceptTests,
    of: _Readings,
    *,
    identities: Sequence[str],
    telling: int,
) -> ConceptFinding:
    """What one concept says, with the images of the first set that lie furthest along it."""
    # The sign of the cosine: "lies towards this end" is about the residual itself.
    sign = 1 if tests.cosine[row] >= 0 else -1
    ends = sorted((sign * of.low[row] / tests.length, sign * of.high[row] / tests.length))
    furthest = np.argsort(-sign * of.first[:, row])[:telling]
    concept = bank.concepts[row]
    return ConceptFinding(
        name=concept.end(sign),
        opposite=concept.end(-sign),
        row=row,
        sign=sign,
        source=concept.source,
        cosine=float(sign * tests.cosine[row]),
        interval=(float(ends[0]), float(ends[1])),
        effect=float(sign * of.effect[row]),
        score=float(sign * tests.score[row]),
        p=float(tests.p[row]),
        p_family=float(tests.p_family[row]),
        sources_beyond=None if of.beyond is None else float(of.beyond[row]),
        telling=tuple(
            (identities[i], float(sign * (of.first[i, row] - of.second[:, row].mean()) / of.spread[row]))
            for i in furthest
        ),
    )


def _chance(X: Array, n_first: int, C: Array, *, terms: int, seed: int, draws: int = 30) -> float:
    """Mean share explained by the same decomposition of residuals of permuted labels."""
    null = permuted_residuals(X, n_first, np.random.default_rng([seed, 1]), draws)
    shares = [decompose(r, C, terms=terms) for r in null]
    return float(np.mean([found[-1].explained if found else 0.0 for found in shares]))


def _sources_beyond(projections: Array, sources: Array | None, spread: Array, effect: Array) -> Array | None:
    """Share (m,) of real sources that stand further from the other reals than `effect`, in either sense."""
    if sources is None:
        return None
    known = np.asarray(sources, dtype=object)
    sizes = Counter(s for s in known if s is not None)
    large = [name for name, n in sizes.items() if n >= LEAST_EXPLAINED and n < len(known)]
    if len(large) < 3:
        return None
    apart = [
        np.abs(projections[known == name].mean(axis=0) - projections[known != name].mean(axis=0)) / spread
        for name in large
    ]
    return np.asarray((np.stack(apart) >= np.abs(effect)).mean(axis=0))


def _telling(
    a: Array,
    b: Array,
    identities: tuple[Sequence[str], Sequence[str]],
    hashes: tuple[Sequence[str], Sequence[str]],
    most: int,
) -> tuple[Telling, ...]:
    """The images of the first set furthest along the residual, and of the second furthest against it."""
    return (
        *(Telling(identities[0][i], str(hashes[0][i]), "first", float(a[i])) for i in np.argsort(-a)[:most]),
        *(Telling(identities[1][i], str(hashes[1][i]), "second", float(b[i])) for i in np.argsort(b)[:most]),
    )


def file_differences(
    features: Features,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    *,
    names: tuple[str, str] = ("the first set", "the second"),
    least: float = 0.3,
) -> tuple[str, ...]:
    """Differences of format, shape and size between two sets of rows, called `names`, behind a residual.

    A share is reported when the two sets differ by at least `least`, a size when the medians differ by a
    factor of 1.5.
    """
    found = []
    formats = features.column("format")
    for name in sorted({str(f) for f in formats if f is not None}):
        a, b = (float(np.mean(formats[rows] == name)) for rows in (first, second))
        if abs(a - b) >= least:
            found.append(f"{a:.0%} of {names[0]} but {b:.0%} of {names[1]} are {name} files")
    width, height = features.column("width"), features.column("height")
    known = np.array([w is not None and h is not None for w, h in zip(width, height, strict=True)])
    one, two = first[known[first]], second[known[second]]
    if len(one) and len(two):
        square = np.array([bool(k) and w == h for k, w, h in zip(known, width, height, strict=True)])
        a, b = float(square[one].mean()), float(square[two].mean())
        if abs(a - b) >= least:
            found.append(f"{a:.0%} of {names[0]} but {b:.0%} of {names[1]} are square")
        side = np.array([min(w, h) if k else 0 for k, w, h in zip(known, width, height, strict=True)])
        a, b = float(np.median(side[one])), float(np.median(side[two]))
        if max(a, b) >= 1.5 * min(a, b):
            found.append(f"the median short side is {a:.0f} pixels in {names[0]} and {b:.0f} in {names[1]}")
    return tuple(found)
