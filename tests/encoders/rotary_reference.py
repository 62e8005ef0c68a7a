"""PE-Core and EVA-02 written a second time, as plain modules, with the tensor names of timm's checkpoints.

Written after the papers and timm's published description, for comparison alone. It differs from the program's
code wherever there is a choice: rotations are complex products, attention is written out, and each family is
a module of its own whose state dict is what a checkpoint of it holds.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn


def turned(x: Tensor, places: Tensor) -> Tensor:
    """Rotate pairs of (b, H, P, d) by places (P, 2): the first half by the first, the second by the other."""
    d = x.shape[-1]
    frequencies = torch.tensor([10000.0 ** (-i / (d // 4)) for i in range(d // 4)])
    angles = torch.cat([places[:, :1] * frequencies, places[:, 1:] * frequencies], dim=1)
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], d // 2, 2).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, kind: str) -> None:
        super().__init__()
        self.heads, self.kind = heads, kind
        if kind == "pe":
            self.qkv = nn.Linear(width, 3 * width)
        elif kind == "fused":
            self.qkv = nn.Linear(width, 3 * width, bias=False)
            self.q_bias, self.v_bias = (nn.Parameter(torch.zeros(width)) for _ in range(2))
        else:
            self.q_proj, self.v_proj = nn.Linear(width, width), nn.Linear(width, width)
            self.k_proj = nn.Linear(width, width, bias=False)
            if kind == "clip":
                self.norm = nn.LayerNorm(width, eps=1e-6)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        if self.kind in ("pe", "fused"):
            q, k, v = self.qkv(x).chunk(3, dim=-1)
            if self.kind == "fused":
                q, v = q + self.q_bias, v + self.v_bias
        else:
            q, k, v = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        q, k = (torch.cat([t[:, :, :1], turned(t[:, :, 1:], places)], dim=2) for t in (q, k))
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        y = (weights @ v).transpose(1, 2).flatten(2)
        return self.proj(self.norm(y) if self.kind == "clip" else y), weights[:, :, 0]


class GatedMLP(nn.Module):
    def __init__(self, width: int, hidden: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        if kind == "fused":
            self.fc1 = nn.Linear(width, 2 * hidden)
        else:
            self.fc1_g, self.fc1_x = nn.Linear(width, hidden), nn.Linear(width, hidden)
            self.norm = nn.LayerNorm(hidden, eps=1e-6)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.fc1(x).chunk(2, dim=-1) if self.kind == "fused" else (self.fc1_g(x), self.fc1_x(x))
        y = nn.functional.silu(gate) * value
        return self.fc2(y if self.kind == "fused" else self.norm(y))


class PlainMLP(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width: int, heads: int, kind: str) -> None:
        super().__init__()
        eps = 1e-5 if kind == "pe" else 1e-6
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)
        self.attn = Attention(width, heads, kind)
        self.mlp = PlainMLP(width) if kind == "pe" else GatedMLP(width, width * 8 // 3, kind)

    def forward(self, z: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        added, row = self.attn(self.norm1(z), places)
        z = z + added
        return z + self.mlp(self.norm2(z)), row


class AttentionPool(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.latent = nn.Parameter(torch.randn(1, 1, width))
        self.q, self.kv, self.proj = (
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
            nn.Linear(width, width),
        )
        self.norm, self.mlp = nn.LayerNorm(width, eps=1e-5), PlainMLP(width)

    def forward(self, x: Tensor) -> Tensor:
        k, v = self.kv(x).chunk(2, dim=-1)
        q = self.q(self.latent.expand(len(x), -1, -1))
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        y = self.proj((weights @ v).transpose(1, 2).flatten(2))
        return (y + self.mlp(self.norm(y)))[:, 0]


class Patches(nn.Module):
    def __init__(self, width: int, side: int, *, bias: bool) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, side, side, bias=bias)


class Rotary(nn.Module):
    """`kind`: `pe`; EVA-02 as `fused` (tiny, small), `split` (base, large) or `clip` (EVA02-CLIP)."""

    def __init__(
        self, kind: str, *, image: int = 56, side: int = 14, width: int = 128, depth: int = 3, dim: int = 24
    ) -> None:
        super().__init__()
        self.kind, self.grid, self.side = kind, image // side, side
        self.patch_embed = Patches(width, side, bias=kind != "pe")
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + self.grid**2, width) * 0.1)
        self.blocks = nn.ModuleList([Block(width, width // 64, kind) for _ in range(depth)])
        if kind == "pe":
            self.norm_pre, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attn_pool = AttentionPool(width, 8)
        elif kind == "clip":
            self.norm = nn.LayerNorm(width, eps=1e-6)
        else:
            self.fc_norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, dim)

    def places(self) -> Tensor:
        """(P, 2): PE counts from 1, the column first; EVA-02 scales to 16 × 16, the row first."""
        found = []
        for row in range(self.grid):
            for column in range(self.grid):
                if self.kind == "pe":
                    found.append((column + 1.0, row + 1.0))
                else:
                    found.append((row / self.grid * 16, column / self.grid * 16))
        return torch.tensor(found)

    def forward(self, pixels: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The embedding, the stream after every block, and the class token's attention of every block."""
        x = self.patch_embed.proj(pixels).flatten(2).mT
        z = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        if self.kind == "pe":
            z = self.norm_pre(z)
        streams, rows = [], []
        for block in self.blocks:
            z, row = block(z, self.places())
            streams.append(z)
            rows.append(row)
        if self.kind == "pe":
            final = self.head(self.attn_pool(self.norm(z)))
        elif self.kind == "clip":
            final = self.head(self.norm(z)[:, 0])
        else:
            final = self.fc_norm(z[:, 1:].mean(1))  # the classifier behind it is no part of the embedding
        return final, streams, rows


ARCHITECTURES = {
    "pe": ("vit_pe_core_base_patch16_224", "map"),
    "fused": ("eva02_small_patch14_336", "avg"),
    "split": ("eva02_base_patch14_448", "avg"),
    "clip": ("eva02_base_patch16_clip_224", "token"),
}


def save_rotary(folder: Path, kind: str, *, seed: int = 0) -> Rotary:
    """Write a small model as timm publishes one: `config.json` and `model.safetensors`; return it."""
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    model = Rotary(kind).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim == 1:  # norms and biases matter too
                value.add_(torch.randn_like(value) * 0.1)
            elif "blocks" in name:
                value.mul_(2.0)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    architecture, pool = ARCHITECTURES[kind]
    stated = {
        "input_size": [3, 56, 56],
        "interpolation": "bicubic",
        "crop_pct": 0.875 if kind == "fused" else 1.0,
        "crop_mode": "squash" if kind == "split" else "center",
        "mean": [0.5] * 3 if kind == "pe" else [0.48145466, 0.4578275, 0.40821073],
        "std": [0.5] * 3 if kind == "pe" else [0.26862954, 0.26130258, 0.27577711],
    }
    config = {"architecture": architecture, "num_classes": 24, "global_pool": pool, "pretrained_cfg": stated}
    (folder / "config.json").write_text(json.dumps(config))
    return model
