"""How exactly an inspector computes: float32, or a quicker dtype with what it costs known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from morelli.detectors import Ensemble
from morelli.encoders import Encoder, EncoderSet
from morelli.errors import UsageError
from morelli.inspection.answers import Precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from morelli.detectors import Bundle
    from morelli.inspection._second import SecondDetector


def both_at_precision(
    encoder: Encoder | EncoderSet,
    bundle: Bundle | Ensemble,
    second: SecondDetector | None,
    precision: Precision,
) -> tuple[Encoder | EncoderSet, SecondDetector | None]:
    """The encoder of a bundle, and the second detector beside it if there is one, as `at_precision` says.

    An encoder that both read has to keep the verdicts of both; beside an ensemble all is float32.
    """
    if second is None:
        return at_precision(encoder, [bundle], precision), None
    ensembles = [one for one in (bundle, second.bundle) if isinstance(one, Ensemble)]
    if ensembles:
        at_precision(encoder, ensembles, precision)
        return encoder, second
    if encoder.build.matches(second.encoder.build):
        found = at_precision(encoder, [bundle, second.bundle], precision)
        return found, replace(second, encoder=found)
    return (
        at_precision(encoder, [bundle], precision),
        replace(second, encoder=at_precision(second.encoder, [second.bundle], precision)),
    )


def at_precision(
    encoder: Encoder | EncoderSet, detectors: Sequence[Bundle | Ensemble], precision: Precision
) -> Encoder | EncoderSet:
    """The encoder of one or two detectors, computing as `precision` says.

    Args:
        encoder: float32, of the detectors' build.
        detectors: those who read its features, which say what bfloat16 and int8 cost them.
        precision: ``exact`` is float32. ``auto`` is bfloat16, or int8 where the processor has no bfloat16,
            and float32 for images so close to a threshold that rounding could change a verdict, where every
            detector says that verdicts and AUC stay within its limits; ``exact`` otherwise. ``fast`` is
            int8, and float32 for images close to a threshold; ``fastest`` is int8 for all. Both are bfloat16
            where that is quicker, the processor has no int8 or a detector does not know what int8 costs.

    Raises:
        UsageError: `precision` is unknown, or a quicker format was asked for and this processor or a
            detector does not allow it.
    """
    if precision not in get_args(Precision):
        raise UsageError(f"precision {precision!r} is unknown; there are {', '.join(get_args(Precision))}")
    bundles = [one for one in detectors if not isinstance(one, Ensemble)]
    if isinstance(encoder, EncoderSet) or len(bundles) < len(detectors):
        if precision in ("fast", "fastest"):
            formats = " and ".join(Encoder.quick_dtypes)
            name = next((one.name for one in detectors if isinstance(one, Ensemble)), detectors[0].name)
            raise UsageError(
                f"What {formats} cost the ensemble {name} was not measured. Ask for exact or auto."
            )
        return encoder
    if precision == "exact":
        return encoder
    obstacles = {
        dtype: encoder.obstacle_to_quick(dtype)
        or next(filter(None, (_unmeasured(one, dtype) for one in bundles)), None)
        for dtype in encoder.quick_dtypes
    }
    free = [dtype for dtype, obstacle in obstacles.items() if obstacle is None]
    if precision == "auto":
        free = [dtype for dtype in free if all(one.quick_costs[dtype].acceptable for one in bundles)][:1]
        if not free:
            return encoder
    if not free:
        raise UsageError(f"{obstacles['bfloat16']} Ask for precision exact or auto.")
    dtype = encoder.quickest(free)
    kinds = tuple(dict.fromkeys(kind for one in bundles for kind in one.kinds))
    return encoder.quick(None if precision == "fastest" else partial(_unsure, bundles, dtype), kinds, dtype)


def _unmeasured(bundle: Bundle, dtype: str) -> str | None:
    """That the bundle does not know what this dtype costs, as a sentence; None where it does."""
    if dtype in bundle.quick_costs:
        return None
    return (
        f"The bundle {bundle.name} does not say what {dtype} costs it. Fit it with a second table of "
        f"the same images: morelli extract SOURCE -o QUICK.lance --dtype {dtype}, then morelli fit "
        "F.lance --quick QUICK.lance."
    )


def _unsure(bundles: Sequence[Bundle], dtype: str, vectors: Mapping[str, Any]) -> NDArray[np.bool_]:
    """The images of which one of the bundles could change its verdict."""
    from morelli.features import Features

    features = Features.from_arrays(vectors, build=bundles[0].build)  # those of the others match it
    costs = [bundle.quick_costs[dtype] for bundle in bundles]
    found = [
        bundle.unsure(features, cost.near_logit, cost.near_distance)
        for bundle, cost in zip(bundles, costs, strict=True)
    ]
    any_of: NDArray[np.bool_] = np.any(found, axis=0)
    return any_of
