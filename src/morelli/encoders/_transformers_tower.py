"""Any vision model of transformers as a tower: SigLIP 2, DINOv2, DINOv3, ViT, …

`final` is the model's own pooled output: the attention-pooling head's for SigLIP, the normed class
token for DINO. Where a model pools nothing, it is the class token of the last hidden state, or the mean of
that state where there is no class token (AIMv2 without a pooling head).
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from morelli.encoders._kinds import Kind
from morelli.encoders._pretrained import load_config, load_pretrained
from morelli.encoders._torch_tower import TorchTower
from morelli.encoders._transformers_parts import OF_PARTS, images_per_pass, recording, refuse_parts, watch
from morelli.errors import UsageError, WeightsError

# Families whose tokens are patches alone.
WITHOUT_CLASS_TOKEN = frozenset({"siglip", "siglip_vision_model", "aimv2_vision_model"})


class TransformersTower(TorchTower):
    """One loaded model; it gives the same kinds as CLIP's own forward."""

    def __init__(self, folder: Path, *, dtype: torch.dtype, device: torch.device, model: Any = None) -> None:
        """Load the folder's model, or take one that is loaded already."""
        super().__init__(device)
        self.model = (_load(folder, dtype) if model is None else model).to(device)
        self.dtype = dtype
        config = self.model.config
        self.registers = int(getattr(config, "num_register_tokens", 0) or 0)
        self.class_token = config.model_type not in WITHOUT_CLASS_TOKEN
        self.watched = watch(self.model)
        self._eager: Any = None
        self._lock = threading.Lock()

    def trace_tensors(self, pixels: Tensor, kinds: Collection[Kind]) -> dict[Kind, Tensor]:
        """Features of these kinds, float32."""
        names = {kind.name for kind in kinds}
        refuse_parts(self.watched, self.model.config.model_type, names)
        if not self.class_token and names & {"layer", "attention"}:
            raise UsageError(
                f"This encoder ({self.model.config.model_type}) has no class token, so that layer:k and "
                "attention:k do not exist; ask for mean:k, tokens:k or final."
            )
        if not len(pixels):
            # transformers' attention takes no empty batch.
            one = pixels.new_zeros(1, *pixels.shape[1:])
            return {kind: value[:0] for kind, value in self.trace_tensors(one, kinds).items()}
        parts = [kind for kind in kinds if kind.name in OF_PARTS]
        if not parts:
            return self._outputs(pixels, kinds)
        assert not isinstance(self.watched, str)
        step = len(pixels)
        if self.watched.whole:
            config = self.model.config
            patches = (pixels.shape[-1] // config.patch_size) ** 2
            step = images_per_pass(pixels, parts, tokens=patches, width=config.hidden_size)
        found: dict[Kind, list[Tensor]] = {}
        for start in range(0, len(pixels), step):
            with recording(self.watched, parts) as record:
                outputs = self._outputs(pixels[start : start + step], kinds)
            for kind, value in (outputs | self.watched.contributions(record, parts)).items():
                found.setdefault(kind, []).append(value)
        return {kind: torch.cat(values) for kind, values in found.items()}

    def _outputs(self, pixels: Tensor, kinds: Collection[Kind]) -> dict[Kind, Tensor]:
        """The kinds that are outputs of the model, from one pass."""
        names = {kind.name for kind in kinds}
        model = self._with_attention() if "attention" in names else self.model
        out = model(
            pixel_values=pixels.to(self.dtype),
            output_hidden_states=bool(names & {"layer", "mean", "tokens"}),
            output_attentions="attention" in names,
        )
        first_patch = self.class_token + self.registers
        found: dict[Kind, Tensor] = {}
        for kind in kinds:
            if kind.name in OF_PARTS:
                continue
            if kind.name == "final":
                pooled = getattr(out, "pooler_output", None)
                if pooled is None:
                    states = out.last_hidden_state
                    value = states[:, 0] if self.class_token else states.float().mean(dim=1)
                else:
                    value = pooled
            elif kind.name == "layer":
                value = out.hidden_states[kind.block][:, 0]
            elif kind.name == "mean":
                value = out.hidden_states[kind.block][:, first_patch:].float().mean(dim=1)
            elif kind.name == "tokens":
                value = out.hidden_states[kind.block][:, first_patch:]
            else:
                row = out.attentions[kind.block - 1][:, :, 0]
                # Class token, then patches; what goes to register tokens is left out.
                value = torch.cat([row[..., :1], row[..., first_patch:]], dim=-1)
            found[kind] = value.float()
        return found

    def _with_attention(self) -> Any:
        """The same model, tensors shared, with the attention that returns its weights."""
        with self._lock:
            if self._eager is None:
                config = type(self.model.config).from_dict(self.model.config.to_dict())
                with torch.device("meta"):
                    twin = type(self.model)._from_config(
                        config, attn_implementation="eager", dtype=self.dtype
                    )
                twin.load_state_dict(self.model.state_dict(), assign=True)
                for (_, ours), (name, _) in zip(
                    self.model.named_buffers(), list(twin.named_buffers()), strict=True
                ):
                    owner, _, leaf = name.rpartition(".")
                    setattr(twin.get_submodule(owner), leaf, ours)
                watch(twin)
                self._eager = twin.eval()
            return self._eager


def _load(folder: Path, dtype: torch.dtype) -> Any:
    """The vision tower of a model folder."""
    import transformers

    config = load_config(folder)
    loader: Any = transformers.AutoModel
    if config.model_type in ("siglip", "siglip_vision_model"):
        loader = transformers.SiglipVisionModel
    elif config.model_type == "aimv2_vision_model":
        loader = transformers.Aimv2VisionModel
    elif config.model_type == "aimv2":
        # transformers reads the tower alone only from a checkpoint of the tower alone.
        return load_pretrained(transformers.Aimv2Model, folder, dtype=dtype).vision_model
    elif hasattr(config, "vision_config"):
        raise WeightsError(
            f"{folder} holds a {config.model_type} model, whose image tower is not known here. "
            "CLIP, MetaCLIP 2, SigLIP (1 and 2), AIMv2 and plain vision transformers are."
        )
    return load_pretrained(loader, folder, dtype=dtype)
