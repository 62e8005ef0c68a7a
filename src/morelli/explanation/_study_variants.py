"""The recipes that a transfer study compares, and the choices they made in its cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.explanation._head_selection import HeadSelection, fit_heads
from morelli.explanation._heads import Heads, row_numbers
from morelli.explanation._residuals import fit_residual
from morelli.explanation._transfer import Array, Context, Fit, Score, fit_discriminant
from morelli.explanation.components import fit_masked

Choice = Literal["none", "one block", "components", "heads", "heads and components", "random components"]
BASELINE = "final"


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

    `choice` says what it chooses; `nested` that the tested generator had no say, which holds for recipes
    without a choice too, but not for picking the best row among them. `kept` collects how many blocks,
    components or heads each choice kept, of `total`.
    """

    name: str
    title: str
    choice: Choice
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
    removed: Callable[[], int] | None = None,
) -> list[Variant]:
    """The variants that these features allow, baseline first.

    `mask` and `heads` are options of `ComponentMask` and `select_heads`. `removed`, where given, tells at
    run time how many components the control removes at random.
    """
    y, generator, groups = data.y, data.generator, data.groups
    numbered = row_numbers(len(y))
    plain = lambda: fit_discriminant(ridge=ridge)  # noqa: E731
    out = [Variant(BASELINE, "final embedding", "none", data.final, plain)]
    out += [
        Variant(kind, f"class token of block {kind.split(':')[1]}", "none", X, plain, contender=False)
        for kind, X in data.blocks.items()
    ]
    if len(data.blocks) > 1:
        stacked = Heads(
            tuple(data.blocks), np.stack([X.astype(np.float32) for X in data.blocks.values()], axis=1)
        )
        found: dict[Any, Any] = {}
        blocks = Variant("block chosen", "one block, chosen", "one block", numbered, plain, len(stacked))
        out.append(_choosing(blocks, stacked, data, found, ridge, seed, {**heads, "number": 1}))
    out.append(Variant("residual", "residual classifier", "none", data.final, fit_residual))
    masks: dict[Any, Any] = {}
    out.append(
        Variant(
            "components", "components removed", "components", data.final,
            lambda: fit_masked(
                data.final, y, generator, groups, ridge=ridge, masks=masks, random_state=seed, **mask
            ),
            data.final.shape[1], chosen=masks,
        )
    )  # fmt: skip
    if removed is not None:
        drawn: dict[Any, Any] = {}
        out.append(
            Variant(
                "random components", "as many components removed at random", "random components", data.final,
                lambda: fit_masked(
                    data.final, y, generator, groups, ridge=ridge, masks=drawn, method="random",
                    n_removed=removed(), random_state=seed,
                ),
                data.final.shape[1], contender=False, chosen=drawn,
            )
        )  # fmt: skip
    for reading, these in data.heads.items():
        name = "heads" if reading == "contribution" else "heads, raw"
        variant = Variant(name, f"{name} selected", "heads", numbered, plain, len(these))
        out.append(_choosing(variant, these, data, {}, ridge, seed, dict(heads)))
    if "contribution" in data.heads:
        these = data.heads["contribution"]
        title = "heads selected, components removed"
        both = Variant("heads and components", title, "heads and components", numbered, plain, len(these))
        out.append(
            _choosing(both, these, data, {}, ridge, seed, {**heads, "mask": {**mask, "random_state": seed}})
        )
    return out


def _choosing(  # noqa: PLR0917
    variant: Variant,
    heads: Heads,
    data: Labelled,
    found: dict[Any, Any],
    ridge: float,
    seed: int,
    options: dict[str, Any],
) -> Variant:
    variant.chosen = found
    variant.recipe = lambda: fit_heads(
        heads,
        data.y,
        data.generator,
        data.groups,
        ridge=ridge,
        selections=found,
        random_state=seed,
        **options,
    )
    return variant


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
