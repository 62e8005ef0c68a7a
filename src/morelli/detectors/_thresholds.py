"""Thresholds for a chosen error rate, with what the number of images can and cannot promise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import ArtifactError, UsageError
from morelli.metrics.shares import clopper_pearson_upper


@dataclass(frozen=True)
class Threshold:
    """A logit to compare with, and the error rate that it stands for.

    rate: the rate asked for (nan when none was: a published threshold). observed: share of the n
    held-out scores beyond it. upper: 95 % upper bound of the true rate (Clopper and Pearson 1934), were
    the scores independent: several scores of an image, and images of one source, make the true one higher.
    guaranteed: whether n images suffice to keep the expected rate at or below `rate`.
    """

    logit: float
    rate: float
    observed: float
    n: int
    upper: float
    guaranteed: bool
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values, unknown rates as null."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Threshold:
        """Read what `to_json` wrote.

        Raises:
            ArtifactError: a field is missing or is no number.
        """
        try:
            rates = {
                k: math.nan if data[k] is None else float(data[k]) for k in ("rate", "observed", "upper")
            }
            read = cls(
                logit=float(data["logit"]),
                n=int(data["n"]),
                guaranteed=bool(data["guaranteed"]),
                note=str(data["note"]),
                **rates,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"a threshold of the bundle is incomplete or no number: {error}") from error
        if not math.isfinite(read.logit):
            raise ArtifactError("a threshold of the bundle is not finite")
        return read


def conformal_threshold(scores_real: ArrayLike, fpr: float, *, groups: ArrayLike | None = None) -> Threshold:
    """The lowest score t such that a new real image scores above t with a chance of at most `fpr`.

    t is the ceil((1 - fpr)(n + 1))-th smallest of the n held-out scores: the conservative order
    statistic, under which the expected rate of exchangeable new images stays within `fpr` (Vovk's
    split conformal rank). Where n < 1 / fpr - 1 no such rank exists; then t is the largest score,
    `guaranteed` is False and `note` says what n can give. The room `metrics` has the other threshold, which
    keeps the rate among the given images alone.

    With `groups` the new image is one of a new group: a source of photographs or a lineage of generators
    that is not among the given ones. Each of the G groups then counts the same, whatever its number of
    images: t is the lowest score with (sum over groups of the share of the group above t, + 1) / (G + 1)
    <= `fpr` (hierarchical conformal prediction, Lee, Barber and Willett 2023, section 3).

    Args:
        scores_real: (n,) finite held-out scores of real images.
        fpr: in (0, 1).
        groups: (n,) group of each image; None: images of one kind, each for itself.

    Raises:
        UsageError: there is no score, one is not finite, or the rate is no share.

    >>> conformal_threshold(range(1, 100), 0.05).logit
    95.0
    >>> conformal_threshold(range(1, 10), 0.05).note
    '9 held-out images cannot promise 5 %; at best 10 % of new ones lie above the largest score'
    """
    scores = np.sort(np.asarray(scores_real, dtype=np.float64))
    n = len(scores)
    if not n or not np.isfinite(scores).all():
        raise UsageError(f"a threshold needs finite held-out scores, got {n}")
    if not 0 < fpr < 1:
        raise UsageError(f"the error rate is {fpr}; give a share between 0 and 1, both excluded")
    if groups is not None:
        return _grouped_threshold(np.asarray(scores_real, dtype=np.float64), fpr, np.asarray(groups))
    # The tiny step keeps (1 - 0.05) * 100 = 95.00000000000001 from rounding up a rank.
    rank = math.ceil((1 - fpr) * (n + 1) - 1e-9)
    guaranteed = rank <= n
    value = float(scores[min(rank, n) - 1])
    above = int((scores > value).sum())
    note = (
        ""
        if guaranteed
        else f"{n} held-out images cannot promise {_percent(fpr)}; "
        f"at best {_percent(1 / (n + 1))} of new ones lie above the largest score"
    )
    return Threshold(value, float(fpr), above / n, n, clopper_pearson_upper(above, n), guaranteed, note)


def _grouped_threshold(scores: NDArray[np.float64], rate: float, groups: NDArray[Any]) -> Threshold:
    """`conformal_threshold` for a new group."""
    _, codes, sizes = np.unique(groups.astype(str), return_inverse=True, return_counts=True)
    n, n_groups = len(scores), len(sizes)
    order = np.argsort(scores, kind="stable")
    share = 1 / sizes[codes[order]]
    # Mass above each candidate: that of all images that score strictly higher.
    above = np.concatenate([np.cumsum(share[::-1])[::-1][1:], [0.0]])
    last = np.searchsorted(scores[order], scores[order], side="right") - 1
    # The tiny step keeps a sum of shares such as 3 * (1 / 3) from lying above a whole number.
    kept = np.flatnonzero((above[last] + 1) / (n_groups + 1) <= rate + 1e-9)
    guaranteed = bool(kept.size)
    value = float(scores[order][kept[0] if guaranteed else -1])
    count = int((scores > value).sum())
    note = f"each of {n_groups} groups counts the same" + (
        ""
        if guaranteed
        else f"; {n_groups} groups cannot promise {_percent(rate)} for an image of a new one, "
        f"at best {_percent(1 / (n_groups + 1))} of such images lie above the largest score"
    )
    return Threshold(value, float(rate), count / n, n, clopper_pearson_upper(count, n), guaranteed, note)


def conformal_miss_threshold(
    scores_fake: ArrayLike, rate: float, *, groups: ArrayLike | None = None
) -> Threshold:
    """The highest score t such that a new generated image scores at or below t with a chance <= `rate`.

    The mirror of `conformal_threshold`, with the same guarantee, fields and errors.

    Args:
        scores_fake: (n,) finite held-out scores of generated images.
        rate: share of generated images that may be missed, in (0, 1).
        groups: (n,) lineage of each image, see `conformal_threshold`.

    >>> round(conformal_miss_threshold(range(1, 100), 0.05).logit, 6)
    5.0
    """
    mirrored = conformal_threshold(-np.asarray(scores_fake, dtype=np.float64), rate, groups=groups)
    # The mirror gives P(score < t) <= rate; one step down makes "at or below" keep the same promise.
    value = float(np.nextafter(-mirrored.logit, -np.inf))
    note = mirrored.note.replace("above the largest", "below the smallest")
    return Threshold(
        value, mirrored.rate, mirrored.observed, mirrored.n, mirrored.upper, mirrored.guaranteed, note
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
