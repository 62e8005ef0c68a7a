"""The transfer study: one table of what helps a detector carry over to generators it never saw.

After Gaintseva et al. (2406.15035): a classifier per generator on the final embedding, its score on all
other generators, and what removing components and selecting heads adds to that. Ours in addition: single
blocks, the residual classifier, the combination, as many components removed at random, intervals and
paired differences; every choice is nested, i.e. made without the generator that is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.errors import UsageError
from morelli.explanation._head_selection import select_heads
from morelli.explanation._heads import Heads, Reading
from morelli.explanation._isotropy import Isotropy, isotropy
from morelli.explanation._study_variants import (
    BASELINE,
    Labelled,
    Variant,
    held_out_together,
    variants,
)
from morelli.explanation._transfer import (
    Array,
    Difference,
    TransferMatrix,
    difference,
    generators_of,
    transfer_matrix,
)
from morelli.explanation.components import ComponentMask

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
    controls: also remove as many components at random. draws: of the bootstrap over generators.
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
    draws: int = 2000
    seed: int = 0


@dataclass(frozen=True, eq=False)
class StudyRow:
    """One variant's result.

    `ood` with `interval` is the mean AUC over pairs of different generators; `gain` the paired difference
    from the baseline (None for the baseline); `families` the AUC (f, f) across families, None where there
    are too few; `kept` least, median and most that a choice kept of `total`, None without a choice;
    `contender` whether the row may win (single blocks and controls may not: picking the best of them after
    the fact would look at the tested generators).
    """

    name: str
    title: str
    matrix: TransferMatrix
    interval: tuple[float, float]
    gain: Difference | None
    families: TransferMatrix | None
    kept: tuple[int, int, int] | None
    total: int
    contender: bool

    @property
    def ood(self) -> float:
        """Mean AUC over pairs of different generators."""
        return self.matrix.off_diagonal()


@dataclass(frozen=True, eq=False)
class TransferStudy:
    """All rows, baseline first, and the isotropy of the spaces before and after the choices.

    `isotropy` is measured on all images, with masks and heads chosen on all of them: it describes a space,
    it scores nothing.
    """

    rows: tuple[StudyRow, ...]
    isotropy: Mapping[str, Isotropy]
    options: StudyOptions
    n_real: int
    n_fake: int
    notes: tuple[str, ...]

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
        UsageError: no `final`, or fewer than four generators with `least` images.
    """
    options = options or StudyOptions()
    data = labelled(features, options)
    names = generators_of(data.y, data.generator, options.least)
    if len(names) < 4:
        raise UsageError(
            f"A transfer study needs four generators with {options.least} images each; column "
            f"{options.unit} has {len(names)}. Name generators in the manifest, or lower --least."
        )
    rng = np.random.default_rng(options.seed)
    folds = _folds(names, options.holdouts, rng)
    families, notes = _families(data, names, options)
    rows: list[StudyRow] = []
    masked: list[Variant] = []

    def removed() -> int:
        return int(data.final.shape[1] - np.median(masked[0].kept()))

    for variant in variants(
        data, ridge=options.ridge, mask=options.mask, heads=options.heads, seed=options.seed,
        removed=removed if options.controls else None,
    ):  # fmt: skip
        if progress:
            progress(variant.title)
        fit = held_out_together(variant.recipe(), folds, data.generator, chooses=variant.choice != "none")
        matrix = transfer_matrix(
            variant.X, data.y, data.generator, data.groups, fit=fit, generators=names,
            splits=options.splits, random_state=options.seed,
        )  # fmt: skip
        kept = variant.kept()
        if variant.name == "components":
            masked.append(variant)
        across = _across(variant, data, names, families, options)
        baseline = rows[0].matrix if rows else None
        rows.append(
            StudyRow(
                variant.name,
                variant.title,
                matrix,
                matrix.interval(np.random.default_rng(options.seed), draws=options.draws),
                None
                if baseline is None
                else difference(matrix, baseline, np.random.default_rng(options.seed), draws=options.draws),
                across,
                (min(kept), int(np.median(kept)), max(kept)) if kept else None,
                variant.total,
                variant.contender,
            )
        )
    if progress:
        progress("isotropy")
    n_fake = int(np.isin(data.generator[data.y == 1].astype(str), names).sum())
    spaces = _isotropy(data, names, options)
    return TransferStudy(tuple(rows), spaces, options, int((data.y == 0).sum()), n_fake, tuple(notes))


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
        groups=features.groups(),
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


def _isotropy(data: Labelled, names: Sequence[str], options: StudyOptions) -> dict[str, Isotropy]:
    """Isotropy of the embedding, of its kept components, and of the selected heads' sum."""
    out = {"final embedding": isotropy(data.final)}
    mask = fitted_mask(data.final, data, names, options)
    scaled = data.final / mask.scale_
    out["final embedding, standardised"] = isotropy(scaled)
    out[f"components kept ({mask.rank_} of {data.final.shape[1]})"] = isotropy(mask.transform(data.final))
    heads = data.heads.get("contribution")
    if heads is not None:
        chosen = select_heads(
            heads, data.y, data.generator, data.groups, names=names, ridge=options.ridge,
            random_state=options.seed, **options.heads,
        )  # fmt: skip
        out[f"sum of {len(chosen.kept)} heads of {len(heads)}"] = isotropy(heads.combined(chosen.kept))
    return out


def fitted_mask(X: Array, data: Labelled, names: Sequence[str], options: StudyOptions) -> ComponentMask:
    """The component mask of a study's options, chosen on all images of the study."""
    given = {"controls": 0, "ridge": options.ridge, "random_state": options.seed, **options.mask}
    mask = ComponentMask(generators=tuple(names), **given)
    return mask.fit(X, data.y, generator=data.generator, groups=data.groups)
