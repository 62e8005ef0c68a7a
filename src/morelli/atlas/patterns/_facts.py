"""What else than the pixels could have made a prototype: file facts, and what they alone would let expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[Any]
APART = 0.25
"""Total variation distance between two sets of files from which a difference is worth a warning."""
CHANCE = 0.002
_DRAWS = 1999
_SHRINK = 10.0


@dataclass(frozen=True)
class Fact:
    """One fact of n files: `codes` (n,) into `levels`, −1 where it is not known; files `verb` a level."""

    levels: tuple[str, ...]
    codes: NDArray[np.int16]
    verb: str = "are"

    @classmethod
    def of(cls, values: Sequence[Any] | Array) -> Self:
        """Number the values (None: not known) in the order of their names.

        Example:
            >>> Fact.of(["PNG", None, "JPEG", "PNG"])
            Fact(levels=('JPEG', 'PNG'), codes=array([ 1, -1,  0,  1], dtype=int16), verb='are')
        """
        import pyarrow as pa

        texts = pa.array([None if value is None else str(value) for value in values], pa.string())
        encoded = texts.dictionary_encode()
        names = np.asarray(encoded.dictionary.to_pylist(), dtype=object)
        order = np.argsort(names.astype(str), kind="stable")
        rank = np.full(len(names) + 1, -1, dtype=np.int16)
        rank[order] = np.arange(len(order), dtype=np.int16)
        codes = np.asarray(encoded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False))
        return cls(tuple(str(name) for name in names[order]), rank[codes])


def file_facts(meta: pa.Table) -> dict[str, Fact]:
    """Format, shape, size and JPEG quality out of the columns of a feature table.

    Facts of which no file knows anything are left out.
    """
    facts = {"format": Fact.of(meta.column("format").to_pylist())}
    width, height = (_numbers(meta, name) for name in ("width", "height"))
    shape = np.sign(np.nan_to_num(width - height, nan=0)).astype(np.int16) + 1
    known = ~np.isnan(width + height)
    facts["shape"] = Fact(("portrait", "square", "landscape"), np.where(known, shape, -1).astype(np.int16))
    facts["size"] = _binned(np.fmin(width, height), (256, 512, 1024), "a short side of {} pixels")
    quality = _numbers(meta, "jpeg_quality")
    facts["JPEG quality"] = _binned(quality, (75, 90), "JPEG quality {}")
    return {name: fact for name, fact in facts.items() if (fact.codes >= 0).any()}


def _numbers(meta: pa.Table, name: str) -> NDArray[np.float64]:
    import pyarrow as pa

    column = meta.column(name).cast(pa.float64()).combine_chunks()
    return np.asarray(column.fill_null(float("nan")).to_numpy(zero_copy_only=False))


def _binned(values: Array, edges: tuple[int, ...], wording: str) -> Fact:
    """Whole numbers (n,) in bins that end at the edges, the upper one included."""
    codes = np.searchsorted(edges, np.nan_to_num(values), side="left").astype(np.int16)
    between = (f"{low + 1} to {high}" for low, high in pairwise(edges))
    names = (f"up to {edges[0]}", *between, f"more than {edges[-1]}")
    levels = tuple(wording.format(name) for name in names)
    return Fact(levels, np.where(np.isnan(values), -1, codes).astype(np.int16), "have")


def confound(
    members: NDArray[np.bool_], labels: Array, facts: Mapping[str, Fact], rng: np.random.Generator
) -> str | None:
    """A sentence on the file fact in which a prototype's images differ most from the rest of their class.

    Within a class, the shares of a fact's levels among the members are compared with those of the others. A
    difference counts when it is large (`APART`) and rarer than `CHANCE` among random draws of as many images
    of the class. None where nothing counts.
    """
    worst: tuple[float, str] = (APART, "")
    for value, word in ((1, "generated"), (0, "real")):
        of_class = labels == value
        for fact in facts.values():
            known = of_class & (fact.codes >= 0)
            size = len(fact.levels)
            total = np.bincount(fact.codes[known], minlength=size)
            inside = np.bincount(fact.codes[known & members], minlength=size)
            n = int(inside.sum())
            if n < 5 or total.sum() - n < 5:
                continue
            gap = inside / n - (total - inside) / (total.sum() - n)
            distance = float(np.abs(gap).sum() / 2)
            if distance < worst[0]:
                continue
            drawn = rng.multivariate_hypergeometric(total, n, size=_DRAWS, method="marginals")
            null = np.abs(drawn / n - (total - drawn) / (total.sum() - n)).sum(axis=1) / 2
            if (1 + (null >= distance - 1e-12).sum()) / (1 + _DRAWS) > CHANCE:
                continue
            level = int(gap.argmax())
            share, other = inside[level] / n, (total[level] - inside[level]) / (total.sum() - n)
            worst = (
                distance,
                f"of its {word} images {share:.0%} {fact.verb} {fact.levels[level]}, of the other {word} "
                f"ones {other:.0%}",
            )
    return worst[1] or None


def expected_impacts(impacts: Array, facts: Sequence[Fact]) -> NDArray[np.float32]:
    """Impacts (n, K) that other files of the same format, size and content have on average.

    Means of small strata are drawn towards the mean of all as by `_SHRINK` further images. Without facts the
    mean of all is expected.
    """
    n = len(impacts)
    stratum = np.zeros(n, dtype=np.int64)
    for fact in facts:
        stratum = np.unique(stratum * (len(fact.levels) + 1) + fact.codes + 1, return_inverse=True)[1]
    size = np.bincount(stratum).astype(float)
    found = np.empty(impacts.shape, dtype=np.float32)
    for k in range(impacts.shape[1]):
        column = np.asarray(impacts[:, k], dtype=float)
        others = np.bincount(stratum, weights=column)[stratum] - column
        found[:, k] = (others + _SHRINK * column.mean()) / (size[stratum] - 1 + _SHRINK)
    return found
