"""Vision transformers with rotary positions, from timm's tensor names: PE-Core and EVA-02.

Both add learned positions to the tokens and also turn each head's queries and keys by their patch's place
(Su et al. 2021; on an axis each, Fang et al. 2023, section 2; Bolya et al. 2025, section 2.1):

    (q_2i, q_2i+1) ↦ rotation by p ω_i,    ω_i = 10000^(-i / (d / 4))

with p the patch's row for one half of the head and its column for the other, scaled to the grid of the
pre-training. The class token is not turned. EVA-02's MLP is gated (SwiGLU), with a layer norm inside;
PE-Core's is plain, and its embedding comes from an attention-pooling head over all tokens.

Which of the optional parts there are is read from the tensors' names; a name that is not known is an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from morelli.encoders._kinds import Kind
from morelli.encoders._torch_tower import TorchTower
from morelli.errors import UsageError, WeightsError

_MATRICES = ("qkv.weight", "proj.weight", "fc1.weight", "fc1_g.weight", "fc1_x.weight", "fc2.weight")
_KNOWN = re.compile(
    r"cls_token|pos_embed|patch_embed\.proj\.(weight|bias)|(norm|norm_pre|fc_norm)\.(weight|bias)"
    r"|blocks\.\d+\.((norm1|norm2|attn\.norm|mlp\.norm|attn\.proj|mlp\.fc1|mlp\.fc1_g|mlp\.fc1_x|mlp\.fc2"
    r"|attn\.qkv|attn\.q_proj|attn\.k_proj|attn\.v_proj)\.(weight|bias)|attn\.(q_bias|v_bias)"
    r"|gamma_1|gamma_2)"
    r"|attn_pool\.(latent|(q|kv|proj|norm|mlp\.fc1|mlp\.fc2)\.(weight|bias))|head\.(weight|bias)"
)
_LEFT_OUT = re.compile(r"mask_token|lm_head\.\w+|.*rope.*|.*k_bias")
"""What pre-training alone needed, tables that follow from the configuration, and biases that are zero."""


class RotaryVitTower(TorchTower):
    """PE-Core or EVA-02 on one device; the matrices in `dtype`, the stream and the norms in float32."""

    def __init__(
        self,
        state: Mapping[str, Any],
        config: Mapping[str, Any],
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """Take the tensors over.

        Args:
            state: float32 arrays by timm's names.
            config: see `morelli.encoders._timm.timm_config`.
            dtype: type of the matrices.
            device: where the tensors go.

        Raises:
            WeightsError: a tensor is missing, has another shape, or is not known.
        """
        super().__init__(device)
        self._config = dict(config)
        unknown = [name for name in state if not _KNOWN.fullmatch(name) and not _LEFT_OUT.fullmatch(name)]
        if unknown:
            raise WeightsError(
                f"The checkpoint of {config['architecture']} holds tensors that are not known here, such as "
                f"{sorted(unknown)[:3]}: it is another architecture."
            )
        self._dtype = dtype
        self._tensors = {
            name: torch.from_numpy(value).to(device)
            for name, value in state.items()
            if _KNOWN.fullmatch(name)
        }
        self._width, self._eps = int(config["hidden_size"]), float(config["layer_norm_eps"])
        self._heads, self._depth = int(config["num_attention_heads"]), int(config["num_hidden_layers"])
        self._side = int(config["patch_size"])
        for number in range(self._depth):
            self._one_matrix(f"blocks.{number}.attn.")
        self._tensors = {
            name: value.to(dtype) if name.endswith(_MATRICES) else value
            for name, value in self._tensors.items()
        }
        self._turns = self._rotations()
        try:
            with torch.inference_mode():
                side = int(config["image_size"])
                self.trace_tensors(torch.zeros(1, 3, side, side, device=device), [Kind("final")])
        except RuntimeError as error:
            raise WeightsError(
                f"The tensors of {config['architecture']} do not fit each other: {error}"
            ) from error

    def trace_tensors(self, pixels: Tensor, kinds: Collection[Kind]) -> dict[Kind, Tensor]:
        """Features of these kinds, float32; blocks that no kind needs are not computed."""
        names = {kind.name for kind in kinds}
        refused = names - {"final", "layer", "mean", "tokens", "attention"}
        if refused:
            raise UsageError(
                f"The embedding of this encoder ({self._config['model_type']}) is not decomposed into heads, "
                f"MLPs and embedding, so that {', '.join(sorted(refused))} do not exist; ask for final, "
                "layer:k, mean:k, tokens:k or attention:k."
            )
        found: dict[Kind, Tensor] = {}
        z = self._embed(pixels)
        depth = self._depth if "final" in names else max(kind.block for kind in kinds)
        for number in range(1, depth + 1):
            here = {kind.name for kind in kinds if kind.block == number}
            z, row = self._block(number - 1, z, weights="attention" in here)
            if row is not None:
                found[Kind("attention", number)] = row
            if "layer" in here:
                found[Kind("layer", number)] = z[:, 0].clone()
            if "mean" in here:
                found[Kind("mean", number)] = z[:, 1:].mean(dim=1)
            if "tokens" in here:
                found[Kind("tokens", number)] = z[:, 1:].clone()
        if "final" in names:
            found[Kind("final")] = self._pool(z)
        return found

    def _embed(self, pixels: Tensor) -> Tensor:
        """(b, 3, s, s) pixels to tokens (b, n, D), the class token first."""
        weight = self._get("patch_embed.proj.weight")
        bias = self._tensors.get("patch_embed.proj.bias")
        patches = functional.conv2d(
            pixels.to(weight.dtype),
            weight,
            None if bias is None else bias.to(weight.dtype),
            stride=self._side,
        )
        x = patches.flatten(2).transpose(1, 2).float()
        z = torch.cat([self._get("cls_token").expand(len(x), -1, -1), x], dim=1) + self._get("pos_embed")
        return self._norm("norm_pre", z) if "norm_pre.weight" in self._tensors else z

    def _block(self, number: int, z: Tensor, *, weights: bool) -> tuple[Tensor, Tensor | None]:
        """The stream after one block; with `weights` also the class token's attention (b, H, n)."""
        name = f"blocks.{number}."
        b, n, _ = z.shape
        qkv = self._linear(f"{name}attn.qkv", self._norm(f"{name}norm1", z))
        q, k, v = qkv.view(b, n, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        q, k = self._turn(q), self._turn(k)
        row = None
        if weights:
            scale = q.shape[-1] ** -0.5
            row = (q[:, :, :1].float() @ k.float().mT * scale).softmax(dim=-1)[:, :, 0]
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        if f"{name}attn.norm.weight" in self._tensors:
            mixed = self._norm(f"{name}attn.norm", mixed)
        z = z + self._scaled(f"{name}gamma_1", self._linear(f"{name}attn.proj", mixed))
        added = self._mlp(f"{name}mlp.", self._norm(f"{name}norm2", z))
        return z + self._scaled(f"{name}gamma_2", added), row

    def _mlp(self, name: str, x: Tensor) -> Tensor:
        if f"{name}fc1_g.weight" in self._tensors:
            x = functional.silu(self._linear(f"{name}fc1_g", x)) * self._linear(f"{name}fc1_x", x)
        else:
            inner = self._linear(f"{name}fc1", x)
            if len(self._get(f"{name}fc1.weight")) == 2 * self._get(f"{name}fc2.weight").shape[1]:
                gate, x = inner.chunk(2, dim=-1)
                x = functional.silu(gate) * x
            else:
                x = functional.gelu(inner)
        if f"{name}norm.weight" in self._tensors:
            x = self._norm(f"{name}norm", x)
        return self._linear(f"{name}fc2", x)

    def _pool(self, z: Tensor) -> Tensor:
        """(b, n, D) after the last block to the embedding (b, d), not normalised."""
        if "attn_pool.latent" in self._tensors:
            y = self._attention_pool(self._norm("norm", z))
        elif self._config["pooling"] == "token":
            y = self._norm("norm", z)[:, 0]
        else:
            # Weights of masked pre-training alone call this norm `norm`.
            y = self._norm("fc_norm" if "fc_norm.weight" in self._tensors else "norm", z[:, 1:].mean(dim=1))
        if self._config["projected"]:
            y = self._linear("head", y)
        return y.float()

    def _attention_pool(self, y: Tensor) -> Tensor:
        """A learned query attends to all tokens; then an MLP with its own residual sum."""
        b, n, width = y.shape
        heads = int(self._config["pool_heads"])
        latent = self._get("attn_pool.latent").expand(b, -1, -1)
        q = self._linear("attn_pool.q", latent).view(b, -1, heads, width // heads).transpose(1, 2)
        k, v = self._linear("attn_pool.kv", y).view(b, n, 2, heads, width // heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        pooled = self._linear("attn_pool.proj", mixed).float()
        return (pooled + self._mlp("attn_pool.mlp.", self._norm("attn_pool.norm", pooled)))[:, 0]

    def _turn(self, x: Tensor) -> Tensor:
        """Rotate the patches' queries or keys (b, H, n, d)."""
        cosine, sine = self._turns
        first, patches = x[:, :, :1], x[:, :, 1:].float()
        even, odd = patches[..., 0::2], patches[..., 1::2]
        turned = torch.stack([even * cosine - odd * sine, odd * cosine + even * sine], dim=-1).flatten(-2)
        return torch.cat([first, turned.to(x.dtype)], dim=2)

    def _rotations(self) -> tuple[Tensor, Tensor]:
        """Cosine and sine of each patch's angles, (P, d / 2) each."""
        grid = int(self._config["image_size"]) // self._side
        quarter = self._width // self._heads // 4
        frequencies = 10000.0 ** (-torch.arange(quarter, dtype=torch.float32) / quarter)
        places = torch.arange(grid, dtype=torch.float32) + self._config["rotary_offset"]
        places = places / grid * self._config["rotary_reference"]
        rows, columns = places.repeat_interleave(grid), places.repeat(grid)
        halves = (columns, rows) if self._config["rotary_columns_first"] else (rows, columns)
        angles = torch.cat([half[:, None] * frequencies for half in halves], dim=1).to(self.device)
        return angles.cos(), angles.sin()

    def _one_matrix(self, name: str) -> None:
        """Put queries, keys and values into one matrix and one bias, keys without a bias of their own."""
        tensors = self._tensors
        if f"{name}q_proj.weight" in tensors:
            parts = [tensors.pop(f"{name}{part}_proj.weight", None) for part in "qkv"]
            if any(part is None for part in parts):
                raise WeightsError(f"The checkpoint lacks a tensor of {name}q_proj, k_proj, v_proj.")
            tensors[f"{name}qkv.weight"] = torch.cat(parts)  # type: ignore[arg-type]
            biases = [tensors.pop(f"{name}{part}_proj.bias", None) for part in "qkv"]
        else:
            biases = [tensors.pop(f"{name}q_bias", None), None, tensors.pop(f"{name}v_bias", None)]
        if any(bias is not None for bias in biases):
            nothing = torch.zeros(self._width, device=self.device)
            tensors[f"{name}qkv.bias"] = torch.cat([nothing if b is None else b for b in biases])

    def _get(self, name: str) -> Tensor:
        if name not in self._tensors:
            raise WeightsError(
                f"The checkpoint lacks the tensor {name}, which {self._config['architecture']} needs."
            )
        return self._tensors[name]

    def _norm(self, name: str, x: Tensor) -> Tensor:
        scale, shift = self._get(f"{name}.weight"), self._get(f"{name}.bias")
        return functional.layer_norm(x.float(), scale.shape, scale, shift, self._eps)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        weight = self._get(f"{name}.weight")
        bias = self._tensors.get(f"{name}.bias")
        return functional.linear(x.to(weight.dtype), weight, None if bias is None else bias.to(weight.dtype))

    def _scaled(self, name: str, x: Tensor) -> Tensor:
        return x.float() * self._tensors[name] if name in self._tensors else x.float()
