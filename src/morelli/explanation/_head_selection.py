"""Which heads to keep: ranked on validation generators, their number chosen on others, nested.

Gaintseva et al. (2406.15035) select the image encoder's best attention heads; how, we have not read. Here,
as in our component search: a head's worth is how well a discriminant fitted on one generator in this head
alone tells other generators from real images; heads are ranked by it on validation generators, and how
many to keep is chosen on generators that took no part in the ranking. The generator that is tested is
held out of both.

The second reading keeps the whole embedding and takes the worst heads out of it (`Heads.beside`): ranked by
what their removal does (`morelli.explanation._head_removal`), with the component search's rule for how many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from morelli.errors import UsageError
from morelli.explanation._head_removal import removal_order
from morelli.explanation._heads import NUMBERS, REMOVED, Heads, off_diagonal, probe_transfer
from morelli.explanation._transfer import (
    Array,
    Context,
    Fit,
    Rows,
    Score,
    discriminant,
    fit_discriminant,
    generators_of,
    halves_of,
)
from morelli.explanation.components import ComponentMask
from morelli.metrics import two_sample_auc

Ranking = Literal["probes", "effect", "random"]
TASKS = 6
"""Generators that train, each by itself, when numbers of heads are compared."""


@dataclass(frozen=True, eq=False)
class HeadSelection:
    """The heads that are kept, and why.

    `order` (m,) all heads from best to worst by `score` (m,): the mean validation AUC of their own probes,
    or what the embedding's predicted AUC loses with the head; `kept` the first of them; `tried` (c,) numbers
    of heads with `curve` (c,) the mean AUC on generators that the ranking did not see; `gain` over the
    largest number tried, with its standard `error` over generators (both 0 where nothing was gained and the
    largest number is kept).
    """

    order: NDArray[np.intp]
    score: Array
    kept: NDArray[np.intp]
    tried: NDArray[np.intp]
    curve: Array
    gain: float
    error: float


def select_heads(
    heads: Heads,
    y: NDArray[Any],
    generator: NDArray[Any],
    groups: NDArray[Any] | None = None,
    *,
    reals: Rows | None = None,
    names: Sequence[str] | None = None,
    number: int | None = None,
    numbers: Sequence[int] | None = None,
    folds: int = 4,
    tasks: int | None = None,
    least: int = 10,
    ridge: float = 10.0,
    transfer: Array | None = None,
    ranking: Ranking | None = None,
    random_state: int = 0,
) -> HeadSelection:
    """Rank heads on the generators `names` and choose how many to keep.

    Args:
        y, generator, groups: (n,) labels, generators of fakes, groups of reals as in `transfer_matrix`.
        reals: rows of real images to use; None: all.
        names: generators that may be looked at, whatever others there are; None: all of `least` fakes.
        number: keep so many instead of choosing; chosen among `numbers` and all heads otherwise. Of heads
            with the rest of the embedding beside them, `numbers` count those that go (default `REMOVED`),
            else those that stay (default `NUMBERS`).
        folds: generators of one fold are held out of the ranking when numbers of heads are compared.
        tasks: how many generators of the other folds train, each by itself, in that comparison; 6 unless
            asked for otherwise, and all of them where the rest of the embedding stays.
        transfer: (m, g, g) from `probe_transfer` for `names`, where it is known already.
        ranking: by their own ``probes``, by the ``effect`` of removing them, which is the default where the
            rest of the embedding stays and needs it, or at ``random``, as a control.

    The number with the best held-out AUC is taken; where it does not beat the largest number by more than
    the standard error of that paired difference over generators, the largest is kept. Where the rest of the
    embedding stays, the largest number is taken that is behind the best by at most one standard error.

    Raises:
        UsageError: fewer than two generators or four reals.
    """
    y, generator = np.asarray(y).astype(np.intp), np.asarray(generator).astype(object)
    group = np.asarray(groups if groups is not None else np.arange(len(y))).astype(object)
    rng = np.random.default_rng(random_state)
    reals = np.flatnonzero(y == 0) if reals is None else np.asarray(reals)
    names = generators_of(y, generator, least) if names is None else tuple(names)
    fakes = {g: np.flatnonzero((y == 1) & (generator == g)) for g in names}
    if len(names) < 2 or len(reals) < 4:
        raise UsageError(
            f"Ranking heads needs two generators and four real images; got {len(names)} and {len(reals)}."
        )
    halves = halves_of(reals, group, rng)
    removing = heads.rest is not None
    ranking = ranking or ("effect" if removing else "probes")
    if ranking == "effect" and not removing:
        raise UsageError(
            "The effect of removing a head needs the rest of the embedding: heads.beside(final)."
        )
    if ranking == "probes" and transfer is None:
        transfer = probe_transfer(heads.vectors, fakes, halves, ridge=ridge)

    def ranked(these: Sequence[str]) -> tuple[NDArray[np.intp], Array]:
        """Order and score of all heads by these generators."""
        worth: Array
        if ranking == "effect":
            known = {g: fakes[g] for g in these}
            return removal_order(heads, known, (halves, halves[::-1]), ridge=ridge)
        if ranking == "random":
            seed = crc32(" ".join(sorted(these)).encode())
            worth = np.random.default_rng([random_state, seed]).random(len(heads))
        else:
            assert transfer is not None
            index = [list(names).index(g) for g in these]
            worth = off_diagonal(transfer[:, index][:, :, index])
        return np.argsort(-worth, kind="stable"), worth

    order, score = ranked(names)
    tried = np.array(heads.numbers(numbers or (REMOVED if removing else NUMBERS)))
    if number is not None:
        if not 1 <= number <= len(heads):
            raise UsageError(f"{number} heads cannot be kept of {len(heads)}.")
        return HeadSelection(order, score, order[:number], tried, np.full(len(tried), np.nan), 0.0, 0.0)
    if len(names) < 4:
        raise UsageError(
            f"Choosing how many heads to keep needs four generators, two to rank on and two to compare on; "
            f"there are {len(names)}. Give the number of heads."
        )
    mixed = [str(g) for g in rng.permutation(np.asarray(names, dtype=object))]
    count = min(folds, len(names) // 2)
    table: list[list[float]] = []
    for held in (mixed[i::count] for i in range(count)):
        others = [g for g in mixed if g not in held]
        training = others[: tasks or (len(others) if removing else TASKS)]
        grown = _growing(heads, ranked(others)[0], tried, np.concatenate([*fakes.values(), *halves]))
        table += _compared(grown, fakes, halves, training=training, held=held, ridge=ridge, both=removing)
    return _chosen_number(np.array(table), order, score, tried, cautious=removing)


def _growing(heads: Heads, order: NDArray[np.intp], tried: NDArray[np.intp], rows: Rows) -> Iterator[Array]:
    """`heads.combined` of the first 1, 2, 4 … of `order`, zero outside `rows`: every head is read once."""
    if heads.reading == "raw":
        yield from (heads.combined(order[:k]) for k in tried)
        return
    rows = np.sort(rows)
    total = heads.rest_of(rows)
    done = 0
    for k in tried:
        for head in order[done:k]:
            total += heads.vectors[rows, head]
        done = int(k)
        out = np.zeros((len(heads.vectors), total.shape[1]))
        out[rows] = total
        yield out


def _held_out(
    X: Array,
    fakes: Mapping[str, Rows],
    halves: tuple[Rows, Rows],
    *,
    training: Sequence[str],
    held: Sequence[str],
    ridge: float,
) -> list[float]:
    """AUC on each held-out generator, mean over the generators that train."""
    recipe, (train, test) = fit_discriminant(ridge=ridge), halves
    scores = [recipe(X[fakes[g]], X[train], Context(g, "", train, fakes[g])) for g in training]
    real = [score(X[test]) for score in scores]
    return [
        float(np.mean([two_sample_auc(s(X[fakes[h]]), r) for s, r in zip(scores, real, strict=True)]))
        for h in held
    ]


def _compared(
    grown: Iterable[Array],
    fakes: Mapping[str, Rows],
    halves: tuple[Rows, Rows],
    *,
    training: Sequence[str],
    held: Sequence[str],
    ridge: float,
    both: bool,
) -> list[list[float]]:
    """AUC of each generator of `held`, a column for each number of heads; mean of `both` ways of halving."""
    ways = (halves, halves[::-1]) if both else (halves,)
    found = [
        np.mean([_held_out(X, fakes, way, training=training, held=held, ridge=ridge) for way in ways], axis=0)
        for X in grown
    ]
    table: list[list[float]] = np.array(found).T.tolist()
    return table


def _chosen_number(
    values: Array, order: NDArray[np.intp], score: Array, tried: NDArray[np.intp], *, cautious: bool = False
) -> HeadSelection:
    """From held-out AUC (generators, numbers): the best number, if it beats the largest beyond its error.

    `cautious`: the largest number that is behind the best by at most one standard error.
    """
    gains = values - values[:, -1:]
    error = _standard_error(gains)
    best, last = int(values.mean(axis=0).argmax()), len(tried) - 1
    index = best if gains[:, best].mean() > error[best] else last
    if cautious and index != last:
        behind = gains[:, best, None] - gains
        index = int(np.flatnonzero(behind.mean(axis=0) <= _standard_error(behind))[-1])
    return HeadSelection(
        order=order,
        score=score,
        kept=order[: tried[index]],
        tried=tried,
        curve=values.mean(axis=0),
        gain=float(gains[:, index].mean()),
        error=float(error[index]),
    )


def _standard_error(values: Array) -> Array:
    """Standard error over the first axis, (g, c) to (c,)."""
    return np.asarray(values.std(axis=0, ddof=1) / np.sqrt(len(values)))


def fit_heads(
    heads: Heads,
    y: NDArray[Any],
    generator: NDArray[Any],
    groups: NDArray[Any] | None = None,
    *,
    ridge: float = 10.0,
    selections: dict[tuple[str, bytes], HeadSelection] | None = None,
    transfers: dict[bytes, tuple[list[str], Array]] | None = None,
    names: Sequence[str] = (),
    mask: dict[str, Any] | None = None,
    random_state: int = 0,
    **options: Any,
) -> Fit:
    """A nested recipe for `transfer_matrix` over `row_numbers(n)`: heads chosen without the test generator.

    For every (test generator, training half of the reals) heads are chosen on the fakes of the other
    generators and those reals only; then the discriminant of the training generator is fitted on them.
    With `mask` (options of `ComponentMask`), components of the chosen heads' matrix are removed as well,
    by the same rows. `options` are those of `select_heads`, as values or as functions that give them at run
    time; `selections` collects the choices and
    `transfers` the probes of single heads by the bytes of the reals' row numbers, so that several recipes
    can share both. `names` are generators that will be asked for: their probes are fitted at once.
    """
    y, generator = np.asarray(y).astype(np.intp), np.asarray(generator).astype(object)
    group = np.asarray(groups if groups is not None else np.arange(len(y))).astype(object)
    chosen: dict[tuple[str, bytes], HeadSelection] = {} if selections is None else selections
    matrices: dict[tuple[str, bytes], Array] = {}
    probes: dict[bytes, tuple[list[str], Array]] = {} if transfers is None else transfers
    at_work = Lock()
    recipe = fit_discriminant(ridge=ridge)

    def known(context: Context, wanted: Sequence[str]) -> Array | None:
        """A cell of `probe_transfer` rests on two generators and the reals alone: taken from a larger one."""
        key = context.reals.tobytes()
        with at_work:  # the choices of several folds ask for the same probes
            if key not in probes or not set(wanted) <= set(probes[key][0]):
                every = [*wanted, *names, *(probes[key][0] if key in probes else [])]
                every = list(dict.fromkeys(every))
                fakes = {g: np.flatnonzero((y == 1) & (generator == g)) for g in every}
                halves = halves_of(context.reals, group, np.random.default_rng(random_state))
                probes[key] = (every, probe_transfer(heads.vectors, fakes, halves, ridge=ridge))
        every, values = probes[key]
        index = [every.index(g) for g in wanted]
        return values[:, index][:, :, index]

    def matrix(context: Context) -> Array:
        key = (context.test, context.reals.tobytes())
        if key not in matrices:
            others = [str(g) for g in np.unique(generator[context.fakes].astype(str))]
            if key not in chosen:
                given = {name: value() if callable(value) else value for name, value in options.items()}
                ranking = given.get("ranking") or ("probes" if heads.rest is None else "effect")
                probed = known(context, others) if ranking == "probes" else None
                chosen[key] = select_heads(
                    heads, y, generator, group, reals=context.reals, names=others, ridge=ridge,
                    transfer=probed, random_state=random_state, **given,
                )  # fmt: skip
            X = heads.combined(chosen[key].kept)
            if mask is not None:
                rows = np.concatenate([context.reals, context.fakes])
                fitted = ComponentMask(**{"ridge": ridge, "generators": others, "controls": 0, **mask})
                X = fitted.fit(X[rows], y[rows], generator=generator[rows], groups=group[rows]).transform(X)
            matrices[key] = X
        return matrices[key]

    def fit(fake: Array, real: Array, context: Context) -> Score:
        X = matrix(context)
        ones, zeros = X[fake[:, 0].astype(np.intp)], X[real[:, 0].astype(np.intp)]
        if mask is not None:
            w = discriminant(ones, zeros, ridge=ridge)
            return lambda Z: np.asarray(X[Z[:, 0].astype(np.intp)] @ w)
        score = recipe(ones, zeros, context)
        return lambda Z: score(X[Z[:, 0].astype(np.intp)])

    return fit
