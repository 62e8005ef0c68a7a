"""What a deletion test says: how far each kind of map moves the score, beside maps that say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError
from morelli.metrics.resampling import group_draws, percentile_interval

Array = NDArray[Any]
Interval = tuple[float, float]


@dataclass(frozen=True)
class DeletionEffect:
    """One kind of map in a deletion test.

    Attributes:
        name: of the map.
        moved: mean move of the logit towards the other class, generated and real images counting half each.
        interval: of `moved`, 90 %.
        generated, real: the two halves.
        ratio: `moved` over the baseline's; nan where the baseline moves it the other way.
        margin: `moved` less `factor` times the baseline's, which stays defined where the baseline is near
            zero; its interval above zero means "at least `factor` times as much".
        margin_interval: of `margin`, 90 %.
    """

    name: str
    moved: float
    interval: Interval
    generated: float
    real: float
    ratio: float
    margin: float
    margin_interval: Interval

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "ratio": None if np.isnan(self.ratio) else self.ratio}


def deletion_effects(
    moves: Mapping[str, ArrayLike],
    y: ArrayLike,
    groups: ArrayLike,
    *,
    baseline: str = "random",
    factor: float = 2.0,
    draws: int = 2000,
    rng: np.random.Generator,
) -> list[DeletionEffect]:
    """Compare maps by what their deletion did to n images; largest move first.

    Args:
        moves: name to (n,), per image, how far the logit went towards the other class: before less after for
            generated images, after less before for real ones. Several draws of random maps: their mean.
        y: (n,) 1 generated, 0 real; both must occur.
        groups: (n,) lineage of a generated image, source of a real one: the bootstrap draws whole groups.
        baseline: the entry of `moves` to compare with.
        factor: see `DeletionEffect.margin`.
        draws: of the bootstrap.
        rng: draws it.

    Raises:
        UsageError: no baseline, one class only, or lengths that differ.
    """
    labels = np.asarray(y)
    rows = {name: np.asarray(values, dtype=np.float64) for name, values in moves.items()}
    if baseline not in rows:
        raise UsageError(f"There is no map {baseline!r} to compare with; there are {', '.join(rows)}.")
    if any(len(values) != len(labels) for values in rows.values()) or set(np.unique(labels)) != {0, 1}:
        raise UsageError("A deletion test needs one move per image, of generated (1) and real (0) images.")
    counts = group_draws(labels, groups, draws, rng).astype(np.float64)
    halves = {}
    for value in (0, 1):
        here = counts * (labels == value)[:, None]
        halves[value] = here / here.sum(axis=0)
    drawn = {name: (values @ halves[0] + values @ halves[1]) / 2 for name, values in rows.items()}
    base = _balanced(rows[baseline], labels)
    effects = []
    for name, values in rows.items():
        moved = _balanced(values, labels)
        effects.append(
            DeletionEffect(
                name=name,
                moved=moved,
                interval=_interval(drawn[name]),
                generated=float(values[labels == 1].mean()),
                real=float(values[labels == 0].mean()),
                ratio=moved / base if base > 0 else float("nan"),
                margin=moved - factor * base,
                margin_interval=_interval(drawn[name] - factor * drawn[baseline]),
            )
        )
    return sorted(effects, key=lambda effect: -effect.moved)


def _balanced(values: Array, labels: Array) -> float:
    return float((values[labels == 1].mean() + values[labels == 0].mean()) / 2)


def _interval(drawn: Array) -> Interval:
    low, high = percentile_interval(drawn).tolist()
    return low, high
