"""How exactly an inspector computes: float32, or a quicker number format with what it costs known."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from morelli.detectors import Ensemble
from morelli.encoders import Encoder, EncoderSet
from morelli.errors import UsageError
from morelli.inspection.answers import Precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from morelli.detectors import Bundle


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
            formats = " and ".join(Encoder.quick_dtypes)
            raise UsageError(
                f"What {formats} cost the ensemble {bundle.name} was not measured. Ask for exact or auto."
            )
        return encoder
    if precision == "exact":
        return encoder
    obstacles = {
        dtype: encoder.obstacle_to_quick(dtype) or _unmeasured(bundle, dtype)
        for dtype in encoder.quick_dtypes
    }
    free = [dtype for dtype, obstacle in obstacles.items() if obstacle is None]
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


def _unmeasured(bundle: Bundle, dtype: str) -> str | None:
    """That the bundle does not know what this number format costs, as a sentence; None where it does."""
    if dtype in bundle.quick_costs:
        return None
    return (
        f"The bundle {bundle.name} does not say what {dtype} costs it. Fit it with a second table of "
        f"the same images: morelli extract SOURCE -o QUICK.lance --dtype {dtype}, then morelli fit "
        "F.lance --quick QUICK.lance."
    )


def _unsure(bundle: Bundle, dtype: str, vectors: Mapping[str, Any]) -> NDArray[np.bool_]:
    from morelli.features import Features

    cost = bundle.quick_costs[dtype]
    features = Features.from_arrays(vectors, build=bundle.build)
    return bundle.unsure(features, cost.near_logit, cost.near_distance)
