"""Small MetaCLIP 2, SigLIP 2 NaFlex, DINOv3 ConvNeXt and AIMv2, saved in the hub's folder format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
}
_TEXT = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_CLIP_PROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": 56},
    "crop_size": {"height": 56, "width": 56},
    "do_center_crop": True,
    "resample": 3,
}


def build_models() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Model and image processor's settings by name, in evaluation mode, with seeded tensors."""
    import torch
    import transformers as t

    torch.manual_seed(11)
    naflex = {key: value for key, value in VISION.items() if key != "image_size"} | {"num_patches": 16}
    models: dict[str, Callable[[], Any]] = {
        "metaclip2": lambda: t.MetaClip2Model(
            t.MetaClip2Config(
                projection_dim=24,
                vision_config=VISION | {"projection_dim": 24},
                text_config=_TEXT | {"projection_dim": 24},
            )
        ),
        "siglip2-naflex": lambda: t.Siglip2Model(
            t.Siglip2Config(vision_config=naflex, text_config=_TEXT | {"projection_size": 32})
        ),
        "dinov3-convnext": lambda: t.DINOv3ConvNextModel(
            t.DINOv3ConvNextConfig(
                hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 2, 1], layer_scale_init_value=0.5, image_size=64
            )
        ),
        "aimv2": lambda: t.Aimv2VisionModel(t.Aimv2VisionConfig(**VISION, use_head=False)),
        "aimv2-lit": lambda: t.Aimv2Model(
            t.Aimv2Config(
                projection_dim=24,
                vision_config=VISION | {"use_head": True},
                text_config={key: _TEXT[key] for key in _TEXT if key not in ("pad_token_id", "bos_token_id")},
            )
        ),
    }
    processors = {
        "metaclip2": _CLIP_PROCESSOR,
        "siglip2-naflex": {
            "image_processor_type": "Siglip2ImageProcessor",
            "patch_size": 14,
            "max_num_patches": 20,
            "resample": 2,
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
        },
        "dinov3-convnext": {
            "image_processor_type": "DINOv3ViTImageProcessorFast",
            "size": {"height": 64, "width": 64},
            "resample": 2,
            "image_mean": [0.485, 0.456, 0.406],
            "image_std": [0.229, 0.224, 0.225],
        },
        "aimv2": _CLIP_PROCESSOR,
        "aimv2-lit": _CLIP_PROCESSOR,
    }
    built = {}
    for name, make in models.items():
        model = make().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * (0.1 if parameter.ndim < 2 else 0.05))
        built[name] = (model, processors[name])
    return built


def save_models(folder: Path) -> dict[str, tuple[Path, Any]]:
    """Write each model; its folder and the model itself by name."""
    found = {}
    for name, (model, processor) in build_models().items():
        model.save_pretrained(folder / name)
        (folder / name / "preprocessor_config.json").write_text(json.dumps(processor))
        found[name] = (folder / name, model)
    return found


def save_with_apples_names(folder: Path, model: Any) -> Path:
    """Write an `Aimv2VisionModel` as Apple's repositories of plain models hold one."""
    import re

    import torch
    from safetensors.torch import save_file

    state = dict(model.state_dict())
    found = {}
    for number in range(VISION["num_hidden_layers"]):
        parts = [state.pop(f"encoder.layers.{number}.attention.{part}_proj.weight") for part in "qkv"]
        found[f"trunk.blocks.{number}.attn.qkv.weight"] = torch.cat(parts)
    names = (
        (r"embeddings\.patch_embed\.", "preprocessor.patchifier.proj."),
        (r"embeddings\.rms_norm\.", "preprocessor.patchifier.norm."),
        (r"embeddings\.position_embedding\.weight", "preprocessor.pos_embed"),
        (r"encoder\.layers\.(\d+)\.rms_norm(\d)\.", r"trunk.blocks.\1.norm_\2."),
        (r"encoder\.layers\.(\d+)\.attention\.out_proj\.", r"trunk.blocks.\1.attn.proj."),
        (r"encoder\.layers\.(\d+)\.ffn\.gate_proj\.", r"trunk.blocks.\1.mlp.fc1."),
        (r"encoder\.layers\.(\d+)\.ffn\.down_proj\.", r"trunk.blocks.\1.mlp.fc2."),
        (r"encoder\.layers\.(\d+)\.ffn\.up_proj\.", r"trunk.blocks.\1.mlp.fc3."),
        (r"rms_norm\.", "trunk.post_trunk_norm."),
    )
    for name, value in state.items():
        for pattern, new in names:
            other, count = re.subn(f"^{pattern}", new, name)
            if count:
                found[other] = value[None] if other == "preprocessor.pos_embed" else value
                break
        else:
            raise AssertionError(name)
    folder.mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in found.items()}, folder / "model.safetensors")
    config = {
        "model_type": "aimv2",
        "architectures": ["AIMv2Model"],
        "auto_map": {
            "AutoConfig": "configuration_aimv2.AIMv2Config",
            "AutoModel": "modeling_aimv2.AIMv2Model",
        },
        "use_bias": False,
        "qkv_bias": False,
        "rms_norm_eps": 1e-5,
        **VISION,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(_CLIP_PROCESSOR))
    return folder
