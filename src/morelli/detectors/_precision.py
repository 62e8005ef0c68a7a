"""What computing features in a quicker dtype costs a detector, and which verdicts it could change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.detectors._verdict import Verdict
from morelli.errors import ArtifactError, UsageError
from morelli.metrics import roc_auc

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from morelli.features import Features

MOST_AUC = 0.002
"""What a precision may cost in AUC before `auto` takes the exact one."""
MOST_CHANGED = 0.005
"""Share of verdict words that a precision may change before `auto` takes the exact one."""
QUANTILE = 0.99
"""This quantile of the changes that were seen is how close to a threshold an image is computed exactly."""


@dataclass(frozen=True)
class PrecisionCost:
    """What features in bfloat16 or int8 cost, measured against float32 ones of the same images.

    Attributes:
        images: how many were compared.
        median_logit: median of how far the logit moved.
        largest_logit: the most that it moved.
        near_logit: how close to a threshold's logit an image is computed exactly.
        near_distance: the same for the distance to the bank; 0 without a bank.
        changed: share of verdict words that changed.
        screened_changed: the same where images near a threshold are computed exactly.
        again: share of images that are then computed twice.
        auc: AUC with these features less that with float32 ones; None without labels of both classes.

    Example:
        >>> cost = PrecisionCost(700, 0.03, 0.4, 0.2, 0.01, 0.004, 0.0, 0.08, -0.0003)
        >>> cost.acceptable
        True
    """

    images: int
    median_logit: float
    largest_logit: float
    near_logit: float
    near_distance: float
    changed: float
    screened_changed: float
    again: float
    auc: float | None

    @property
    def acceptable(self) -> bool:
        """True where screening keeps verdicts and AUC within the limits for `auto`."""
        return self.screened_changed <= MOST_CHANGED and abs(self.auc or 0.0) <= MOST_AUC

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PrecisionCost:
        """What `to_json` gave.

        Raises:
            ArtifactError: a figure is missing, is no number, or is not finite.
        """
        values: dict[str, Any] = {}
        for one in fields(cls):
            value = data.get(one.name)
            known = isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
            if not known and not (value is None and one.name == "auc"):
                raise ArtifactError(f"the cost of a dtype lacks {one.name}, or has no number there")
            values[one.name] = value
        return cls(**values)


def precision_cost(
    before: Sequence[Verdict],
    after: Sequence[Verdict],
    labels: ArrayLike,
    near: Callable[[float, float], NDArray[np.bool_]],
) -> PrecisionCost:
    """Compare verdicts on float32 features and on quicker ones of the same images.

    Args:
        before: of float32 features.
        after: of the quicker ones, in the same order.
        labels: 0 real, 1 generated, anything else unknown.
        near: from reaches of logit and distance to the images (n,) that are within them of a threshold.
    """
    logits = np.array([[one.logit for one in some] for some in (before, after)])
    distances = np.array([[one.domain_distance for one in some] for some in (before, after)])
    apart = np.abs(logits[0] - logits[1])
    far = np.nan_to_num(np.abs(distances[0] - distances[1]))
    reach = [float(np.quantile(moved, QUANTILE)) for moved in (apart, far)]
    differs = np.array([a.verdict != b.verdict for a, b in zip(before, after, strict=True)])
    again = near(*reach)
    y = np.asarray(labels)
    known = np.isin(y, (0, 1))
    auc = None
    if len(set(y[known].tolist())) == 2:
        auc = float(roc_auc(y[known], logits[1][known]) - roc_auc(y[known], logits[0][known]))
    return PrecisionCost(
        images=len(apart),
        median_logit=float(np.median(apart)),
        largest_logit=float(apart.max()),
        near_logit=reach[0],
        near_distance=reach[1],
        changed=float(differs.mean()),
        screened_changed=float((differs & ~again).mean()),
        again=float(again.mean()),
        auc=auc,
    )


def common_images(exact: Features, quick: Features) -> tuple[Features, Features]:
    """The rows of the images that both hold in the same delivery, in one order.

    Raises:
        UsageError: there are none.
    """
    places = [
        {key: row for row, key in enumerate(zip(*columns, strict=True))}
        for columns in (
            [some.column(name).astype(str).tolist() for name in ("sha256", "perturbation")]
            for some in (exact, quick)
        )
    ]
    shared = [key for key in places[0] if key in places[1]]
    if not shared:
        raise UsageError(
            "The two tables have no image in common: extract the same images twice, with the same --perturb, "
            "once with --dtype bfloat16 or int8."
        )
    first, second = ([where[key] for key in shared] for where in places)
    return exact.take(np.array(first)), quick.take(np.array(second))
