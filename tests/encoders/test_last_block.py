"""The last block alone is the tower's own last block: same feature, same attention, from stored inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from morelli.encoders import LastBlock, load_encoder
from morelli.errors import UsageError
from tests.encoders.closeness import assert_close


@pytest.fixture(scope="module")
def tiny(tiny_clip_dir):
    return load_encoder(tiny_clip_dir)


def _traced(encoder, photos, kinds):
    return encoder.trace(np.stack([encoder.transform(image) for _, image in photos[:3]]), kinds=kinds)


def _run(block, found):
    return [torch.from_numpy(found[kind]) for kind in block.inputs]


@pytest.mark.parametrize("kind", ["final", "layer:4", "layer:2"])
def test_gives_the_features_of_the_tower(tiny, photos, kind):
    block = LastBlock(tiny, kind)
    found = _traced(tiny, photos, [kind, f"attention:{block.block}", *block.inputs])
    inputs = _run(block, found)
    assert_close(block(*inputs).numpy(), found[kind])
    attention = block.attention(*inputs)
    assert_close(attention.weights.numpy(), found[f"attention:{block.block}"])
    assert_close(block.vector(attention.mixed, attention.residual).numpy(), found[kind])
    assert block.dim == found[kind].shape[1]


@pytest.mark.encoder
def test_gives_the_features_of_the_real_tower(real_encoder, photos):
    block = LastBlock(real_encoder)
    assert block.inputs == ("layer:11", "tokens:11")
    found = _traced(real_encoder, photos, ["final", "attention:12", *block.inputs])
    inputs = _run(block, found)
    assert_close(block(*inputs).numpy(), found["final"])
    assert_close(block.attention(*inputs).weights.numpy(), found["attention:12"])


def test_bfloat16_follows_its_own_tower(tiny_clip_dir, photos):
    encoder = load_encoder(tiny_clip_dir, dtype="bfloat16")
    block = LastBlock(encoder)
    found = _traced(encoder, photos, ["final", *block.inputs])
    assert_close(block(*_run(block, found)).float().numpy(), found["final"], tolerance=3e-2)


def test_gradients_reach_the_tokens(tiny, photos):
    block = LastBlock(tiny)
    class_token, tokens = _run(block, _traced(tiny, photos, block.inputs))
    step = 1e-3 * torch.randn(tokens.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tokens.requires_grad_()
    value = block(class_token, tokens)[:, 0].sum()
    (gradient,) = torch.autograd.grad(value, tokens)
    with torch.no_grad():
        ahead = block(class_token, (tokens + step).float())[:, 0].sum()
        behind = block(class_token, (tokens - step).float())[:, 0].sum()
    expected = (gradient * step).sum()
    assert float((ahead - behind) / 2) == pytest.approx(float(expected), rel=0.03)


def test_refusals_say_the_next_step(tiny, family_dirs):
    with pytest.raises(UsageError, match="first block"):
        LastBlock(tiny, "layer:1")
    with pytest.raises(UsageError, match="final and layer:k"):
        LastBlock(tiny, "mean:3")
    with pytest.raises(UsageError, match=r"takes layer:3 as \(b, 64\)"):
        LastBlock(tiny)(torch.zeros(2, 64), torch.zeros(2, 9, 64))
    for family in ("siglip", "dinov2", "vit"):
        with pytest.raises(UsageError, match=f"{family}.* Use clip-vit-b16"):
            LastBlock(load_encoder(family_dirs[family]))
