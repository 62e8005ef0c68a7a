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
    import torch

    rows = (
        torch.from_numpy(np.array(part, dtype=np.float32)).to(last_block.device)
        for part in (class_token, tokens)
    )
    with torch.no_grad():
        weights = last_block.attention(*rows).weights
    return np.asarray(weights.mean(dim=1)[:, 1:].cpu().numpy())


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
        values: feature `final` (b, d) to distilled values (b, K), torch.
        weights: (K,) of the linear head, for the logit's map.

    Raises:
        UsageError: the encoder is no CLIP, or the weights do not fit.
    """
    import torch

    from morelli.encoders import attention_pass

    pixels = np.asarray(pixels, dtype=np.float32)
    w = None if weights is None else torch.from_numpy(np.array(weights, np.float32)).to(encoder.device)
    found = []
    for one in pixels:
        traced = attention_pass(encoder, torch.from_numpy(one[None].copy()))
        z = values(traced.final)[0]
        if w is not None and w.shape != z.shape:
            raise UsageError(f"{len(z)} distilled values need as many weights; got shape {tuple(w.shape)}.")
        targets = [*z] if w is None else [*z, z @ w]
        rows = []
        for target in targets:
            gradients = torch.autograd.grad(target, traced.attentions, retain_graph=True)
            # R = (I + Ā_L) … (I + Ā_1), of which only the class token's row is wanted: from the left.
            row = torch.zeros(traced.attentions[0].shape[-1], device=encoder.device)
            row[0] = 1
            for attention, gradient in zip(reversed(traced.attentions), reversed(gradients), strict=True):
                row = row + row @ (gradient * attention)[0].clamp(min=0).mean(dim=0)
            rows.append(row[1:].detach().cpu().numpy())
        found.append(np.stack(rows))
    return np.stack(found).astype(np.float32)
