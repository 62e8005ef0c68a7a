"""The recipes that a transfer study compares, and the choices they made in its cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morelli.explanation._head_selection import HeadSelection, fit_heads
from morelli.explanation._heads import Heads, row_numbers
from morelli.explanation._residuals import fit_residual
from morelli.explanation._transfer import Array, Context, Fit, Score, fit_discriminant
from morelli.explanation.components._mask import fit_masked

BASELINE = "final"
HEADS_REMOVED = "heads removed"
CONTROLS: Mapping[str, str] = {"random components": "components", "random heads": HEADS_REMOVED}
"""Rows that remove as many at random as another row removed."""
PROJECTED: Mapping[str, Any] = {"method": "project-generator"}
"""Removal that has nothing to choose: all directions in which the known generators differ."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Features of a study: `final` (n, d), blocks by kind, heads by reading; y, generator, family, groups."""

    final: Array
    blocks: Mapping[str, Array]
    heads: Mapping[str, Heads]
    y: NDArray[np.intp]
    generator: NDArray[np.object_]
    family: NDArray[np.object_] | None
    groups: NDArray[np.object_]


@dataclass(eq=False)
class Variant:
    """One recipe: what it is fitted on, how, and what it chose where.

    `chooses`: whether it looks at generators other than the training one, never at the tested one. `kept`
    collects how many blocks, components or heads each choice kept, of `total`; of a projection, its rank.
    """

    name: str
    title: str
    chooses: bool
    X: Array
    recipe: Callable[[], Fit]
    total: int = 0
    contender: bool = True
    chosen: dict[Any, Any] = field(default_factory=dict)

    def kept(self) -> list[int]:
        """How many were kept, one number per choice."""
        return [len(c.kept) if isinstance(c, HeadSelection) else int(c.rank_) for c in self.chosen.values()]


def variants(
    data: Labelled,
    *,
    ridge: float,
    mask: Mapping[str, Any],
    heads: Mapping[str, Any],
    seed: int,
    names: Sequence[str] = (),
    removed: Callable[[str], int] | None = None,
) -> list[Variant]:
    """The variants that these features allow, baseline first.

    `mask` and `heads` are options of `ComponentMask` and `select_heads`. `names` are the study's generators.
    `removed`, where given, tells at run time how many a row of this name removed: its control removes as many
    at random.
    """
    y, generator, groups = data.y, data.generator, data.groups
    numbered = row_numbers(len(y))
    plain = lambda: fit_discriminant(ridge=ridge)  # noqa: E731

    def masking(name: str, title: str, contender: bool = True, **options: Any) -> Variant:
        found: dict[Any, Any] = {}
        return Variant(
            name, title, True, data.final,
            lambda: fit_masked(
                data.final, y, generator, groups, ridge=ridge, masks=found,
                **{"random_state": seed, **options, "n_removed": _value(options.get("n_removed"))},
            ),
            data.final.shape[1], contender, found,
        )  # fmt: skip

    def choosing(title: str, these: Heads, **options: Any) -> tuple[Variant, Variant]:
        """The choice among `these`, and the same choice with generator directions removed from it."""
        chosen: dict[Any, Any] = {}
        probes: dict[Any, Any] = {}

        def recipe(**more: Any) -> Callable[[], Fit]:
            return lambda: fit_heads(
                these, y, generator, groups, ridge=ridge, selections=chosen, transfers=probes, names=names,
                random_state=seed, **{**options, **more},
            )  # fmt: skip

        total = len(these)
        alone = Variant(title, title, True, numbered, recipe(), total, chosen=chosen)
        both = Variant(title, f"{title}, generator directions removed", True, numbered,
                       recipe(mask={**PROJECTED, "random_state": seed}), total, chosen=chosen)  # fmt: skip
        return alone, both

    out = [Variant(BASELINE, "final embedding", False, data.final, plain)]
    out += [
        Variant(kind, f"class token of block {kind.split(':')[1]}", False, X, plain, contender=False)
        for kind, X in data.blocks.items()
    ]
    pairs = [
        tuple(replace(v, name=f"{name}{end}") for v, end in zip(found, ("", " and directions"), strict=True))
        for name, title, these, more in _choices(data)
        for found in [choosing(title, these, **{**heads, **more})]
    ]
    out += [one for one, _ in pairs]
    if "contribution" in data.heads and removed is not None:
        beside = data.heads["contribution"].beside(data.final)
        control, _ = choosing(
            "as many heads removed at random", beside,
            **{**heads, "ranking": "random", "number": lambda: len(beside) - removed(HEADS_REMOVED)},
        )  # fmt: skip
        out.append(replace(control, name="random heads", contender=False))
    out.append(Variant("residual", "residual classifier", False, data.final, fit_residual))
    out.append(masking("components", "components removed, greedily", **mask))
    if removed is not None:
        out.append(
            masking(
                "random components", "as many components removed at random", contender=False,
                method="random", n_removed=lambda: removed("components"),
            )
        )  # fmt: skip
    out.append(masking("directions", "generator directions removed", **PROJECTED))
    return out + [both for _, both in pairs]


def _choices(data: Labelled) -> Iterator[tuple[str, str, Heads, dict[str, Any]]]:
    """Name, title, and what is chosen among, with options of the choice, of each variant that chooses."""
    if len(data.blocks) > 1:
        blocks = np.stack([X.astype(np.float32) for X in data.blocks.values()], axis=1)
        yield "block", "one block chosen", Heads(tuple(data.blocks), blocks), {"number": 1}
    for reading, these in data.heads.items():
        own = reading == "contribution"
        yield "heads" if own else "heads, raw", "heads selected" if own else "raw heads selected", these, {}
    if "contribution" in data.heads:
        beside = data.heads["contribution"].beside(data.final)
        yield HEADS_REMOVED, "heads removed, greedily", beside, {}


def _value(given: Any) -> Any:
    return given() if callable(given) else given


def held_out_together(
    fit: Fit, folds: Sequence[Sequence[str]], generator: NDArray[Any], *, chooses: bool
) -> Fit:
    """The recipe with all generators of the tested one's fold kept out of its choices.

    One choice then serves a whole fold, so that a study costs as many searches as there are folds and
    not as there are generators; it is the stricter protocol, since the choice knows fewer generators.
    A score is fitted once for all cells that share it: those of a fold, or of all folds if the recipe
    `chooses` nothing.
    """
    member = {g: number for number, fold in enumerate(folds) for g in fold}
    scores: dict[tuple[str, int, bytes], Score] = {}

    def wrapped(fake: Array, real: Array, context: Context) -> Score:
        fold = member[context.test]
        key = (context.train, fold if chooses else -1, context.reals.tobytes())
        if key not in scores:
            mine = np.isin(generator[context.fakes].astype(str), list(folds[fold]))
            apart = replace(context, test=f"fold {fold}", fakes=context.fakes[~mine])
            scores[key] = fit(fake, real, apart)
        return scores[key]

    return wrapped
