"""The transfer study: one table of what helps a detector carry over to generators it never saw.

After Gaintseva et al. (2406.15035): a classifier per generator on the final embedding, its score on all
other generators, and what removing components and selecting heads adds to that. Ours in addition: single
blocks, the residual classifier, heads taken out of the embedding, combinations, as many components and
heads removed at random, intervals and paired differences; every choice is nested, i.e. made without the
generator that is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from morelli.errors import UsageError
from morelli.explanation._head_selection import HeadSelection, select_heads
from morelli.explanation._heads import Heads, Reading, generator_map, probe_transfer
from morelli.explanation._isotropy import Isotropy, isotropy
from morelli.explanation._one_core import on_one_core
from morelli.explanation._transfer import (
    Array,
    Difference,
    TransferMatrix,
    difference,
    directions,
    generators_of,
    transfer_matrix,
)
from morelli.explanation.components import ComponentMask
from morelli.explanation.study._pooled import (
    FoldedRows,
    PooledTransfer,
    pooled_difference,
    pooled_transfer,
    precompute_choices,
)
from morelli.explanation.study._variants import (
    BASELINE,
    CONTROLS,
    PROJECTED,
    Labelled,
    Variant,
    held_out_together,
    variants,
)

if TYPE_CHECKING:
    from morelli.features import Features


@dataclass(frozen=True)
class StudyOptions:
    """How a study is run.

    unit: column that names what counts as one generator among fakes. least: fewest images of one.
    splits: halvings of the reals, each used in both directions. holdouts: folds of generators that are
    held out of a choice together; 0 holds out each by itself, which costs a search per generator.
    families: cross-family cells are computed between these, as far as each has `least_members` generators.
    ridge: of the discriminant. mask, heads: options of `ComponentMask` and `select_heads`.
    controls: also remove as many components and heads at random. variants: names of the rows to run beside
    the baseline; empty: all. draws: of the bootstrap over generators.
    reals: whether real images are halved by ``source`` (the tested half shows collections that no training
    half did) or by ``image`` (both halves show the same collections, which flatters every row). workers:
    choices that are made beside each other.
    """

    unit: str = "lineage"
    least: int = 10
    splits: int = 1
    holdouts: int = 6
    families: tuple[str, ...] = ("gan", "diffusion")
    least_members: int = 4
    ridge: float = 10.0
    mask: Mapping[str, Any] = field(default_factory=dict)
    heads: Mapping[str, Any] = field(default_factory=dict)
    controls: bool = True
    variants: tuple[str, ...] = ()
    draws: int = 2000
    seed: int = 0
    reals: Literal["source", "image"] = "source"
    workers: int = 2


@dataclass(frozen=True, eq=False)
class StudyRow:
    """One variant's result.

    `ood` with `interval` is the mean AUC over pairs of different generators; `gain` the paired difference
    from the baseline (None for the baseline); `pooled` the same detector trained on all known generators
    together, with `pooled_gain` over the baseline trained so; `families` the AUC (f, f) across families,
    None where there are too few; `kept` least, median and most that a choice kept of `total`, None without
    a choice; `contender` whether the row may win (single blocks and controls may not: picking the best of
    them after the fact would look at the tested generators).
    """

    name: str
    title: str
    matrix: TransferMatrix
    interval: tuple[float, float]
    gain: Difference | None
    pooled: PooledTransfer
    pooled_interval: tuple[float, float]
    pooled_gain: Difference | None
    families: TransferMatrix | None
    kept: tuple[int, int, int] | None
    total: int
    contender: bool

    @property
    def ood(self) -> float:
        """Mean AUC over pairs of different generators."""
        return self.matrix.off_diagonal()


@dataclass(frozen=True, eq=False)
class HeadFacts:
    """What single heads do: `names` (m,), AUC `map` (m, g) by generator, `order` best first, `kept` of them.

    A cell of the map is the mean AUC, on one generator, of this head's probes that were fitted on one of the
    other generators; `order` ranks heads by the mean over all such pairs, `score` (m,).
    """

    names: tuple[str, ...]
    map: Array
    score: Array
    order: tuple[int, ...]
    kept: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class TransferStudy:
    """All rows, baseline first, and the isotropy of the spaces before and after the choices.

    `isotropy` and `heads` are measured on all images, with masks and heads chosen on all of them: they
    describe, they score nothing. `folds` are the generators that were held out of choices together.
    """

    rows: tuple[StudyRow, ...]
    isotropy: Mapping[str, Isotropy]
    options: StudyOptions
    n_real: int
    n_fake: int
    notes: tuple[str, ...]
    heads: HeadFacts | None = None
    folds: tuple[tuple[str, ...], ...] = ()

    def row(self, name: str) -> StudyRow:
        """The row of this name."""
        for row in self.rows:
            if row.name == name:
                return row
        raise UsageError(f"The study has no row {name!r}; it has {', '.join(r.name for r in self.rows)}.")

    @property
    def winner(self) -> StudyRow:
        """The contender with the best mean; the baseline, unless another gains with its interval above 0."""
        better = [r for r in self.rows if r.contender and r.gain is not None and r.gain.low > 0]
        return max(better, key=lambda r: r.ood, default=self.rows[0])


def transfer_study(
    features: Features,
    options: StudyOptions | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> TransferStudy:
    """Run the whole study on labelled features that hold `final`, and blocks and heads if they are to count.

    Args:
        features: with labels, `options.unit`, and `family` for cross-family cells.
        progress: called with the title of each variant before it runs.

    Raises:
        UsageError: no `final`, fewer than four generators with `least` images, or an unknown variant.
    """
    options = options or StudyOptions()
    data = labelled(features, options)
    names = generators_of(data.y, data.generator, options.least)
    if len(names) < 4:
        raise UsageError(
            f"A transfer study needs four generators with {options.least} images each; column "
            f"{options.unit} has {len(names)}. Name generators in the manifest, or lower --least."
        )
    folds = _folds(names, options.holdouts, np.random.default_rng(options.seed))
    families, notes = _families(data, names, options)
    # The halves that `transfer_matrix` draws from the same seed.
    halves = directions(data.y, data.groups, options.splits, np.random.default_rng(options.seed))
    fakes = {g: np.flatnonzero((data.y == 1) & (data.generator == g)) for g in names}
    layout = FoldedRows(fakes, folds, halves)
    rows: list[StudyRow] = []
    done: dict[str, Variant] = {}

    def removed(name: str) -> int:
        return int(done[name].total - np.median(done[name].kept()))

    every = variants(
        data, ridge=options.ridge, mask=options.mask, heads=options.heads, seed=options.seed, names=names,
        removed=removed if options.controls else None,
    )  # fmt: skip
    for variant in _requested(every, options.variants):
        if progress:
            progress(variant.title)
        rows.append(_row(variant, data, layout, families, rows[0] if rows else None, options))
        done[variant.name] = variant
    if progress:
        progress("isotropy and heads")
    n_fake = int(np.isin(data.generator[data.y == 1].astype(str), names).sum())
    selection, facts = _all_heads(data, names, options)
    spaces = _isotropy(data, names, options, selection)
    return TransferStudy(
        tuple(rows),
        spaces,
        options,
        int((data.y == 0).sum()),
        n_fake,
        tuple(notes),
        facts,
        tuple(map(tuple, folds)),
    )


def _requested(every: Sequence[Variant], names: Sequence[str]) -> list[Variant]:
    """The baseline and the variants of these names, or all."""
    if not names:
        return list(every)
    there = [variant.name for variant in every]
    unknown = [name for name in names if name not in there]
    if unknown:
        raise UsageError(f"There is no variant {', '.join(unknown)} here; there are {', '.join(there)}.")
    alone = [name for name in names if name in CONTROLS and CONTROLS[name] not in names]
    if alone:
        raise UsageError(f"{alone[0]} removes as many as {CONTROLS[alone[0]]}; ask for both.")
    return [variant for variant in every if variant.name in (BASELINE, *names)]


def _row(  # noqa: PLR0917
    variant: Variant,
    data: Labelled,
    layout: FoldedRows,
    families: tuple[str, ...],
    baseline: StudyRow | None,
    options: StudyOptions,
) -> StudyRow:
    """Everything that is measured of one variant."""
    fit = held_out_together(variant.recipe(), layout.folds, data.generator, chooses=variant.chooses)
    if variant.chooses:
        precompute_choices(fit, variant.X, layout, workers=options.workers)
    matrix = transfer_matrix(
        variant.X, data.y, data.generator, data.groups, fit=fit, generators=list(layout.fakes),
        splits=options.splits, random_state=options.seed,
    )  # fmt: skip
    pooled = pooled_transfer(fit, variant.X, layout)
    kept = variant.kept()
    draw: Callable[[], np.random.Generator] = lambda: np.random.default_rng(options.seed)  # noqa: E731
    return StudyRow(
        name=variant.name,
        title=variant.title,
        matrix=matrix,
        interval=matrix.interval(draw(), draws=options.draws),
        gain=difference(matrix, baseline.matrix, draw(), draws=options.draws) if baseline else None,
        pooled=pooled,
        pooled_interval=pooled.interval(draw(), draws=options.draws),
        pooled_gain=pooled_difference(pooled, baseline.pooled, draw(), draws=options.draws)
        if baseline
        else None,
        families=_across(variant, data, list(layout.fakes), families, options),
        kept=(min(kept), int(np.median(kept)), max(kept)) if kept else None,
        total=variant.total,
        contender=variant.contender,
    )


def labelled(features: Features, options: StudyOptions) -> Labelled:
    """What a study takes from features."""
    if BASELINE not in features.kinds:
        raise UsageError(
            "A transfer study needs the final embedding; extract with --kinds final,layers,heads."
        )
    y = np.asarray(features.labels).astype(np.intp)
    named, fallback = features.column(options.unit), features.column("generator")
    generator = np.array(
        [str(a or b or "unknown") if label else "" for a, b, label in zip(named, fallback, y, strict=True)],
        dtype=object,
    )
    try:
        family: Any = np.array([str(f or "") for f in features.column("family")], dtype=object)
    except UsageError:
        family = None
    readings: dict[Reading, str] = {"contribution": "head:", "raw": "headraw:"}
    return Labelled(
        final=features.vectors[BASELINE].astype(np.float64),
        blocks={k: features.vectors[k].astype(np.float64) for k in features.kinds if k.startswith("layer:")},
        heads={
            reading: Heads.of(features, reading)
            for reading, prefix in readings.items()
            if any(kind.startswith(prefix) for kind in features.kinds)
        },
        y=y,
        generator=generator,
        family=family,
        groups=features.groups()
        if options.reals == "source"
        else np.arange(len(y)).astype(str).astype(object),
    )


def _folds(names: Sequence[str], count: int, rng: np.random.Generator) -> list[list[str]]:
    """Folds of generators that are held out together; a choice needs four generators outside its fold."""
    if not 0 < count < len(names):
        return [[name] for name in names]
    mixed = [str(name) for name in rng.permutation(np.asarray(names, dtype=object))]
    folds = [mixed[i::count] for i in range(count)]
    if len(names) - max(map(len, folds)) < 4:
        return [[name] for name in names]
    return folds


def _families(
    data: Labelled, names: Sequence[str], options: StudyOptions
) -> tuple[tuple[str, ...], list[str]]:
    """The families with enough generators, and what to say where there are fewer than two."""
    if data.family is None:
        return (), ["No column family: nothing across families was computed."]
    usable = np.isin(data.generator.astype(str), names) & (data.y == 1)
    members = {f: len(set(data.generator[usable & (data.family == f)])) for f in options.families}
    found = tuple(f for f, count in members.items() if count >= options.least_members)
    if len(found) < 2:
        counted = ", ".join(f"{f} {count}" for f, count in members.items())
        return (), [
            f"Across families nothing was computed: it takes {options.least_members} generators of "
            f"{options.least} images in each; there are {counted}."
        ]
    return found, []


def _across(
    variant: Variant, data: Labelled, names: Sequence[str], families: tuple[str, ...], options: StudyOptions
) -> TransferMatrix | None:
    """Train on all of one family, test on the other; choices see no generator of the tested family."""
    if not families or data.family is None:
        return None
    before = dict(variant.chosen)
    family = np.where(np.isin(data.generator.astype(str), names), data.family, "").astype(object)
    found = transfer_matrix(
        variant.X, data.y, family, data.groups, fit=variant.recipe(), generators=families,
        splits=options.splits, random_state=options.seed,
    )  # fmt: skip
    # Numbers kept are told of the main matrix.
    variant.chosen.clear()
    variant.chosen.update(before)
    return found


def _all_heads(
    data: Labelled, names: Sequence[str], options: StudyOptions
) -> tuple[HeadSelection | None, HeadFacts | None]:
    """Heads chosen on all images, and what each does; None without contributions of heads."""
    heads = data.heads.get("contribution")
    if heads is None:
        return None, None
    fakes = {g: np.flatnonzero((data.y == 1) & (data.generator == g)) for g in names}
    halves = directions(data.y, data.groups, 1, np.random.default_rng(options.seed))[0]
    with on_one_core():
        transfer = probe_transfer(heads.vectors, fakes, halves, ridge=options.ridge)
        found = select_heads(
            heads, data.y, data.generator, data.groups, names=names, ridge=options.ridge, transfer=transfer,
            random_state=options.seed, **options.heads,
        )  # fmt: skip
    facts = HeadFacts(
        heads.names,
        generator_map(transfer),
        found.score,
        tuple(map(int, found.order)),
        tuple(map(int, found.kept)),
    )
    return found, facts


def _isotropy(
    data: Labelled, names: Sequence[str], options: StudyOptions, selection: HeadSelection | None
) -> dict[str, Isotropy]:
    """Isotropy of the embedding, of what removal leaves of it, and of the selected heads' sum."""
    out = {"final embedding": isotropy(data.final)}
    mask = fitted_mask(data.final, data, names, options)
    out["final embedding, standardised"] = isotropy(data.final / mask.scale_)
    out[f"components kept ({mask.rank_} of {data.final.shape[1]})"] = isotropy(mask.transform(data.final))
    rest = fitted_mask(data.final, data, names, replace(options, mask=PROJECTED))
    out[f"generator directions removed ({rest.rank_} of {data.final.shape[1]})"] = isotropy(
        rest.transform(data.final)
    )
    if selection is not None:
        heads = data.heads["contribution"]
        out[f"sum of {len(selection.kept)} heads of {len(heads)}"] = isotropy(heads.combined(selection.kept))
    return out


def fitted_mask(X: Array, data: Labelled, names: Sequence[str], options: StudyOptions) -> ComponentMask:
    """The component mask of a study's options, chosen on all images of the study."""
    given = {"controls": 0, "ridge": options.ridge, "random_state": options.seed, **options.mask}
    mask = ComponentMask(generators=tuple(names), **given)
    return mask.fit(X, data.y, generator=data.generator, groups=data.groups)
