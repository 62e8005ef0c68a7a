"""How exactly an inspector computes: float32, or a quicker number format with what it costs known."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from morelli.detectors import Ensemble
from morelli.encoders import EncoderSet
from morelli.errors import UsageError
from morelli.inspection.answers import Precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from morelli.detectors import Bundle
    from morelli.encoders import Encoder

_Format = Literal["bfloat16", "int8"]
_FORMATS: tuple[_Format, ...] = ("bfloat16", "int8")
"""From the more exact to the quicker."""


def at_precision(
    encoder: Encoder | EncoderSet, bundle: Bundle | Ensemble, precision: Precision
) -> Encoder | EncoderSet:
    """The bundle's encoder, computing as `precision` says.

    Args:
        encoder: float32, of the bundle's build.
        bundle: the detector, which says what bfloat16 and int8 cost it.
        precision: ``exact`` is float32. ``auto`` is bfloat16, and float32 for images so close to a threshold
            that rounding could change the verdict, where the processor has bfloat16 and the bundle says that
            verdicts and AUC stay within its limits; ``exact`` otherwise. ``fast`` is int8, and float32 for
            images close to a threshold; ``fastest`` is int8 for all. Both are bfloat16 where the processor
            has no int8 or the bundle does not know what that costs.

    Raises:
        UsageError: `precision` is unknown, or a quicker format was asked for and this processor or this
            bundle does not allow it.
    """
    if precision not in get_args(Precision):
        raise UsageError(f"precision {precision!r} is unknown; there are {', '.join(get_args(Precision))}")
    if isinstance(encoder, EncoderSet) or isinstance(bundle, Ensemble):
        if precision in ("fast", "fastest"):
            raise UsageError(
                f"What {' and '.join(_FORMATS)} cost the ensemble {bundle.name} was not measured. "
                "Ask for exact or auto."
            )
        return encoder
    if precision == "exact":
        return encoder
    obstacles = {dtype: _obstacle(encoder, bundle, dtype) for dtype in _FORMATS}
    free = [dtype for dtype in _FORMATS if obstacles[dtype] is None]
    if precision == "auto":
        free = [dtype for dtype in free if dtype == "bfloat16" and bundle.quick_costs[dtype].acceptable]
        if not free:
            return encoder
    if not free:
        raise UsageError(f"{obstacles['bfloat16']} Ask for precision exact or auto.")
    dtype = free[-1]
    return encoder.quick(
        None if precision == "fastest" else partial(_unsure, bundle, dtype), bundle.kinds, dtype
    )


def _obstacle(encoder: Encoder, bundle: Bundle, dtype: _Format) -> str | None:
    """Why this number format is no choice here, as a sentence; None where it is one."""
    obstacle = encoder.obstacle_to_quick(dtype)
    if obstacle is None and dtype not in bundle.quick_costs:
        return (
            f"The bundle {bundle.name} does not say what {dtype} costs it. Fit it with a second table of "
            f"the same images: morelli extract SOURCE -o QUICK.lance --dtype {dtype}, then morelli fit "
            "F.lance --quick QUICK.lance."
        )
    return obstacle


def _unsure(bundle: Bundle, dtype: _Format, vectors: Mapping[str, Any]) -> NDArray[np.bool_]:
    from morelli.features import Features

    cost = bundle.quick_costs[dtype]
    features = Features.from_arrays(vectors, build=bundle.build)
    return bundle.unsure(features, cost.near_logit, cost.near_distance)
