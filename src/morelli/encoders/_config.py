"""What a checkpoint's own `config.json` says of its image tower."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from morelli.artefacts import read_json
from morelli.encoders._cards import EncoderCard
from morelli.encoders._extras import require_torch
from morelli.encoders._processor import folder_transform
from morelli.encoders._resolve import Checkpoint
from morelli.encoders._state import tensor_shapes
from morelli.encoders._timm import FAMILIES as TIMM_FAMILIES
from morelli.encoders._timm import is_timm, timm_config
from morelli.errors import ArtifactError, WeightsError

# Written-out defaults, since a config.json may leave out what equals its class's default.
_CLIP_DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "projection_dim": 512,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
_FAMILIES = {
    "clip": "clip",
    "clip_vision_model": "clip",
    # MetaCLIP 2's image tower is CLIP's, name for name; its text tower is another.
    "metaclip_2": "clip",
    "metaclip_2_vision_model": "clip",
    "siglip": "siglip",
    "siglip_vision_model": "siglip",
    "siglip2": "siglip2",
    "siglip2_vision_model": "siglip2",
    "aimv2_vision_model": "aimv2",
    "dinov3_vit": "dinov3",
    "dinov2_with_registers": "dinov2",
}
WITHOUT_CLASS_TOKEN = frozenset({"siglip", "siglip2", "aimv2"})
"""Families whose tokens are patches alone."""
_TOKENIZERS = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")


def read_config(checkpoint: Checkpoint, card: EncoderCard) -> dict[str, Any]:
    """The checkpoint's configuration; for a lone weights file of a registered CLIP, what the card says."""
    path = checkpoint.folder / "config.json"
    if path.is_file():
        try:
            data = read_json(path.resolve(), what="model folder")
        except (ArtifactError, ValueError, TypeError, AttributeError) as error:
            raise WeightsError(f"{path} cannot be read ({error}).") from error
        if is_timm(data):
            return timm_config(data, tensor_shapes(checkpoint.weights), checkpoint.folder)
        if not isinstance(data, dict) or "model_type" not in data:
            raise WeightsError(f"{path} is no model configuration: it names no model_type.")
        return data
    if card.family != "clip":
        raise WeightsError(f"{checkpoint.folder} has no config.json; give the model's whole folder.")
    return {
        "model_type": "clip_vision_model",
        "hidden_size": card.width,
        "intermediate_size": 4 * card.width,
        "projection_dim": card.dim,
        "num_hidden_layers": card.layers,
        "num_attention_heads": card.heads,
        "image_size": card.image_size,
        "patch_size": card.patch,
    }


def vision_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The image tower's part of a configuration, with the architecture's defaults written out."""
    part = dict(config.get("vision_config") or config)
    model_type = str(config["model_type"])
    family = _FAMILIES.get(model_type)
    if family == "clip":
        return {**_CLIP_DEFAULTS, **part}
    if model_type in TIMM_FAMILIES:
        return part
    require_torch(f"A {model_type} model")
    import transformers

    if family == "siglip":
        return {**transformers.SiglipVisionConfig().to_dict(), **part}
    if family == "siglip2":
        return {**transformers.Siglip2VisionConfig().to_dict(), **part}
    if model_type == "aimv2":
        return {**transformers.Aimv2VisionConfig().to_dict(), **part}
    if model_type not in transformers.CONFIG_MAPPING:
        raise WeightsError(
            f"transformers {transformers.__version__} knows no model type {model_type!r}; a newer one may."
        )
    return {**transformers.CONFIG_MAPPING[model_type]().to_dict(), **part}


def complete_card(card: EncoderCard, config: Mapping[str, Any], checkpoint: Checkpoint) -> EncoderCard:
    """The card with what the checkpoint itself states: family, dimensions, text tower.

    Raises:
        WeightsError: it is no vision transformer of square patches.
    """
    vision = vision_config(config)
    model_type = str(config["model_type"])
    family = _FAMILIES.get(model_type, model_type)
    if family == "dinov3_convnext":
        return _convnext_card(card, vision, checkpoint)
    lacking = [
        name
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "patch_size")
        if name not in vision
    ]
    if lacking or not isinstance(vision["patch_size"], int):
        raise WeightsError(
            f"{checkpoint.folder} holds a {model_type} model, which is no plain vision transformer "
            f"({', '.join(lacking) or 'patches are not square'}); blocks and patches cannot be told."
        )
    names = tensor_shapes(checkpoint.weights).keys()
    width, size = int(vision["hidden_size"]), card.image_size
    if not size:
        transform = folder_transform(checkpoint.folder)
        size = transform.size if transform is not None else int(vision["image_size"])
    dim = int(vision.get("embedding_dim") or width)
    if family == "clip" and "visual_projection.weight" in names:
        dim = int(config.get("projection_dim") or vision["projection_dim"])
    return replace(
        card,
        family=family,
        dim=dim,
        width=width,
        layers=int(vision["num_hidden_layers"]),
        heads=int(vision["num_attention_heads"]),
        patch=int(vision["patch_size"]),
        image_size=size,
        # AIMv2's embedding here is the one before the space that its text tower shares.
        text_tower=family != "aimv2" and _has_text(names, config, checkpoint.folder),
        class_token=family not in WITHOUT_CLASS_TOKEN,
    )


def _convnext_card(card: EncoderCard, config: Mapping[str, Any], checkpoint: Checkpoint) -> EncoderCard:
    """The card of a ConvNeXt: stages stand for blocks, places of the last stage for patches."""
    widths, size = tuple(map(int, config["hidden_sizes"])), card.image_size
    if not size:
        transform = folder_transform(checkpoint.folder)
        size = transform.size if transform is not None else int(config["image_size"])
    return replace(
        card,
        family="dinov3_convnext",
        dim=widths[-1],
        width=widths[-1],
        layers=len(widths),
        heads=0,
        patch=4 * 2 ** (len(widths) - 1),
        image_size=size,
        class_token=False,
        stage_widths=widths,
    )


def _has_text(names: Collection[str], config: Mapping[str, Any], folder: Path) -> bool:
    return (
        "text_config" in config
        and any(name.startswith("text_model.") for name in names)
        and any((folder / name).is_file() for name in _TOKENIZERS)
    )
