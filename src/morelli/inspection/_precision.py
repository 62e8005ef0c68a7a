"""How exactly an inspector computes: float32, or bfloat16 with what it costs known and kept in bounds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from morelli.detectors import Ensemble
from morelli.encoders import EncoderSet
from morelli.errors import UsageError
from morelli.inspection.answers import Precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from morelli.detectors import Bundle
    from morelli.encoders import Encoder


def at_precision(
    encoder: Encoder | EncoderSet, bundle: Bundle | Ensemble, precision: Precision
) -> Encoder | EncoderSet:
    """The bundle's encoder, computing as `precision` says.

    Args:
        encoder: float32, of the bundle's build.
        bundle: the detector, which says what bfloat16 costs it.
        precision: ``exact`` is float32. ``fast`` is bfloat16, and float32 for images so close to a threshold
            that rounding could change the verdict. ``fastest`` is bfloat16 for all. ``auto`` is ``fast``
            where the processor has bfloat16 and the bundle says that it keeps verdicts and AUC within its
            limits, and ``exact`` otherwise.

    Raises:
        UsageError: `precision` is unknown, or bfloat16 was asked for and this processor or this bundle does
            not allow it.
    """
    if precision not in get_args(Precision):
        raise UsageError(f"precision {precision!r} is unknown; there are {', '.join(get_args(Precision))}")
    if isinstance(encoder, EncoderSet) or isinstance(bundle, Ensemble):
        if precision in ("fast", "fastest"):
            raise UsageError(
                f"What bfloat16 costs the ensemble {bundle.name} was not measured. Ask for exact or auto."
            )
        return encoder
    if precision == "exact":
        return encoder
    obstacle = _obstacle(encoder, bundle)
    cost = bundle.bfloat16
    if precision == "auto" and (obstacle is not None or cost is None or not cost.acceptable):
        return encoder
    if obstacle is not None or cost is None:
        raise UsageError(f"{obstacle} Ask for precision exact or auto.")
    return encoder.quick(partial(_unsure, bundle) if precision != "fastest" else None, bundle.kinds)


def _obstacle(encoder: Encoder, bundle: Bundle) -> str | None:
    """Why bfloat16 is no choice here, as a sentence; None where it is one."""
    obstacle = encoder.obstacle_to_quick()
    if obstacle is None and bundle.bfloat16 is None:
        return (
            f"The bundle {bundle.name} does not say what bfloat16 costs it. Fit it with a second table of "
            "the same images: morelli extract SOURCE -o QUICK.lance --dtype bfloat16, then morelli fit "
            "F.lance --bfloat16 QUICK.lance."
        )
    return obstacle


def _unsure(bundle: Bundle, vectors: Mapping[str, Any]) -> NDArray[np.bool_]:
    from morelli.features import Features

    return bundle.unsure(Features.from_arrays(vectors, build=bundle.build))
