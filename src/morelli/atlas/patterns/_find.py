"""Find the prototypes of a collection: presence, pattern space, clusters, and every figure of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.atlas.patterns._clusters import Clusters, fit_clusters, matched_jaccard
from morelli.atlas.patterns._facts import Fact
from morelli.atlas.patterns._figures import Collected, figures
from morelli.atlas.patterns._options import PatternOptions
from morelli.atlas.patterns._presence import Presence
from morelli.atlas.patterns._prototypes import PatchFeatures, Prototypes, patch_features
from morelli.atlas.patterns._significance import may_be_chance
from morelli.atlas.patterns._space import FIT_ROWS, PatternSpace
from morelli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[Any]
_LOOKED_AT, _MAPPED = 2_000, 0.7


@dataclass(frozen=True, eq=False)
class FoundPrototypes:
    """Prototypes, and the one (n, K) that each image's pattern of each dimension belongs to, −1 none."""

    prototypes: Prototypes
    assignment: NDArray[np.int16]


def match_prototypes(one: FoundPrototypes, other: FoundPrototypes) -> tuple[Array, Array]:
    """Which prototypes of two runs over the same images are the same.

    Returns:
        For each prototype of `one` its match in `other` (−1 none) and the Jaccard similarity of both sets of
        patterns, in [0, 1]; one to one, so that the sum is largest. Dimensions must be numbered alike.
    """
    return matched_jaccard(
        one.assignment.ravel(), other.assignment.ravel(), len(one.prototypes), len(other.prototypes)
    )


def find_prototypes(
    impacts: Array,
    pooled: PatchFeatures,
    maps: PatchFeatures,
    labels: ArrayLike | Sequence[int | None],
    *,
    generator: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    copies: Array | None = None,
    facts: Mapping[str, Fact] | None = None,
    content: Sequence[str | None] | Array | None = None,
    options: PatternOptions | None = None,
    random_state: int = 0,
) -> FoundPrototypes:
    """Cluster the patterns of each dimension into prototypes and describe each.

    Args:
        impacts: (n, K) value × head weight, **held out** where labels were used to fit them: impacts of
            images that the fit saw differ between the classes even where there is nothing to see. Whether a
            fit to all images has a region to show is such a difference too, so it decides nothing about an
            image. A dimension for which most such images have none is left out: the fits behind the
            impacts mean something by it that the fit behind the maps does not know.
        pooled: (n, K, D) relevance-weighted mean patch features, or a function of rows and dimension. Best of
            the fits that the impacts are of: maps of a fit that saw an image's label differ a little by that
            label, clusters then do too, and p-values come out too small.
        maps: (n, K or more, P) relevance maps, or a function of rows and dimension that returns (m, P).
        labels: (n,) real 0, fake 1, None or −1 unknown.
        generator: (n,) name of the generator (or source of a real image), None unknown.
        groups: (n,) what must stay together when labels are permuted and images resampled (lineage, source;
            see `Features.groups`); None: every image stands for itself.
        copies: (n,) number of the picture, shared by near-duplicates; see `copies_of`.
        facts: file facts by name, see `file_facts`; behind `file_confound` and `surprise`.
        content: (n,) what kind of picture it is, None unknown; behind `surprise` too.
        options: see `PatternOptions`.
        random_state: seed of everything random.

    Memory: beside `impacts` and the assignment, the features of at most 20,000 patterns of one dimension, or
    of one chunk of images.

    Raises:
        UsageError: shapes that do not fit.
    """
    chosen = options or PatternOptions()
    impacts = np.asanyarray(impacts)
    if impacts.ndim != 2:
        raise UsageError(f"Impacts are (images, dimensions); got shape {impacts.shape}.")
    n, dimensions = impacts.shape
    y = np.array([-1 if value is None else int(value) for value in np.asarray(labels, dtype=object)], np.int8)
    _check(n, labels=y, generator=generator, groups=groups, copies=copies, content=content)
    if not np.isin(y, (-1, 0, 1)).all():
        raise UsageError("Labels are 0 for real, 1 for generated, None or −1 where nobody knows.")
    seeds = np.random.SeedSequence(random_state).spawn(2 * dimensions + 2)
    presence = Presence.fit(impacts, per_image=chosen.per_image, rng=np.random.default_rng(seeds[-1]))
    signs = presence.signs(impacts)
    least = max(chosen.least, int(np.ceil(chosen.least_share * n)))
    spaces: list[PatternSpace] = []
    found: list[tuple[int, int, Clusters]] = []
    for k in range(dimensions):
        rng = np.random.default_rng(seeds[2 * k])
        carried = np.flatnonzero(signs[:, k])
        some = _sample(carried, FIT_ROWS, rng)
        features = patch_features(pooled, some if len(some) else np.arange(min(n, 2)), k)
        space = PatternSpace.fit(features, components=chosen.components)
        spaces.append(space)
        if not _has_maps(maps, some, k, rng):
            continue
        for s, sign in enumerate((1, -1)):
            own = signs[some, k] == sign
            clusters = fit_clusters(
                space(features[own]) if own.any() else np.empty((0, chosen.components), np.float32),
                least=max(chosen.least, round(least * len(some) / max(1, len(carried)))),
                most=chosen.most,
                rng=np.random.default_rng(seeds[2 * k + s]),
                repeats=chosen.repeats,
            )
            if clusters is not None:
                found.append((k, sign, clusters))
    bare = _bare(found, tuple(spaces), presence, {**asdict(chosen), "random_state": random_state})
    assignment = bare.assign(impacts, pooled)
    collected = Collected(
        impacts=impacts, pooled=pooled, maps=maps, labels=y,
        generator=None if generator is None else np.asarray(generator, dtype=object),
        groups=None if groups is None else np.asarray(groups, dtype=object),
        copies=copies, facts=facts or {}, content=() if content is None else (Fact.of(content),),
    )  # fmt: skip
    stability = np.concatenate([c.stability for *_, c in found]) if found else np.empty(0)
    return _described(bare, assignment, collected, stability, chosen, least, np.random.default_rng(seeds[-2]))


