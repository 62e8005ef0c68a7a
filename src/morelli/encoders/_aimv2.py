"""AIMv2's tensors by the names of Apple's own code, as transformers' `Aimv2VisionModel` calls them.

The repositories of the plain models hold names such as `trunk.blocks.3.attn.qkv.weight`, and a `config.json`
whose model runs from the repository's own code. The model is the one of transformers (El-Nouby et al. 2024;
Fini et al. 2025): the names are translated, nothing of the repository is run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.encoders._state import read_state
from morelli.errors import WeightsError

if TYPE_CHECKING:
    import torch

    from morelli.encoders._resolve import Checkpoint

MARK = "trunk.blocks.0.attn.qkv.weight"
"""A tensor that only Apple's naming has."""

_NAMES = (
    (r"preprocessor\.patchifier\.proj\.", "embeddings.patch_embed."),
    (r"preprocessor\.patchifier\.norm\.", "embeddings.rms_norm."),
    (r"preprocessor\.pos_embed", "embeddings.position_embedding.weight"),
    (r"trunk\.blocks\.(\d+)\.norm_([12])\.", r"encoder.layers.\1.rms_norm\2."),
    (r"trunk\.blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.\1.attention.out_proj."),
    (r"trunk\.blocks\.(\d+)\.mlp\.fc1\.", r"encoder.layers.\1.ffn.gate_proj."),
    (r"trunk\.blocks\.(\d+)\.mlp\.fc2\.", r"encoder.layers.\1.ffn.down_proj."),
    (r"trunk\.blocks\.(\d+)\.mlp\.fc3\.", r"encoder.layers.\1.ffn.up_proj."),
    (r"trunk\.post_trunk_norm\.", "rms_norm."),
)
_QKV = re.compile(r"trunk\.blocks\.(\d+)\.attn\.qkv\.(weight|bias)")


def renamed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays by transformers' names; queries, keys and values taken apart.

    Raises:
        WeightsError: a tensor's name is not known.
    """
    found: dict[str, Any] = {}
    for name, value in state.items():
        if match := _QKV.fullmatch(name):
            for part, array in zip("qkv", np.split(value, 3), strict=True):
                found[f"encoder.layers.{match[1]}.attention.{part}_proj.{match[2]}"] = array
            continue
        for pattern, new in _NAMES:
            other, count = re.subn(f"^{pattern}", new, name)
            if count:
                found[other] = value.reshape(value.shape[-2:]) if name.endswith("pos_embed") else value
                break
        else:
            raise WeightsError(f"The checkpoint holds a tensor {name}, which no AIMv2 image tower has.")
    return found


def load_original(checkpoint: Checkpoint, config: Mapping[str, Any], *, dtype: torch.dtype) -> Any:
    """transformers' model with the tensors of a checkpoint that has Apple's names.

    Raises:
        WeightsError: the tensors are not those that the configuration needs.
    """
    import torch
    import transformers

    known = set(transformers.Aimv2VisionConfig().to_dict()) - {"model_type", "architectures", "auto_map"}
    fields = {name: value for name, value in config.items() if name in known}
    # Apple's configuration has one field for the biases of the MLP, and no attention-pooling head.
    fields |= {"mlp_bias": bool(config.get("use_bias", False)), "use_head": False}
    state = renamed(read_state(checkpoint.weights, prefixes=("preprocessor.", "trunk.")))
    settings = transformers.Aimv2VisionConfig(**fields)
    settings.is_native = "embeddings.position_embedding.weight" not in state
    with torch.device("meta"):
        model = transformers.Aimv2VisionModel._from_config(settings, attn_implementation="sdpa")
    try:
        model.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()}, assign=True)
    except RuntimeError as error:
        raise WeightsError(
            f"{checkpoint.folder} does not hold the AIMv2 of its config.json: {error}"
        ) from error
    places = (settings.image_size // settings.patch_size) ** 2
    model.embeddings.position_ids = torch.arange(places)[None]
    return model.to(dtype).eval().requires_grad_(requires_grad=False)
