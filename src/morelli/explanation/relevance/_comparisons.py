"""Maps that equation 4 is compared with: plain attention, and the rollout over all blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.encoders import Encoder, LastBlock
    from morelli.explanation.relevance._maps import Values

Array = NDArray[Any]


def attention_map(last_block: LastBlock, class_token: ArrayLike, tokens: ArrayLike) -> Array:
    """The class token's attention to the patches, mean over heads: (n, P) float32.

    The same for every dimension and every detector: it says where the encoder looked, not what for.
    See `relevance_maps` for the arguments.
    """
    weights = last_block.attention(class_token, tokens).weights
    return np.asarray(weights.mean(axis=1)[:, 1:])


def rollout_maps(
    encoder: Encoder, pixels: ArrayLike, values: Values, weights: ArrayLike | None = None
) -> Array:
    """Relevance rolled out over all blocks: (n, K + 1, P) float32, the logit last; without weights (n, K, P).

    Equations 2 and 3 of ASAP, after Chefer et al. 2021, equations 5 and 6, starting from R = I:

        R ← R + Ā_l R,    Ā_l = E_h[ (∂z_k/∂A_l · A_l)⁺ ],                                      (2, 3)

    and of the result the class token's row. A whole forward pass, and a backward pass through all blocks for
    each of the K + 1 maps: meant for comparison, not for collections.

    Args:
        encoder: a CLIP.
        pixels: (n, 3, s, s) transformed.
        values: feature `final` (b, d) to distilled values (b, K) and their gradients (b, K, d).
        weights: (K,) of the linear head, for the logit's map.

    Raises:
        UsageError: the encoder is no CLIP, or the weights do not fit.
    """
    from morelli.encoders import attention_pass

    w = None if weights is None else np.asarray(weights, dtype=np.float32)
    found = []
    for one in np.asarray(pixels, dtype=np.float32):
        traced = attention_pass(encoder, one)
        z, gradients = values(traced.final[None])
        if w is not None and w.shape != z.shape[1:]:
            raise UsageError(
                f"{z.shape[1]} distilled values need as many weights; got shape {tuple(w.shape)}."
            )
        targets = gradients[0] if w is None else np.concatenate([gradients[0], w[None] @ gradients[0]])
        rows = np.zeros((len(targets), encoder.patches + 1), np.float32)
        rows[:, 0] = 1
        for attention, gradient in traced.backwards(targets):
            # R = (I + Ā_L) … (I + Ā_1), of which only the class token's row is wanted: from the left.
            mean = (gradient * attention).clip(min=0).mean(axis=1)
            rows = rows + (rows[:, None] @ mean)[:, 0]
        found.append(rows[:, 1:])
    return np.stack(found).astype(np.float32)