def _sample(rows: Array, size: int, rng: np.random.Generator) -> Array:
    return rows if len(rows) <= size else np.sort(rng.choice(rows, size, replace=False))


def _has_maps(maps: PatchFeatures, rows: Array, k: int, rng: np.random.Generator) -> bool:
    """Whether most of these images have a map of the dimension that is not flat."""
    looked = patch_features(maps, _sample(rows, _LOOKED_AT, rng), k)
    return bool(len(looked) and (looked.max(axis=1) > looked.min(axis=1)).mean() >= _MAPPED)


def _check(n: int, **columns: Any) -> None:
    for name, column in columns.items():
        if column is not None and len(column) != n:
            raise UsageError(f"{name} has {len(column)} values for {n} images.")


def _bare(
    found: list[tuple[int, int, Clusters]],
    spaces: tuple[PatternSpace, ...],
    presence: Presence,
    options: dict[str, Any],
) -> Prototypes:
    """Prototypes that know their centres only."""
    import pyarrow as pa

    width = spaces[0].basis.shape[1] if spaces else 0
    sizes = [len(c.stability) for *_, c in found]
    table = pa.table(
        {
            "dimension": pa.array(np.repeat([k for k, *_ in found], sizes).astype(np.int16)),
            "sign": pa.array(np.repeat([s for _, s, _ in found], sizes).astype(np.int8)),
        }
    )
    first = np.cumsum([0, *sizes])
    centres = [c.centres for *_, c in found] or [np.empty((0, width), np.float32)]
    owner = [c.owner + start for (*_, c), start in zip(found, first, strict=False)]
    radius = [c.radius for *_, c in found] or [np.empty(0, np.float32)]
    return Prototypes(
        table, np.concatenate(centres), np.concatenate([*owner, np.empty(0, np.int64)]).astype(np.int64),
        np.concatenate(radius), spaces, presence, options,
    )  # fmt: skip


def _described(  # noqa: PLR0917
    bare: Prototypes,
    assignment: NDArray[np.int16],
    collected: Collected,
    stability: Array,
    options: PatternOptions,
    least: int,
    rng: np.random.Generator,
) -> FoundPrototypes:
    """Drop prototypes that too few images carry, put the others in order, and fill the table.

    What belongs to one class beyond chance comes before what may be chance, each by impact: a mean over few
    images is easily large.
    """
    import pyarrow as pa

    m = len(bare)
    counts = np.bincount(assignment[assignment >= 0], minlength=m)
    strength = np.zeros(m)
    row, k = np.nonzero(assignment >= 0)
    deviation = collected.impacts[row, k] - bare.presence.typical[k]
    np.add.at(strength, assignment[row, k], np.abs(deviation))
    keep = np.flatnonzero(counts >= least)
    keep = keep[np.argsort(-strength[keep] / counts[keep], kind="stable")]
    kept, renumbered = _in_order(bare, assignment, keep)
    table = figures(kept, renumbered, collected, stability[keep], options, rng)
    first = np.argsort([may_be_chance(p) for p in table.column("p_value").to_pylist()], kind="stable")
    kept, renumbered = _in_order(replace(kept, table=table), renumbered, first)
    numbers = pa.array(np.arange(len(first)), table.schema.field("id").type)
    table = kept.table.set_column(table.schema.get_field_index("id"), table.schema.field("id"), numbers)
    return FoundPrototypes(replace(kept, table=table), renumbered)


def _in_order(
    prototypes: Prototypes, assignment: NDArray[np.int16], order: Array
) -> tuple[Prototypes, NDArray[np.int16]]:
    """The prototypes numbered in `order`, those not in it gone, and the assignment (n, K) by new numbers."""
    number = np.full(len(prototypes) + 1, -1, dtype=np.int16)
    number[order] = np.arange(len(order), dtype=np.int16)
    left = number[prototypes.owner] >= 0
    renumbered = replace(
        prototypes,
        table=prototypes.table.take(order),
        centres=prototypes.centres[left],
        owner=number[prototypes.owner[left]].astype(np.int64),
        radius=prototypes.radius[left],
    )
    return renumbered, number[assignment]
